// SPDX-License-Identifier: BSD-2-Clause
//
// Elements of dynamic sets, as a map has them (backend/dynamic_sets.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "imr/imr.h"

namespace weir::driver {

// One that has not expired.
struct LivingElement {
  imr::SetId set;
  Bytes key;
  std::optional<std::uint64_t> expires = {};  // nanoseconds that are left
  std::vector<std::uint64_t> words = {};      // what its statements hold; of limits 0
  Bytes data = {};
  std::uint64_t timeout = 0;  // milliseconds from its beginning to its end; 0: it stays
  friend bool operator==(const LivingElement&, const LivingElement&) = default;
};

// No value where it has expired at `now`, in nanoseconds of the clock that programs read.
[[nodiscard]] std::optional<LivingElement> living_element(const imr::Ruleset& ruleset,
                                                          imr::SetId set, ByteView key,
                                                          ByteView value, std::uint64_t now);

}  // namespace weir::driver
