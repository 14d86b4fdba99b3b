// SPDX-License-Identifier: BSD-2-Clause
//
// The rules that every Ruleset and every Unit keeps, between any two passes. docs/imr.md lists
// them.
#pragma once

#include <optional>
#include <string>

#include "imr/imr.h"

namespace weir::imr {

// The first rule that is broken, in words, with the table, chain and rule it is broken at.
[[nodiscard]] std::optional<std::string> find_violation(const Ruleset& ruleset);
[[nodiscard]] std::optional<std::string> find_violation(const Unit& unit);

// Throws InvariantError with the violation, if there is one.
void verify(const Ruleset& ruleset);
void verify(const Unit& unit);

}  // namespace weir::imr
