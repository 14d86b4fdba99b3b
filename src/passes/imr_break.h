// SPDX-License-Identifier: BSD-2-Clause
//
// For tests only: makes a wrong program on purpose, by changing the constant of the first
// comparison of every chain. Each judge must notice.
#pragma once

#include "imr/imr.h"

namespace weir::passes {

void imr_break(imr::Unit& unit);

}  // namespace weir::passes
