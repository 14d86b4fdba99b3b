// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_dead_rules.h"

#include <algorithm>
#include <variant>

#include "imr/identity.h"
#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

bool never_holds(const imr::Ruleset& ruleset, const imr::Rule& rule, std::size_t index) {
  const imr::Statement& statement = rule.statements[index];
  if (const auto* range = std::get_if<imr::MatchRange>(&statement)) {
    return !range->inverted && range->to < range->from;
  }
  if (const auto* lookup = std::get_if<imr::MatchSet>(&statement)) {
    const imr::Set& set = ruleset[lookup->set];
    return !lookup->inverted && set.elements.empty() && !set.catch_all && !set.dynamic;
  }
  if (const auto* lookup = std::get_if<imr::VerdictMap>(&statement)) {
    const imr::Set& map = ruleset[lookup->map];
    return map.elements.empty() && !map.catch_all;
  }
  const auto* match = std::get_if<imr::Match>(&statement);
  if (match == nullptr || match->op != imr::Relop::eq) return false;
  for (std::size_t i = 0; i < index; ++i) {
    const auto* earlier = std::get_if<imr::Match>(&rule.statements[i]);
    if (earlier == nullptr || !imr::same_expr(ruleset, earlier->lhs, match->lhs)) continue;
    const bool same = earlier->rhs == match->rhs;
    if (earlier->rhs.size() == match->rhs.size() &&
        ((earlier->op == imr::Relop::eq && !same) || (earlier->op == imr::Relop::ne && same))) {
      return true;
    }
  }
  return false;
}

bool is_dead(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  for (std::size_t i = 0; i < rule.statements.size(); ++i) {
    if (never_holds(ruleset, rule, i)) return !acts_before(ruleset, rule, i);
  }
  return false;
}

// Whether every packet that reaches the rule leaves the chain there for good.
bool always_ends(const imr::Rule& rule) {
  for (const imr::Statement& statement : rule.statements) {
    if (std::holds_alternative<imr::Counter>(statement)) continue;
    const auto* verdict = std::get_if<imr::VerdictStatement>(&statement);
    if (verdict == nullptr) return false;
    switch (verdict->verdict.kind) {
      case imr::Verdict::Kind::accept:
      case imr::Verdict::Kind::drop:
      case imr::Verdict::Kind::return_:
      case imr::Verdict::Kind::go_to:
        return true;
      case imr::Verdict::Kind::continue_:
        continue;
      case imr::Verdict::Kind::jump:
      case imr::Verdict::Kind::queue:
        return false;
    }
  }
  return false;
}

}  // namespace

void imr_dead_rules(imr::Unit& unit) {
  imr::Ruleset& ruleset = unit.ruleset;
  const imr::Ruleset& same = ruleset;  // reading rules changes none
  for (const imr::ChainId id : unit_chains(unit)) {
    imr::Chain& chain = ruleset[id];
    remove_rules(chain, [&](imr::RuleId rule) { return is_dead(same, same[rule]); });
    const auto end = std::ranges::find_if(
        chain.rules, [&](imr::RuleId rule) { return always_ends(same[rule]); });
    if (end != chain.rules.end()) chain.rules.erase(end + 1, chain.rules.end());
  }
}

}  // namespace weir::passes
