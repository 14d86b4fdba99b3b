// SPDX-License-Identifier: BSD-2-Clause
//
// The registers of eBPF by their names (linux/bpf.h).
#pragma once

#include <cstdint>

namespace weir::backend {

inline constexpr std::uint8_t r0 = 0;
inline constexpr std::uint8_t r1 = 1;
inline constexpr std::uint8_t r2 = 2;
inline constexpr std::uint8_t r3 = 3;
inline constexpr std::uint8_t r4 = 4;
inline constexpr std::uint8_t r5 = 5;
inline constexpr std::uint8_t r6 = 6;
inline constexpr std::uint8_t r7 = 7;
inline constexpr std::uint8_t r8 = 8;
inline constexpr std::uint8_t r9 = 9;
inline constexpr std::uint8_t frame_pointer = 10;

}  // namespace weir::backend
