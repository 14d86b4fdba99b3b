// SPDX-License-Identifier: BSD-2-Clause
#include "flow/liveness.h"

#include <gtest/gtest.h>

namespace weir::flow {
namespace {

// v0 is the step of a loop, v1 its counter, v2 is written for nothing from v0.
constexpr std::string_view loop = R"(function "loop"
b0:
  v0 = const 1
  v1 = const 0
  jump b1
b1:
  v2 = add v3, 1
  v1 = add v1, v0
  branch v1 lt 8 ? b1 : b2
b2:
  ret accept
)";

std::vector<std::vector<Reg>> live(Reads reads) {
  return live_at_start(parse(loop, "loop").value(), reads);
}

TEST(Liveness, GoesAroundLoopsAndUpToTheEntry) {
  const auto blocks = live(Reads::all);
  EXPECT_EQ(blocks[0], std::vector<Reg>{Reg(3)});
  EXPECT_EQ(blocks[1], (std::vector<Reg>{Reg(0), Reg(1), Reg(3)}));
  EXPECT_TRUE(blocks[2].empty());
}

TEST(Liveness, NeededReadsLeaveOutWhatOnlyFeedsDeadInstructions) {
  const auto blocks = live(Reads::needed);
  EXPECT_TRUE(blocks[0].empty());
  EXPECT_EQ(blocks[1], (std::vector<Reg>{Reg(0), Reg(1)}));
}

}  // namespace
}  // namespace weir::flow
