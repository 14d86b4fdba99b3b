// SPDX-License-Identifier: BSD-2-Clause
//
// Tests once what several rules in a row test first: they move into a chain of their own behind the
// common test, and lowering lays that chain inline.
//
//   match meta l4proto == 0x06; A; accept        match meta l4proto == 0x06; jump g
//   match meta l4proto == 0x06; B; drop    ->    chain g: A; accept
//                                                         B; drop
//
// Rules that return or goto stay where they are, as those verdicts mean the chain they stand in.
// The rule that tests is synthetic: it never counts as matched. Reads: statements. Writes: rules of
// chains, statements, new chains and rules.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_share_guards(imr::Unit& unit);

}  // namespace weir::passes
