// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_share_guards.h"

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "imr/identity.h"
#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

// Groups within groups make chains deeper; imr::verify() allows 16 chains below one another, as nft
// does.
constexpr std::size_t most_levels = 2;
constexpr std::size_t deepest = 16;

bool leaves_by_return(const imr::Verdict& verdict) {
  return verdict.kind == imr::Verdict::Kind::return_ || verdict.kind == imr::Verdict::Kind::go_to;
}

bool leaves_by_return(const imr::Set& map) {
  const auto leaves = [](const imr::Element& element) {
    return element.verdict && leaves_by_return(*element.verdict);
  };
  return std::ranges::any_of(map.elements, leaves) || (map.catch_all && leaves(*map.catch_all));
}

// Whether a hook asks what the rule tests in front of it: it may be about where headers are
// (Need::Kind::move_headers in backend/servable.h).
bool needs_its_tests(const imr::Statement& statement) {
  const auto* write = std::get_if<imr::PayloadWrite>(&statement);
  return write != nullptr && write->base == imr::HeaderBase::network;
}

// The test that a rule may share with its neighbours.
const imr::Match* guard(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  if (rule.statements.size() < 2 || rule.run != 0) return nullptr;
  for (const imr::Statement& statement : rule.statements) {
    if (needs_its_tests(statement)) return nullptr;
    const auto* verdict = std::get_if<imr::VerdictStatement>(&statement);
    if (verdict != nullptr && leaves_by_return(verdict->verdict)) return nullptr;
    const auto* map = std::get_if<imr::VerdictMap>(&statement);
    if (map != nullptr && leaves_by_return(ruleset[map->map])) return nullptr;
  }
  return std::get_if<imr::Match>(&rule.statements.front());
}

// How many chains stand below one another from here on, this one included. `known` holds what was
// found out before.
std::size_t height(const imr::Ruleset& ruleset, imr::ChainId chain,
                   std::map<imr::ChainId, std::size_t>& known) {
  if (const auto found = known.find(chain); found != known.end()) return found->second;
  std::size_t highest = 0;
  for (const imr::ChainId target : imr::targets(ruleset, chain)) {
    highest = std::max(highest, height(ruleset, target, known));
  }
  return known[chain] = highest + 1;
}

class Sharing {
 public:
  Sharing(imr::Unit& unit, std::size_t levels)
      : ruleset_(unit.ruleset), names_(unit.ruleset), levels_(levels) {
    for (const imr::Rule& rule : ruleset_.rules) {
      for (const imr::Statement& statement : rule.statements) {
        const bool is_write = std::holds_alternative<imr::MetaWrite>(statement) ||
                              std::holds_alternative<imr::DynamicSet>(statement) ||
                              imr::writes_packet(statement);
        if (is_write && !known_write(statement)) writes_.push_back(statement);
      }
    }
  }

  void chain(imr::ChainId chain, std::size_t level) {
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
  // Whether a write is known that changes the same: the fact of one key, one set, or the packet.
  [[nodiscard]] bool known_write(const imr::Statement& statement) const {
    if (const auto* change = std::get_if<imr::DynamicSet>(&statement)) {
      return std::ranges::any_of(writes_, [&](const imr::Statement& known) {
        const auto* other = std::get_if<imr::DynamicSet>(&known);
        return other != nullptr && other->set == change->set;
      });
    }
    const auto* fact = std::get_if<imr::MetaWrite>(&statement);
    return std::ranges::any_of(writes_, [&](const imr::Statement& known) {
      if (std::holds_alternative<imr::DynamicSet>(known)) return false;
      const auto* other = std::get_if<imr::MetaWrite>(&known);
      return fact == nullptr || other == nullptr ? fact == other : fact->key == other->key;
    });
  }

  [[nodiscard]] std::size_t run_end(const std::vector<imr::RuleId>& rules, std::size_t from) const {
    const imr::Ruleset& same = ruleset_;  // reading rules changes none
    const imr::Match* first = guard(same, same[rules[from]]);
    std::size_t to = from + 1;
    if (first == nullptr) return to;
    // A rule of the group, or a chain that it jumps to, may change what the test was about.
    const auto changes = [&](const imr::Statement& write) {
      return imr::reads_written(ruleset_, write, first->lhs);
    };
    if (std::ranges::any_of(writes_, changes)) return to;
    while (to < rules.size()) {
      const imr::Match* next = guard(same, same[rules[to]]);
      if (next == nullptr || !imr::same_match(ruleset_, *first, *next)) break;
      ++to;
    }
    return to;
  }

  // Moves the rules into a chain of their own; the rule that tests and jumps there.
  imr::RuleId group(imr::ChainId chain, const std::vector<imr::RuleId>& rules, std::size_t level) {
    const imr::Statement test = std::as_const(ruleset_)[rules.front()].statements.front();
    for (const imr::RuleId rule : rules) {
      auto& statements = ruleset_[rule].statements.edit();
      statements.erase(statements.begin());
    }
    const imr::TableId table = ruleset_[chain].table;
    const imr::ChainId made =
        ruleset_.add(imr::Chain{.table = table,
                                .name = names_.fresh(table, ruleset_[chain].name + ".g"),
                                .base = std::nullopt,
                                .rules = rules});
    imr::Rule tester{.chain = chain, .synthetic = true};
    tester.statements.push_back(test);
    tester.statements.emplace_back(imr::VerdictStatement{{imr::Verdict::Kind::jump, made}});
    tester.total_statements = 2;
    ruleset_.rules.push_back(std::move(tester));
    const imr::RuleId id(ruleset_.rules.size() - 1);
    if (level < levels_) this->chain(made, level + 1);
    return id;
  }

  imr::Ruleset& ruleset_;
  ChainNames names_;
  std::size_t levels_;
  std::vector<imr::Statement> writes_;  // one for all that change the same
};

}  // namespace

void imr_share_guards(imr::Unit& unit) {
  std::map<imr::ChainId, std::size_t> known;
  std::size_t highest = 1;
  for (std::size_t i = 0; i < unit.ruleset.chains.size(); ++i) {
    const imr::ChainId chain(i);
    // Chains that packets never come to may jump in a circle.
    if (unit.ruleset[chain].base) highest = std::max(highest, height(unit.ruleset, chain, known));
  }
  // Each chain on the way down may get so many below it.
  const std::size_t levels = std::min(most_levels, deepest / highest - 1);
  if (levels == 0) return;
  Sharing sharing(unit, levels);
  for (const imr::ChainId chain : unit_chains(unit)) sharing.chain(chain, 1);
}

}  // namespace weir::passes
