// SPDX-License-Identifier: BSD-2-Clause
//
// What several IMR passes ask of expressions.
#pragma once

#include <functional>
#include <optional>

#include "imr/imr.h"

namespace weir::passes {

// Whether two expressions of one ruleset are the same, whatever their ids.
[[nodiscard]] bool same_expr(const imr::Ruleset& ruleset, imr::ExprId a, imr::ExprId b);
// The same of two comparisons.
[[nodiscard]] bool same_match(const imr::Ruleset& ruleset, const imr::Match& a,
                              const imr::Match& b);

// The value of an expression that is the same for all packets of the unit.
[[nodiscard]] std::optional<Bytes> constant_value(const imr::Unit& unit, imr::ExprId expr);

// Each chain that the unit's roots reach, once.
[[nodiscard]] std::vector<imr::ChainId> unit_chains(const imr::Unit& unit);

// Removes the rules from a chain for which `dead` holds.
void remove_rules(imr::Chain& chain, const std::function<bool(imr::RuleId)>& dead);

// Whether a rule counts in front of statement `index`: its effect there must not be lost.
[[nodiscard]] bool counts_before(const imr::Rule& rule, std::size_t index);

}  // namespace weir::passes
