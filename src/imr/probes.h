// SPDX-License-Identifier: BSD-2-Clause
//
// The constants of a ruleset as the generator of directed packets takes them: one group a rule,
// with what the rule says about the packets that it is about.
#pragma once

#include <vector>

#include "imr/imr.h"
#include "packet/directed.h"

namespace weir::imr {

[[nodiscard]] std::vector<packet::Probe> probes_of(const Ruleset& ruleset);

}  // namespace weir::imr
