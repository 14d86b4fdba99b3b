// SPDX-License-Identifier: BSD-2-Clause
//
// Choices out of a seeded generator. The standard distributions differ between libraries, and a
// printed seed must mean the same rulesets and packets everywhere.
#pragma once

#include <cstddef>
#include <random>

namespace weir::test {

class Chance {
 public:
  explicit Chance(std::mt19937_64& engine) : engine_(engine) {}

  std::size_t below(std::size_t bound) { return engine_() % bound; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <typename Container>
  const auto& pick(const Container& candidates) {
    return candidates[below(candidates.size())];
  }
  [[nodiscard]] std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64& engine_;
};

}  // namespace weir::test
