// SPDX-License-Identifier: BSD-2-Clause
//
// Rules of generated lists as the text of the IMR: nft would take most of a test's time to load
// them.
#pragma once

#include <cstddef>
#include <string>

#include "bench/rule_sets.h"

namespace weir::differential {

// A line of a chain of family ip. Of ports, the rule asks for TCP where it names no protocol. Every
// third number has a counter, and some of these go on. With tails, most of them still log or limit.
[[nodiscard]] std::string imr_of(const bench::ListRule& rule, std::size_t number,
                                 bool tails = false);

}  // namespace weir::differential
