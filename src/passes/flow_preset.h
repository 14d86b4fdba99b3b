// SPDX-License-Identifier: BSD-2-Clause
//
// Sets a constant before the choice of which one way does nothing but set it, so that this way
// joins the other at once and packets that go the other way need not jump around it.
//
//   b0:                              b0:
//     window v0 = 2 at v1 ? b1 : b2    v2 = const 0
//   b1:                                window v0 = 2 at v1 ? b1 : b3
//     v2 = load16 v0           ->    b1:
//     jump b3                          v2 = load16 v0
//   b2:                                jump b3
//     v2 = const 0                   b3: ...
//     jump b3
//   b3: ...
//
// Reads and writes: instructions, targets of terminators. Before and after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_preset(flow::Function& function);

}  // namespace weir::passes
