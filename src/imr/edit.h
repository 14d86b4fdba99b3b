// SPDX-License-Identifier: BSD-2-Clause
//
// One rule of a ruleset that changes.
#pragma once

#include <optional>

#include "imr/imr.h"

namespace weir::imr {

// A rule of a ruleset that came, went, or took the place of another one.
struct RuleEdit {
  ChainId chain;
  std::optional<RuleId> removed;  // no longer in Chain::rules; Ruleset::rules still has it
  std::optional<RuleId> added;    // in Chain::rules now, last of Ruleset::rules
};

}  // namespace weir::imr
