// SPDX-License-Identifier: BSD-2-Clause
//
// Gives every jump to a small chain a copy of its own, which lowering then lays inline, and forgets
// jumps to empty chains. Copies keep the names and counters of the rules they are made of.
//
//   rule a: jump small                rule a: jump small.1
//   rule b: jump small        ->      rule b: jump small.2
//
// Reads: chains, statements. Writes: statements, new chains and rules.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_inline_chains(imr::Unit& unit);

}  // namespace weir::passes
