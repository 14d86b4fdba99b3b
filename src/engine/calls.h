// SPDX-License-Identifier: BSD-2-Clause
//
// Running the functions of engine/functions.h.
#pragma once

#include <array>
#include <cstdint>

#include "engine/functions.h"
#include "engine/machine.h"

namespace weir::engine {

// r0 after a call with r1 to r5 in `arguments`.
[[nodiscard]] std::uint64_t call(Machine& machine, FunctionId function,
                                 const std::array<std::uint64_t, 5>& arguments);

}  // namespace weir::engine
