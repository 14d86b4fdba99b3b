// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_share_guards.h"

#include <algorithm>
#include <variant>

#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

// Groups within groups make chains deeper; imr::verify() allows jumps 16 deep, as nft does.
constexpr unsigned most_levels = 2;
constexpr std::size_t deepest = 12;

bool leaves_by_return(const imr::Verdict& verdict) {
  return verdict.kind == imr::Verdict::Kind::return_ || verdict.kind == imr::Verdict::Kind::go_to;
}

bool leaves_by_return(const imr::Set& map) {
  const auto leaves = [](const imr::Element& element) {
    return element.verdict && leaves_by_return(*element.verdict);
  };
  return std::ranges::any_of(map.elements, leaves) || (map.catch_all && leaves(*map.catch_all));
}

// The test that a rule may share with its neighbours.
const imr::Match* guard(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  if (rule.statements.size() < 2) return nullptr;
  for (const imr::Statement& statement : rule.statements) {
    const auto* verdict = std::get_if<imr::VerdictStatement>(&statement);
    if (verdict != nullptr && leaves_by_return(verdict->verdict)) return nullptr;
    const auto* map = std::get_if<imr::VerdictMap>(&statement);
    if (map != nullptr && leaves_by_return(ruleset[map->map])) return nullptr;
  }
  return std::get_if<imr::Match>(&rule.statements.front());
}

std::size_t depth(const imr::Ruleset& ruleset, imr::ChainId chain) {
  std::size_t deepest_target = 0;
  const auto see = [&](const imr::Verdict& verdict) {
    if (verdict.chain.valid()) {
      deepest_target = std::max(deepest_target, 1 + depth(ruleset, verdict.chain));
    }
  };
  for (const imr::RuleId rule : ruleset[chain].rules) {
    for (const imr::Statement& statement : ruleset[rule].statements) {
      if (const auto* verdict = std::get_if<imr::VerdictStatement>(&statement)) {
        see(verdict->verdict);
      } else if (const auto* lookup = std::get_if<imr::VerdictMap>(&statement)) {
        for (const imr::Element& element : ruleset[lookup->map].elements) {
          if (element.verdict) see(*element.verdict);
        }
        const auto& catch_all = ruleset[lookup->map].catch_all;
        if (catch_all && catch_all->verdict) see(*catch_all->verdict);
      }
    }
  }
  return deepest_target;
}

class Sharing {
 public:
  explicit Sharing(imr::Unit& unit) : ruleset_(unit.ruleset) {}

  void chain(imr::ChainId chain, unsigned level) {
    const std::vector<imr::RuleId> rules = ruleset_[chain].rules;
    std::vector<imr::RuleId> grouped;
    for (std::size_t from = 0; from < rules.size();) {
      const std::size_t to = run_end(rules, from);
      if (to - from < 2) {
        grouped.push_back(rules[from]);
      } else {
        grouped.push_back(group(chain,
                                {rules.begin() + static_cast<std::ptrdiff_t>(from),
                                 rules.begin() + static_cast<std::ptrdiff_t>(to)},
                                level));
      }
      from = to;
    }
    ruleset_[chain].rules = std::move(grouped);
  }

 private:
  [[nodiscard]] std::size_t run_end(const std::vector<imr::RuleId>& rules, std::size_t from) const {
    const imr::Match* first = guard(ruleset_, ruleset_[rules[from]]);
    std::size_t to = from + 1;
    if (first == nullptr) return to;
    while (to < rules.size()) {
      const imr::Match* next = guard(ruleset_, ruleset_[rules[to]]);
      if (next == nullptr || !same_match(ruleset_, *first, *next)) break;
      ++to;
    }
    return to;
  }

  // Moves the rules into a chain of their own; the rule that tests and jumps there.
  imr::RuleId group(imr::ChainId chain, const std::vector<imr::RuleId>& rules, unsigned level) {
    const imr::Statement test = ruleset_[rules.front()].statements.front();
    for (const imr::RuleId rule : rules) {
      auto& statements = ruleset_[rule].statements;
      statements.erase(statements.begin());
    }
    const imr::ChainId made =
        ruleset_.add(imr::Chain{.table = ruleset_[chain].table,
                                .name = ruleset_[chain].name + ".g" + std::to_string(++groups_),
                                .base = std::nullopt,
                                .rules = rules});
    imr::Rule tester{.chain = chain, .synthetic = true};
    tester.statements.push_back(test);
    tester.statements.emplace_back(imr::VerdictStatement{{imr::Verdict::Kind::jump, made}});
    tester.total_statements = 2;
    ruleset_.rules.push_back(std::move(tester));
    const imr::RuleId id(ruleset_.rules.size() - 1);
    if (level < most_levels) this->chain(made, level + 1);
    return id;
  }

  imr::Ruleset& ruleset_;
  unsigned groups_ = 0;
};

}  // namespace

void imr_share_guards(imr::Unit& unit) {
  for (const imr::ChainId root : unit.roots) {
    if (depth(unit.ruleset, root) > deepest) return;
  }
  Sharing sharing(unit);
  for (const imr::ChainId chain : unit_chains(unit)) sharing.chain(chain, 1);
}

}  // namespace weir::passes
