// SPDX-License-Identifier: BSD-2-Clause
//
// Computes what is constant: nested masks become one, masks, flips and byte swaps move over to the
// constant they are compared with, comparisons that always hold disappear, and rules in which one
// can never hold leave their chain (their counters stay, at zero), unless something counts before
// it, or may end the rule.
//
//   match (payload network 12 4 & 0xffffffff ^ 0x01000000) == 0x0b000001
//                                        ->    match payload network 12 4 == 0x0a000001
//   match meta nfproto == 0x02           ->    (nothing, in a unit for IPv4)
//
// Reads: expressions, statements, the protocol of the unit. Writes: statements, rules of chains,
// new expressions.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_fold_constants(imr::Unit& unit);

}  // namespace weir::passes
