// SPDX-License-Identifier: BSD-2-Clause
//
// Gives every jump to a small chain (8 rules with those of the chains that it jumps to) a chain of
// its own, which lowering then lays inline, and forgets jumps to empty chains. The last jump keeps
// the original, unless a verdict map leads there. Copies keep the names and counters of the rules
// they are made of; there are no more than 512 of them, and what is left over stays as it was.
//
//   rule a: jump small                rule a: jump small.1
//   rule b: jump small        ->      rule b: jump small
//
// Reads: chains, statements. Writes: statements, new chains and rules.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_inline_chains(imr::Unit& unit);

}  // namespace weir::passes
