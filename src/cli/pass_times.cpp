// SPDX-License-Identifier: BSD-2-Clause
#include "cli/pass_times.h"

#include <fmt/core.h>

#include "driver/stages.h"

namespace weir::cli {
namespace {

std::string counted_by(const driver::StageReport& report) {
  if (report.unit != nullptr) {
    return "statements for " + std::string(to_string(report.unit->nfproto));
  }
  if (report.name == "lower") return "statements to flow instructions";
  return report.function != nullptr ? "flow instructions" : "flow instructions to eBPF";
}

}  // namespace

driver::Observer PassTimes::observer() {
  return [this](const driver::StageReport& report) {
    rows_.push_back({.name = std::string(report.name),
                     .counted = counted_by(report),
                     .program = report.program,
                     .milliseconds = report.milliseconds,
                     .before = report.before,
                     .after = report.after});
  };
}

void PassTimes::step(std::string_view name) {
  const Clock::time_point now = Clock::now();
  const std::chrono::duration<double, std::milli> taken = now - last_;
  rows_.push_back({.name = std::string(name), .milliseconds = taken.count()});
  last_ = now;
}

std::string PassTimes::table(const driver::Compilation& compilation) const {
  std::string out = fmt::format("{:<15} {:<16} {:>10} {:>8} {:>8}\n", "program", "stage", "ms",
                                "before", "after");
  for (const Row& row : rows_) {
    if (row.program == no_program) {
      out += fmt::format("{:<32} {:>10.3f}\n", row.name, row.milliseconds);
      continue;
    }
    out += fmt::format("{:<15} {:<16} {:>10.3f} {:>8} {:>8} {}\n",
                       compilation.object.programs.at(row.program).name, row.name, row.milliseconds,
                       row.before, row.after, row.counted);
  }
  return out;
}

}  // namespace weir::cli
