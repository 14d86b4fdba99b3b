// SPDX-License-Identifier: BSD-2-Clause
//
// Turns named header fields into payload loads behind the guard that their protocol needs, and
// facts that all packets of the unit have in common into constants: the input device of an egress
// chain of family netdev, say, which is none.
//
//   match field "tcp dport" == 0x0016    ->    match meta l4proto == 0x06
//                                              match payload transport 2 2 == 0x0016
//
// Reads: expressions, statements. Writes: statements (a guard in front), new expressions. After it
// no statement of the unit holds a HeaderField, nor a fact that nf_hook_state does not have there.
// Fields of another network protocol than that of the unit get a guard that never holds.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_resolve_fields(imr::Unit& unit);

}  // namespace weir::passes
