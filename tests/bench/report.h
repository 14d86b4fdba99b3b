// SPDX-License-Identifier: BSD-2-Clause
//
// Samples, what they say together, and how that is shown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/spread.h"
#include "bench/subjects.h"

namespace weir::bench {

// One engine with one set of rules; samples are ns per packet, one a round.
struct Series {
  std::vector<double> total;
  std::vector<double> net;  // less the engine's floor in the same round
};

struct Case {
  Shape shape = Shape::first_fails;
  std::uint32_t rules = 0;
  Series nft;
  Series weir;
  Series test_run;  // the weir program by BPF_PROG_TEST_RUN
  std::uint32_t instructions = 0;
};

struct Floors {
  std::vector<double> chain;     // an nf_tables base chain without rules
  std::vector<double> program;   // a netfilter program that returns
  std::vector<double> test_run;  // the same program by BPF_PROG_TEST_RUN
};

struct Results {
  Floors floors;
  std::vector<Case> cases;
};

// One hook with one number of rules; the floors are those beside it.
struct HookCase {
  std::string hook;
  std::uint32_t rules = 0;
  Series nft;  // empty where nf_tables has no such hook
  Series weir;
  std::vector<double> chain;    // as in Floors
  std::vector<double> program;  // one that drops at once
  std::uint32_t instructions = 0;
};

[[nodiscard]] std::string table(const Results& results);
[[nodiscard]] std::string table(const std::vector<HookCase>& cases);
// One object a line.
[[nodiscard]] std::string json_lines(const Results& results);
[[nodiscard]] std::string json_lines(const std::vector<HookCase>& cases);

}  // namespace weir::bench
