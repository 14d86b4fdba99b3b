// SPDX-License-Identifier: BSD-2-Clause
//
// What the benchmarks of packets have in common: their command line, the CPU that they stay on, and
// how they end.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace weir::bench {

struct Options {
  int rounds = 31;
  int cpu = 0;
  bool json = false;
  // Of those who measure at several hooks, with several numbers of rules; empty: as they choose.
  std::vector<std::string> hooks;
  std::vector<std::uint32_t> rules;
};

// Prints what `measure` returns. The exit code: 3 without root or what the kernel lacks, 70 when
// something is wrong with weir itself.
[[nodiscard]] int run_bench(const std::string& name, const std::string& description, int argc,
                            char** argv, const std::function<std::string(const Options&)>& measure);

}  // namespace weir::bench
