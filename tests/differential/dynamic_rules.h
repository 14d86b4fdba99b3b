// SPDX-License-Identifier: BSD-2-Clause
//
// Sets that drawn rules change, and what the rules do with them. Times are such as no test lasts.
#pragma once

#include <string>
#include <vector>

#include "differential/matches.h"
#include "differential/random.h"
#include "differential/script.h"

namespace weir::differential {

[[nodiscard]] std::vector<Script::Set> dynamic_sets();
// Statements on these sets for a rule about such packets; none where it is about no addresses and
// no ports. Those that test a set come in front of what stands behind.
[[nodiscard]] std::vector<std::string> dynamic_statements(const Subject& subject, Random& random);

}  // namespace weir::differential
