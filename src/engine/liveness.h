// SPDX-License-Identifier: BSD-2-Clause
//
// Which registers and stack slots may still be read before they are written, at every operation:
// two states that differ elsewhere only are one to the checker.
#pragma once

#include <vector>

#include "engine/code.h"
#include "engine/state.h"

namespace weir::engine {

// Indexed by operation; what is live before it. Errs on the side of more.
[[nodiscard]] std::vector<Parts> compute_liveness(const Code& code);

}  // namespace weir::engine
