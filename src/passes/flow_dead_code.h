// SPDX-License-Identifier: BSD-2-Clause
//
// Removes instructions without effect whose result is never needed, and blocks that are never
// reached (the others are renumbered). Windows stay, as they decide where control goes.
//
//   v1 = load32 v0                   count map0[1], v5
//   v2 = swap32 v1              ->   ret accept
//   count map0[1], v5
//   ret accept
//
// Reads and writes: instructions, the list of blocks. Before and after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_dead_code(flow::Function& function);

}  // namespace weir::passes
