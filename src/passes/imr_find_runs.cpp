// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_find_runs.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "classify/run_index.h"
#include "classify/runs.h"
#include "classify/tests.h"
#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

// Fewer are never searched faster than tried.
constexpr std::size_t fewest_rules = 64;
// What a rule takes that is tried, in ns: of many, half are passed before one holds.
constexpr double cost_of_rule = 0.5;
// A search is a loop, which the kernel's verifier walks as often as it may go round, some 70
// instructions each time. Of its 1,000,000 this leaves enough for three units.
constexpr std::size_t longest_searches = 2000;  // together
// In a unit. Each has a map of its own, of the 64 of a program, which up to three units share with
// the maps of sets and of counters.
constexpr std::uint32_t most_runs = 6;

using Rules = std::vector<imr::RuleId>;

class Finder {
 public:
  Finder(imr::Unit& unit, const RunSettings& settings);

  std::map<std::uint32_t, classify::RunIndex> run();

 private:
  // Where the rules are better searched.
  [[nodiscard]] std::optional<classify::RunIndex> index_of(
      std::span<const imr::RuleId> rules) const;
  // Of the chains that the rules lead to, those that rules elsewhere lead to as well.
  [[nodiscard]] std::set<imr::ChainId> entered_from_elsewhere(
      std::span<const imr::RuleId> rules) const;
  // Whether the rules are few, and lead to others only where all packets go: those are searched
  // better by themselves, for then they stand in one chain (driver/in_place.h).
  [[nodiscard]] bool only_leads_on(std::span<const imr::RuleId> rules) const;
  void in_chain(imr::ChainId chain, classify::Suitability::Scope scope);
  void mark(std::span<const imr::RuleId> rules);
  [[nodiscard]] bool asks_sets(std::span<const imr::ChainId> chains) const;

  imr::Unit& unit_;
  const RunSettings& settings_;
  std::map<std::uint32_t, classify::RunIndex> found_;
  std::uint32_t last_ = 0;
  std::size_t left_ = longest_searches;
  std::map<imr::ChainId, std::vector<imr::RuleId>> sites_;  // the rules that lead there
};

Finder::Finder(imr::Unit& unit, const RunSettings& settings) : unit_(unit), settings_(settings) {
  for (const imr::ChainId chain : unit_chains(unit)) {
    for (const imr::RuleId rule : unit.ruleset[chain].rules) {
      for (const imr::ChainId target :
           imr::targets(unit.ruleset, std::as_const(unit.ruleset)[rule])) {
        sites_[target].push_back(rule);
      }
    }
  }
}

std::optional<classify::RunIndex> Finder::index_of(std::span<const imr::RuleId> rules) const {
  if (rules.empty() || last_ == most_runs) return std::nullopt;
  if (!settings_.all && only_leads_on(rules)) return std::nullopt;
  // Rules of other chains count in full: few packets get there, but the verifier walks them all,
  // and what it walks of many chains is soon too much.
  std::size_t tried = rules.size();
  for (const imr::ChainId chain : classify::chains_behind(unit_.ruleset, rules)) {
    tried += std::as_const(unit_.ruleset)[chain].rules.size();
  }
  if (!settings_.all && tried < fewest_rules) return std::nullopt;
  auto index = classify::RunIndex::make(unit_, rules, settings_.matched, settings_.classifier);
  if (!index) return std::nullopt;
  const bool pays = index->cost() < cost_of_rule * static_cast<double>(tried);
  if (!settings_.all && !pays) return std::nullopt;
  if (index->longest_search() > left_) return std::nullopt;
  return index;
}

std::set<imr::ChainId> Finder::entered_from_elsewhere(std::span<const imr::RuleId> rules) const {
  const std::set<imr::ChainId> behind = classify::chains_behind(unit_.ruleset, rules);
  std::set<imr::RuleId> inside(rules.begin(), rules.end());
  for (const imr::ChainId chain : behind) {
    inside.insert(unit_.ruleset[chain].rules.begin(), unit_.ruleset[chain].rules.end());
  }
  std::set<imr::ChainId> out;
  for (const imr::ChainId chain : behind) {
    const auto& sites = sites_.at(chain);
    if (!std::ranges::all_of(sites, [&](imr::RuleId site) { return inside.contains(site); })) {
      out.insert(chain);
    }
  }
  return out;
}

