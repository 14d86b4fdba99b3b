// SPDX-License-Identifier: BSD-2-Clause
//
// Entries that expire (MapSpec::expires): when, as a word of 8 bytes at the start of a value.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "isa/program.h"

namespace weir::isa {

// The word counts nanoseconds of CLOCK_MONOTONIC from so much before that clock's zero. Programs
// may go by that clock as of the last tick, as elements in the kernel do (get_jiffies_64()). 0: the
// entry never expires.
constexpr std::uint64_t expiry_epoch = std::uint64_t{1} << 62;

// The value of one of MapSpec::entries, started at `now`.
[[nodiscard]] inline Bytes started(const MapEntry& entry, std::uint64_t now) {
  constexpr std::size_t word_size = 8;
  Bytes value = entry.value;
  const std::uint64_t lasts = load_native(ByteView(value).first(word_size));
  if (lasts == 0) return value;
  std::ranges::copy(native_bytes(lasts + now + expiry_epoch, word_size), value.begin());
  return value;
}

}  // namespace weir::isa
