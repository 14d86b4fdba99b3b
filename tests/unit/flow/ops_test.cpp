// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include "flow/flow.h"

namespace weir::flow {
namespace {

TEST(Ops, OnlyCountAndTraceHaveEffects) {
  EXPECT_TRUE(has_effect(Op::count));
  EXPECT_TRUE(has_effect(Op::trace));
  EXPECT_TRUE(has_effect(Op::set_mark));
  EXPECT_FALSE(has_effect(Op::lookup));
  EXPECT_FALSE(has_effect(Op::load));
  EXPECT_FALSE(has_effect(Op::opaque_zero));
}

TEST(Ops, UsesAreTheRegistersThatAreRead) {
  const Instruction sum{.op = Op::add, .dst = Reg(0), .a = Reg(1), .b = Reg(2)};
  EXPECT_EQ(uses(sum), (std::vector<Reg>{Reg(1), Reg(2)}));
  const Instruction found{.op = Op::lookup, .dst = Reg(0), .args = {Reg(3), Reg(4)}};
  EXPECT_EQ(uses(found), (std::vector<Reg>{Reg(3), Reg(4)}));
  const Terminator window{.kind = Terminator::Kind::window, .dst = Reg(5), .a = Reg(6)};
  EXPECT_EQ(uses(window), std::vector<Reg>{Reg(6)});
}

TEST(Ops, SuccessorsByKind) {
  Terminator end{.kind = Terminator::Kind::ret};
  EXPECT_TRUE(successors(end).empty());
  end = {.kind = Terminator::Kind::jump, .yes = BlockId(3)};
  EXPECT_EQ(successors(end), std::vector<BlockId>{BlockId(3)});
  end = {.kind = Terminator::Kind::branch, .yes = BlockId(3), .no = BlockId(1)};
  EXPECT_EQ(successors(end), (std::vector<BlockId>{BlockId(3), BlockId(1)}));
  end = {.kind = Terminator::Kind::leave, .imm = 4};
  EXPECT_TRUE(successors(end).empty());
  end = {.kind = Terminator::Kind::dispatch, .sites = {{1, BlockId(3)}, {5, BlockId(2)}}};
  EXPECT_EQ(successors(end), (std::vector<BlockId>{BlockId(3), BlockId(2)}));
}

}  // namespace
}  // namespace weir::flow
