// SPDX-License-Identifier: BSD-2-Clause
//
// Random functions of the flow level, of the shapes that lowering makes and some that it does not:
// rows of windows, tests, lookups, loops, registers assigned many times. Each is one that
// flow::verify() accepts and that ends on every packet.
#pragma once

#include <random>

#include "flow/flow.h"
#include "unit/passes/flow_machine.h"

namespace weir::test {

using Random = std::mt19937_64;

[[nodiscard]] flow::Function random_function(Random& random);
// A packet of 0 to 100 bytes and a context; small numbers and such that maps hold are likely.
[[nodiscard]] World random_world(Random& random);

}  // namespace weir::test
