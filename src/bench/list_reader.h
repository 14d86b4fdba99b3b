// SPDX-License-Identifier: BSD-2-Clause
//
// A chain as a list of rules over addresses, ports and protocol, for those who cannot be given a
// script.
#pragma once

#include "base/error.h"
#include "bench/rule_sets.h"
#include "imr/imr.h"

namespace weir::bench {

// Means the same of IPv4 packets. A chain with a rule that is no such is an input error that names
// it.
[[nodiscard]] Result<List> read_list(const imr::Ruleset& ruleset, imr::ChainId chain);

}  // namespace weir::bench
