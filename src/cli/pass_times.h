// SPDX-License-Identifier: BSD-2-Clause
//
// The table of `weir compile --time-passes`: milliseconds and sizes of each stage and pass.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "driver/compile.h"

namespace weir::cli {

class PassTimes {
 public:
  // To be asked while the compiler runs; this must outlive its options.
  [[nodiscard]] driver::Observer observer();
  // A line a stage, in the order in which they ran, and their sum.
  [[nodiscard]] std::string table(const driver::Compilation& compilation) const;

 private:
  struct Row {
    std::string name;
    std::string counted;  // what the sizes are numbers of
    std::size_t program = 0;
    double milliseconds = 0;
    std::size_t before = 0;
    std::size_t after = 0;
  };
  std::vector<Row> rows_;
};

}  // namespace weir::cli
