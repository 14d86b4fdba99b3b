// SPDX-License-Identifier: BSD-2-Clause
//
// One rule of a ruleset that changes, and what else changes with it.
#pragma once

#include <optional>
#include <vector>

#include "imr/imr.h"

namespace weir::imr {

// A rule of a ruleset that came, went, or took the place of another one.
struct RuleEdit {
  ChainId chain;
  std::optional<RuleId> removed;  // no longer in Chain::rules; Ruleset::rules still has it
  std::optional<RuleId> added;    // in Chain::rules now, last of Ruleset::rules
};

// The chains that the rule jumps or goes to, verdict maps included, in order of appearance, repeats
// included.
[[nodiscard]] std::vector<ChainId> targets(const Ruleset& ruleset, const Rule& rule);

}  // namespace weir::imr
