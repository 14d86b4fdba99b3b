// SPDX-License-Identifier: BSD-2-Clause
//
// Makes one comparison of two that follow one another and compare neighbouring packet bytes, up
// to 8.
//
//   match payload network 12 4 == 0x0a000001
//   match payload network 16 4 == 0x0a000002
//     ->    match payload network 12 8 == 0x0a0000010a000002
//
// Only loads that behave alike in later fragments are merged, so that each keeps its behaviour: the
// rule needs both, and goes on if and only if both are there and equal. Reads and writes:
// statements, new expressions.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_merge_loads(imr::Unit& unit);

}  // namespace weir::passes
