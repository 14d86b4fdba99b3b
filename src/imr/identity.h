// SPDX-License-Identifier: BSD-2-Clause
//
// What in a ruleset is the same as something else of it, whatever their ids.
#pragma once

#include "imr/imr.h"

namespace weir::imr {

// Whether both have the same value for a packet. What varies is not even the same as itself.
[[nodiscard]] bool same_expr(const Ruleset& ruleset, ExprId a, ExprId b);
[[nodiscard]] bool same_match(const Ruleset& ruleset, const Match& a, const Match& b);

// The rule as it was written: that which passes made this one of, or the rule itself.
[[nodiscard]] RuleId as_written(const Ruleset& ruleset, RuleId rule);

}  // namespace weir::imr
