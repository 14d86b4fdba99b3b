// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_find_runs.h"

#include <algorithm>
#include <span>

#include "classify/runs.h"
#include "classify/tuples.h"
#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

// Fewer are never searched faster than tried.
constexpr std::size_t fewest_rules = 64;
// What a rule takes that is tried, in ns: of many, half are passed before one holds.
constexpr double cost_of_rule = 0.5;
// A search is a loop, which the kernel's verifier walks as often as it may go round.
constexpr std::size_t longest_search = 1000;
// In a unit. Each has a map of its own, of the 64 of a program, which up to three units share with
// the maps of sets and of counters.
constexpr std::uint32_t most_runs = 6;

bool searchable(const imr::Unit& unit, std::span<const imr::RuleId> rules, bool where_it_pays) {
  if (rules.empty() || (where_it_pays && rules.size() < fewest_rules)) return false;
  const auto run = classify::make_run(unit, rules);
  if (!run) return false;
  const auto tables = classify::make_tuple_tables(run->list);
  if (!tables || tables->longest_search() > longest_search) return false;
  return !where_it_pays || tables->cost() < cost_of_rule * static_cast<double>(rules.size());
}

void find_runs(imr::Unit& unit, bool where_it_pays) {
  std::uint32_t last = 0;
  for (const imr::ChainId chain : unit_chains(unit)) {
    const std::vector<imr::RuleId> rules = unit.ruleset[chain].rules;
    for (std::size_t from = 0; from < rules.size();) {
      std::size_t to = from;
      while (to < rules.size() && classify::suits(unit, rules[to])) ++to;
      const auto run = std::span(rules).subspan(from, to - from);
      if (last < most_runs && searchable(unit, run, where_it_pays)) {
        ++last;
        for (const imr::RuleId rule : run) unit.ruleset[rule].run = last;
      }
      from = std::max(to, from + 1);
    }
  }
}

}  // namespace

void imr_find_runs(imr::Unit& unit) {
  find_runs(unit, true);
}

void imr_find_all_runs(imr::Unit& unit) {
  find_runs(unit, false);
}

}  // namespace weir::passes
