// SPDX-License-Identifier: BSD-2-Clause
//
// The verifier's log, boiled down.
#include "kernel/log.h"

#include <gtest/gtest.h>

namespace weir::kernel {
namespace {

using Lines = std::vector<std::string>;

const isa::Program program{.name = "forward",
                           .origins = {{.insn = 0, .rule = -1}, {.insn = 2, .rule = 0}}};
const Lines rules = {"ip t c handle 7"};

TEST(TellingLines, KeepsTheFailingInstructionAndTheMessage) {
  EXPECT_EQ(telling_lines("func#0 @0\n0: R1=ctx() R10=fp0\n0: (b7) r2 = 5\t; R2_w=5\n"
                          "1: (61) r0 = *(u32 *)(r2 +16)\nR2 invalid mem access 'scalar'\n"
                          "processed 2 insns (limit 1000000) max_states_per_insn 0\n",
                          program, rules),
            (Lines{"instruction 1 of program forward, from the code around the rules",
                   "1: (61) r0 = *(u32 *)(r2 +16)", "R2 invalid mem access 'scalar'"}));
}

TEST(TellingLines, NamesTheRule) {
  EXPECT_EQ(telling_lines("5: (95) exit\nR0 !read_ok\n", program, rules).at(0),
            "instruction 5 of program forward, from rule ip t c handle 7");
}

TEST(TellingLines, KeepsTheStatisticsOfATooComplexProgram) {
  EXPECT_EQ(telling_lines("9: (05) goto pc+1\nBPF program is too large. Processed 1000001 insn\n"
                          "processed 1000001 insns (limit 1000000) max_states_per_insn 4\n",
                          program, rules),
            (Lines{"instruction 9 of program forward, from rule ip t c handle 7",
                   "9: (05) goto pc+1", "BPF program is too large. Processed 1000001 insn",
                   "processed 1000001 insns (limit 1000000) max_states_per_insn 4"}));
}

TEST(TellingLines, KeepsTheLastLinesOfALongOne) {
  std::string log = "3: (95) exit\n";
  for (int i = 0; i < 20; ++i) log += "line " + std::to_string(i) + "\n";
  const auto lines = telling_lines(log, program, rules);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines.front(), "instruction 3 of program forward, from rule ip t c handle 7");
  EXPECT_EQ(lines.back(), "line 19");
}

TEST(TellingLines, TakesALogWithoutInstructions) {
  EXPECT_EQ(telling_lines("", program, rules), Lines{});
  EXPECT_EQ(
      telling_lines("jump out of range from insn 4 to 9\nprocessed 0 insns\n", program, rules),
      Lines{"jump out of range from insn 4 to 9"});
}

}  // namespace
}  // namespace weir::kernel
