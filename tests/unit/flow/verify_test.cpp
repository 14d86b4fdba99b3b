// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include "flow/flow.h"

namespace weir::flow {
namespace {

constexpr std::string_view head = R"(function "f"
map 0 "set" hash key 12 value 4 entries 1
map 1 "one" array key 4 value 8 entries 1
map 2 "counts" percpu_array key 4 value 16 entries 2
rule 0 "r"
)";

// What verify() says about the blocks; empty when it agrees.
std::string verdict(std::string_view blocks) {
  const Result<Function> function = parse(std::string(head) + std::string(blocks), "t");
  if (!function) return "parse: " + function.error().text();
  try {
    verify(*function);
  } catch (const InvariantError& error) {
    return error.what();
  }
  return "";
}

TEST(Verify, Accepts) {
  EXPECT_EQ(verdict(R"(b0: rule 0
  window v0 = 4 at 8 ? b1 : b5
b1:
  v1 = load16 v0 + 2
  v2 = lookup map0[v1, v1] of 12
  branch v2 eq 0 ? b5 : b2
b2:
  v3 = load32 v2
  v4 = map_value map1
  v5 = and v3, 4
  v6 = add v4, v5
  v7 = load32 v6
  count map2[1], v7
  jump b3
b3:
  v7 = sub v7, 1
  branch v7 gt 0 ? b3 : b4
b4:
  ret accept
b5:
  ret drop
)"),
            "");
}

struct Case {
  std::string_view blocks;
  std::string_view error;
};

class Refusals : public testing::TestWithParam<Case> {};

TEST_P(Refusals, SayWhatIsWrong) {
  EXPECT_EQ(verdict(GetParam().blocks), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Verify, Refusals,
    testing::Values(
        Case{"", "flow \"f\": no blocks"},
        Case{"b0:\n none\n", "flow \"f\" b0: the block does not end"},
        Case{"b0: rule 1\n ret drop\n", "flow \"f\" b0: the block's rule has no name"},
        Case{"b0:\n v0 = copy v1\n v1 = copy v0\n ret drop\n",
             "flow \"f\" b0: v1 is read before it is written on every path"},
        Case{"b0:\n v0 = context mark\n branch v0 eq 0 ? b1 : b2\nb1:\n v1 = const 1\n jump b2\n"
             "b2:\n v2 = copy v1\n ret drop\n",
             "flow \"f\" b0: v1 is read before it is written on every path"},
        Case{"b0:\n window v0 = 4 at 0 ? b1 : b1\nb1:\n v1 = load32 v0\n ret drop\n",
             "flow \"f\" b1: v1 = load32 v0: v0 is read before it is written on every path"},
        Case{"b0:\n window v0 = 4 at 0 ? b1 : b2\nb1:\n v1 = load32 v0 + 1\n ret drop\nb2:\n ret "
             "drop\n",
             "flow \"f\" b1: v1 = load32 v0 + 1: a load outside of its window"},
        Case{"b0:\n v0 = const 1\n v1 = load8 v0\n ret drop\n",
             "flow \"f\" b0: v1 = load8 v0: a load from what is not an address"},
        Case{"b0:\n v0 = const 1\n v1 = lookup map0[v0, v0] of 12\n v2 = load8 v1\n ret drop\n",
             "flow \"f\" b0: v2 = load8 v1: a load from an address that may be 0"},
        Case{"b0:\n v0 = const 1\n v1 = lookup map0[v0] of 12\n ret drop\n",
             "flow \"f\" b0: v1 = lookup map0[v0] of 12: not as many words as the key has"},
        Case{"b0:\n v0 = const 1\n v1 = lookup map0[v0] of 8\n ret drop\n",
             "flow \"f\" b0: v1 = lookup map0[v0] of 8: the key has not the size of the map's"},
        Case{"b0:\n v0 = map_value map1\n v1 = load32 v0 + 5\n ret drop\n",
             "flow \"f\" b0: v1 = load32 v0 + 5: a load outside of its window"},
        Case{"b0:\n v0 = map_value map0\n ret drop\n",
             "flow \"f\" b0: v0 = map_value map0: not an array of one element"},
        Case{"b0:\n v0 = const 1\n count map2[2], v0\n ret drop\n",
             "flow \"f\" b0: count map2[2], v0: no such counter"},
        Case{"b0:\n v0 = const 1\n v0 = shl v0, 64\n ret drop\n",
             "flow \"f\" b0: v0 = shl v0, 0x40: a shift by 64 or more"},
        Case{"b0:\n window v0 = 0 at 0 ? b0 : b0\n",
             "flow \"f\" b0: window v0 = 0 at 0 ? b0 : b0: a window of no bytes"}));

TEST(Verify, RefusesWhatHasNoText) {
  Function function{.name = "f", .blocks = {}, .maps = {}, .rule_names = {}};
  const BlockId entry = function.new_block();
  function[entry].end = {.kind = Terminator::Kind::jump, .yes = BlockId(7)};
  EXPECT_THROW(verify(function), InvariantError);
  function[entry].end = {.kind = Terminator::Kind::ret};
  EXPECT_NO_THROW(verify(function));
  function[entry].instructions.push_back({.op = Op::add, .dst = Reg(0), .a = Reg(0)});
  EXPECT_THROW(verify(function), InvariantError) << "v0 is beyond the count of registers";
  function[entry].instructions = {{.op = Op::constant, .dst = Reg(0), .a = Reg(0)}};
  function.registers = 1;
  EXPECT_THROW(verify(function), InvariantError) << "const has no operand a";
}

}  // namespace
}  // namespace weir::flow
