// SPDX-License-Identifier: BSD-2-Clause
//
// Choices out of a seeded generator. The standard distributions differ between libraries, and a
// printed seed must mean the same rulesets and packets everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>

namespace weir::differential {

class Random {
 public:
  explicit Random(std::mt19937_64& engine) : engine_(engine) {}

  [[nodiscard]] std::uint64_t bits() { return engine_(); }
  // 0 to limit - 1; limit > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
  [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <typename Range>
  [[nodiscard]] const auto& pick(const Range& range) {
    return *(std::begin(range) + static_cast<std::ptrdiff_t>(below(std::size(range))));
  }
  [[nodiscard]] std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64& engine_;
};

}  // namespace weir::differential
