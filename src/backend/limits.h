// SPDX-License-Identifier: BSD-2-Clause
//
// Limits of a caller: what a program must do without, beside what its hook lacks. Each changes the
// code, or refuses by name what then cannot be served.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace weir::backend {

enum class Limit : std::uint8_t {
  no_calls,       // no functions within the program: no BPF-to-BPF calls
  helper_access,  // packet bytes come by helper functions, never by a pointer into the packet
  read_only,      // nothing is written to the packet, its mark or the context; maps may be
  no_kfuncs,      // no kernel functions (helpers are none)
  offload,        // what a network card takes: XDP, map lookups alone, plain hash and array maps
};

// A set of them.
struct Limits {
  std::uint8_t bits = 0;

  [[nodiscard]] constexpr bool contains(Limit limit) const {
    return (bits >> static_cast<unsigned>(limit) & 1) != 0;
  }
  constexpr void insert(Limit limit) {
    bits = static_cast<std::uint8_t>(bits | 1U << static_cast<unsigned>(limit));
  }
  friend bool operator==(const Limits&, const Limits&) = default;
};

inline constexpr std::array all_limits = {Limit::no_calls, Limit::helper_access, Limit::read_only,
                                          Limit::no_kfuncs, Limit::offload};

[[nodiscard]] std::string_view to_string(Limit limit);
// The name on the command line; another word is an input error that lists the names.
[[nodiscard]] Result<Limit> parse_limit(std::string_view name);
[[nodiscard]] Result<Limits> parse_limits(const std::vector<std::string>& names);

}  // namespace weir::backend
