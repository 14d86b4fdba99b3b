// SPDX-License-Identifier: BSD-2-Clause
//
// Lets the kernel's verifier see the values of a small function: takes away what hides them from
// it, which costs packets time and keeps only the checks of larger functions from growing with the
// square of their rules.
//
//   v0 = opaque_zero map0            v0 = const 0
//   v1 = add v0, 14             ->   v1 = add v0, 14
//   v2 = xor v3, 80                  v2 = xor v3, 80
//   branch v2 ne 0                   branch v3 ne 80
//
// A function is small when it has few blocks and no loop, and the ways that tests of its values can
// go, each value taken to be one of those tested or none, are few together.
//
// Reads: instructions and terminators. Writes: opaque zeros, tests of guards. Before and after:
// flow::verify(). flow_fold behind it computes what is known now.
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_show_values(flow::Function& function);

}  // namespace weir::passes