void Finder::mark(std::span<const imr::RuleId> rules) {
  ++last_;
  for (const imr::RuleId rule : rules) unit_.ruleset[rule].run = last_;
  for (const imr::ChainId chain : classify::chains_behind(unit_.ruleset, rules)) {
    for (const imr::RuleId rule : unit_.ruleset[chain].rules) unit_.ruleset[rule].run = last_;
  }
}

bool Finder::only_leads_on(std::span<const imr::RuleId> rules) const {
  const imr::Ruleset& ruleset = unit_.ruleset;
  bool leads = false;
  std::size_t others = 0;
  for (const imr::RuleId rule : rules) {
    if (imr::targets(ruleset, ruleset[rule]).empty()) {
      ++others;
      continue;
    }
    leads = true;
    const bool always =
        std::ranges::all_of(ruleset[rule].statements, [](const imr::Statement& statement) {
          return std::holds_alternative<imr::Counter>(statement) ||
                 std::holds_alternative<imr::VerdictStatement>(statement);
        });
    if (!always) return false;
  }
  return leads && others < fewest_rules;
}

void Finder::in_chain(imr::ChainId chain, classify::Suitability::Scope scope) {
  const Rules rules = unit_.ruleset[chain].rules;
  classify::Suitability suitability(unit_, scope);
  for (std::size_t from = 0; from < rules.size();) {
    std::size_t to = from;
    classify::Company company;
    while (to < rules.size() && suitability.suits(rules[to]) &&
           company.takes(unit_.ruleset, rules[to], suitability.tail(rules[to]))) {
      ++to;
    }
    auto run = std::span(rules).subspan(from, to - from);
    const std::set<imr::ChainId> barred = entered_from_elsewhere(run);
    if (!barred.empty()) {
      suitability.bar(barred);
      continue;
    }
    auto index = index_of(run);
    // All of them may look at too much.
    while (!index && run.size() >= 2 * fewest_rules) {
      run = run.first(run.size() / 2);
      if (entered_from_elsewhere(run).empty()) index = index_of(run);
    }
    if (index) {
      left_ -= index->longest_search();
      mark(run);
      found_.emplace(last_, std::move(*index));
    }
    from = index ? from + run.size() : std::max(to, from + 1);
  }
}

// Whether a rule that is no part of a run asks whether a set has a value.
bool Finder::asks_sets(std::span<const imr::ChainId> chains) const {
  const imr::Ruleset& ruleset = unit_.ruleset;
  return std::ranges::any_of(chains, [&](imr::ChainId chain) {
    return std::ranges::any_of(ruleset[chain].rules, [&](imr::RuleId rule) {
      return ruleset[rule].run == 0 &&
             std::ranges::any_of(ruleset[rule].statements, [&](const imr::Statement& statement) {
               const auto* match = std::get_if<imr::MatchSet>(&statement);
               return match != nullptr && classify::tests_membership(ruleset, *match);
             });
    });
  });
}

// Chains come before those that they lead to. At first, all that can be searched together is; then
// what was too much with what it leads to, and what was not worth it for the sets that it asks.
std::map<std::uint32_t, classify::RunIndex> Finder::run() {
  const std::vector<imr::ChainId> chains = unit_chains(unit_);
  for (const bool whole_sets : {true, false}) {
    if (!whole_sets && !asks_sets(chains)) break;
    for (const bool other_chains : {true, false}) {
      for (const imr::ChainId chain : chains) in_chain(chain, {other_chains, whole_sets});
    }
  }
  return std::move(found_);
}

}  // namespace

std::map<std::uint32_t, classify::RunIndex> imr_find_runs(imr::Unit& unit,
                                                          const RunSettings& settings) {
  return Finder(unit, settings).run();
}

}  // namespace weir::passes
