// SPDX-License-Identifier: BSD-2-Clause
//
// The text form of the IMR: what one reads to see what weir understood. docs/imr.md has the
// grammar. Whatever a Ruleset holds is in its text, so that parse(print(r)) is r again, chains,
// sets and expressions numbered anew.
#pragma once

#include <string>

#include "imr/imr.h"

namespace weir::imr {

[[nodiscard]] std::string print(const Ruleset& ruleset);
// The same behind a line that names hook, protocol and roots.
[[nodiscard]] std::string print(const Unit& unit);

// One of its parts, without the comment behind it: "payload network 12 4", "accept".
[[nodiscard]] std::string print(const Ruleset& ruleset, ExprId expr);
[[nodiscard]] std::string print(const Ruleset& ruleset, const Verdict& verdict);

}  // namespace weir::imr
