// SPDX-License-Identifier: BSD-2-Clause
//
// Replaces lookups in maps that hold something from the start by a binary search in one map value,
// a table of rows in ascending order. Loaders of ELF objects fill such a value (a data section),
// but no hash map or trie: a set would be empty, and its rules would mean something else.
//
//   b0: rule 3                              b0: rule 3
//     v4 = lookup map2, [v1]                  v5 = map_value map7
//     branch v4 eq 0 ? b1 : b2       ->       ... v9 = the row's address, or on to b8
//                                             v4 = add v9, 8; jump b2
//                                           b8: rule 3
//                                             v4 = const 0; jump b1
//
// Reads: lookups, the maps' contents. Writes: those lookups, and the ends of their blocks, which
// compare the address with 0; new maps behind the others. The old maps stay, and nothing refers to
// them. Hash maps, LPM tries and arrays are replaced; per-CPU maps are left. Runs before other
// passes. Before and after: flow::verify().
#pragma once

#include "flow/flow.h"

namespace weir::passes {

void flow_self_contained(flow::Function& function);

}  // namespace weir::passes
