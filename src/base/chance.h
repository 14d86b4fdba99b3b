// SPDX-License-Identifier: BSD-2-Clause
//
// Numbers that look drawn at random, the same in every process: SplitMix64 (Steele, Lea, Flood,
// "Fast Splittable Pseudorandom Number Generators", 2014). What runs rules by itself draws from it,
// so that two ways to run them can be compared.
#pragma once

#include <cstdint>

namespace weir {

class Chance {
 public:
  explicit Chance(std::uint64_t seed = 0) : state_(seed) {}

  std::uint32_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::uint32_t>(mixed ^ (mixed >> 31));
  }

 private:
  std::uint64_t state_ = 0;
};

}  // namespace weir
