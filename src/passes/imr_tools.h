// SPDX-License-Identifier: BSD-2-Clause
//
// What several IMR passes ask of expressions.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "imr/imr.h"

namespace weir::passes {

// The value of an expression that is the same for all packets of the unit.
[[nodiscard]] std::optional<Bytes> constant_value(const imr::Unit& unit, imr::ExprId expr);

// Each chain that the unit's roots reach, once.
[[nodiscard]] std::vector<imr::ChainId> unit_chains(const imr::Unit& unit);

// Removes the rules from a chain for which `dead` holds.
void remove_rules(imr::Chain& chain, const std::function<bool(imr::RuleId)>& dead);

// Whether a rule does something in front of statement `index` that must not be lost: it counts, or
// may have reached its verdict already.
[[nodiscard]] bool acts_before(const imr::Ruleset& ruleset, const imr::Rule& rule,
                               std::size_t index);

// Names for chains that a pass makes: a stem and the first number that no chain of the table has.
class ChainNames {
 public:
  explicit ChainNames(const imr::Ruleset& ruleset);
  [[nodiscard]] std::string fresh(imr::TableId table, const std::string& stem);

 private:
  std::set<std::pair<imr::TableId, std::string>> taken_;
  std::map<std::pair<imr::TableId, std::string>, unsigned> last_;
};

}  // namespace weir::passes
