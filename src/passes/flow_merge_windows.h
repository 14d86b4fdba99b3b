// SPDX-License-Identifier: BSD-2-Clause
//
// Bounds-check merging, in two ways.
//
// A window inside of another one that is known to be there (its success dominates; the bases are
// none, or the same register, not assigned again) asks nothing: its loads go through the other one.
// As that costs stack, one window of a function is kept for it.
//
// A row of windows on one base, each leading to the next whether its bytes are there or not, gets
// one wide check in front. If all bytes are there, all the loads run in one block without further
// checks; if not, the row runs as it was. So packets of every length get what they got. Where much
// stands behind the last load, both ways go on there rather than each with a copy of it.
//
//   b0:                                    b0:
//     window v0 = 2 at v9 ? b1 : b2          window v5 = 4 at v9 ? b7 : b8
//   b1:                                    b7:                      ; all there
//     v1 = load16 v0                         v1 = load16 v5
//     jump b3                                v3 = load16 v5 + 2
//   b2:                                      jump b6
//     v1 = const 0                         b8:                      ; the row as it was
//     jump b3                         ->     window v0 = 2 at v9 ? b1 : b2
//   b3:                                    b1: ... b5: as before
//     window v2 = 2 at v9 + 2 ? b4 : b5
//   b4:
//     v3 = load16 v2
//     jump b6
//   b5: ...
//
// Reads: everything. Writes: terminators, loads, new blocks and registers. Before and after:
// flow::verify(). Leaves unreachable blocks behind.
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_merge_windows(flow::Function& function);

}  // namespace weir::passes
