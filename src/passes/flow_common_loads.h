// SPDX-License-Identifier: BSD-2-Clause
//
// Does once what is done again where the first result is at hand: loads from windows, facts of the
// context, arithmetic, the clock. "At hand" means that every path comes by the first one (it
// dominates), that its result is assigned nowhere else, and that nothing assigns its operands again
// behind it. Loads of map values are left alone, since user space may write there meanwhile.
//
//   b1:                              b1:
//     v1 = load16 v0                   v1 = load16 v0
//     branch v1 lt v2 ? b2 : b3        branch v1 lt v2 ? b2 : b3
//   b2:                         ->   b2:
//     v3 = load16 v0                   v4 = swap16 v1
//     v4 = swap16 v3                   ...
//
// A value kept from one block to another may cost a slot of the program's 512 bytes of stack, so
// only a few are. What a rule makes of a value last before it tests it (byte swaps, xor with a
// constant) never is: the kernel's verifier would remember the outcome of every test.
//
// Reads: instructions, terminators. Writes: both. Before and after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_common_loads(flow::Function& function);

}  // namespace weir::passes
