// SPDX-License-Identifier: BSD-2-Clause
//
// Leads control past tests whose outcome is known where it comes from: what is one number is no
// other one.
//
//   b1: rule 0                       b1: rule 0
//     branch v0 ne 80 ? b3 : b2        branch v0 ne 80 ? b3 : b2
//   b2: rule 0                       b2: rule 0
//     branch v1 ne 7 ? b3 : b9   ->    branch v1 ne 7 ? b4 : b9
//   b3: rule 1                       b3: rule 1
//     branch v0 ne 81 ? b4 : b8        branch v0 ne 81 ? b4 : b8
//   b4: rule 2 ...                   b4: rule 2 ...
//
// A list of rules that each ask for one number first becomes a chain of tests that packets fall
// through, and the rest of each rule can stand aside (backend::layout()). Only blocks that do
// nothing but test are passed, and no more than a few at once, so that the pass takes time by the
// size of the function.
//
// Reads: instructions. Writes: targets of terminators. Before and after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_thread_values(flow::Function& function);

}  // namespace weir::passes
