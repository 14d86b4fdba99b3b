// SPDX-License-Identifier: BSD-2-Clause
//
// Removes rules from chains that no packet gets to the end of: behind a rule that always ends the
// chain, contradictions (one value equal to two constants), empty ranges and sets. Their counters
// stay listed, at zero; a rule that counts or may end in front of its contradiction stays.
//
//   accept
//   match payload network 9 1 == 0x06; drop      ->    accept
//
// Reads: statements, sets. Writes: rules of chains.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_dead_rules(imr::Unit& unit);

}  // namespace weir::passes
