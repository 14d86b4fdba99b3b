// SPDX-License-Identifier: BSD-2-Clause
//
// Computes what is known inside a block: operands that are copies or constants are replaced by what
// they stand for, operations on constants and operations that change nothing by their result.
//
//   v1 = const 0xff                  v1 = const 0xff
//   v2 = load8 v0                    v2 = load8 v0
//   v3 = and v2, v1             ->   v3 = copy v2
//   v4 = swap16 v1                   v4 = const 0xff00
//   v5 = add v3, v4                  v5 = add v2, 0xff00
//
// What is left without a reader is for flow_dead_code. The test "t = xor v, C; branch t ne 0" stays
// what it is, C = 0 included: as `branch v ne C`, or through a copy, the kernel's verifier would
// learn the value of v, and its work would grow with the square of the number of rules.
//
// Reads: instructions. Writes: instructions, operands of terminators, each in its place. Before and
// after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_fold(flow::Function& function);

}  // namespace weir::passes
