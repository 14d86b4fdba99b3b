// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_break.h"

#include <variant>

#include "passes/imr_tools.h"

namespace weir::passes {

void imr_break(imr::Unit& unit) {
  for (const imr::ChainId chain : unit_chains(unit)) {
    bool broken = false;
    for (const imr::RuleId id : unit.ruleset[chain].rules) {
      for (imr::Statement& statement : unit.ruleset[id].statements.edit()) {
        auto* match = std::get_if<imr::Match>(&statement);
        if (match == nullptr || broken) continue;
        match->rhs.back() ^= 1;
        broken = true;
      }
    }
  }
}

}  // namespace weir::passes
