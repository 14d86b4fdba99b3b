// SPDX-License-Identifier: BSD-2-Clause
//
// The table of `--time-passes`: milliseconds of each step from the rules' text on, and milliseconds
// and sizes of each stage and pass of the compiler.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "driver/compile.h"

namespace weir::cli {

class PassTimes {
 public:
  // To be asked while the compiler runs; this must outlive its options.
  [[nodiscard]] driver::Observer observer();
  // A step of the whole is over, which began where the one before ended, or where this was made.
  void step(std::string_view name);
  // A line a stage and a step, in the order in which they ended.
  [[nodiscard]] std::string table(const driver::Compilation& compilation) const;

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t no_program = ~std::size_t{0};
  struct Row {
    std::string name;
    std::string counted;               // what the sizes are numbers of
    std::size_t program = no_program;  // of steps
    double milliseconds = 0;
    std::size_t before = 0;
    std::size_t after = 0;
  };
  std::vector<Row> rows_;
  Clock::time_point last_ = Clock::now();
};

}  // namespace weir::cli
