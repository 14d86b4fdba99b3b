// SPDX-License-Identifier: BSD-2-Clause
//
// Shortens the way of control: jumps to blocks that only jump go to where those lead; a branch to
// one and the same block, or on a number known in its block, becomes a jump; a block is put behind
// the jump of its only predecessor. Instructions stay with the rule of their block, so two blocks
// that both have some are put together only when they belong to the same rule.
//
//   b0: rule 0                       b0: rule 0
//     branch v0 ne 0 ? b1 : b2         branch v0 ne 0 ? b2 : b1
//   b1: rule 0                       b1: rule 0
//     jump b3                   ->     count map0[0], v1
//   b2: rule 0                         ret drop
//     count map0[0], v1              b2: rule 1
//     jump b4                          ...
//   b3: rule 1 ...
//   b4: rule 0
//     ret drop
//
// Reads and writes: terminators, the list of blocks. Before and after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_thread_branches(flow::Function& function);

}  // namespace weir::passes
