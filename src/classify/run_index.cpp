// SPDX-License-Identifier: BSD-2-Clause
#include "classify/run_index.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "imr/visit.h"

namespace weir::classify {
namespace {

// Of a search in bit vectors, a word or a rule behind which it goes on each: the kernel's verifier
// walks them all, some 1,500 instructions where there are tails.
constexpr std::size_t most_rounds = 1000;
constexpr std::size_t most_rounds_with_tails = 150;

// Of a search in a set, in ns.
constexpr double cost_of_set = 15;

std::size_t rules_that_go_on(const Run& run) {
  return static_cast<std::size_t>(std::ranges::count_if(
      run.action, [&](std::uint32_t action) { return run.actions[action].may_go_on(); }));
}

// Where in the list of so many rules a packet goes on behind the action.
Resume resume_of(const RunAction& action, std::size_t rules) {
  const std::uint32_t on =
      action.end == RunAction::End::on ? action.resume : static_cast<std::uint32_t>(rules);
  if (!action.may_fail) return {on, on};
  return {std::min(on, action.otherwise), std::max(on, action.otherwise)};
}

// Whether code for all leaves of the tree is not too much: where a rule with a tail stands in many,
// it has code in each.
bool has_few_tails(const Run& run, const DecisionTree& tree) {
  constexpr std::ptrdiff_t most_tails_in_leaves = 256;
  std::ptrdiff_t tails = 0;
  for (const DecisionTree::Node& node : tree.nodes) {
    tails += std::ranges::count_if(node.rules, [&](std::uint32_t rule) {
      return run.actions[run.action[rule]].tail.has_value();
    });
  }
  return tails <= most_tails_in_leaves;
}

// Behind how many rules a packet goes on, on average, that is in the middle of some rule.
double stops_of_packets(const Run& run) {
  constexpr std::size_t samples = 32;
  const std::size_t step = std::max<std::size_t>(run.list.size() / samples, 1);
  double stops = 0;
  double packets = 0;
  std::vector<std::uint64_t> key(run.list.fields());
  for (std::size_t like = 0; like < run.list.size(); like += step) {
    std::ranges::transform(run.list[like], key.begin(), [](const Range& range) {
      return range.first + (range.last - range.first) / 2;
    });
    ++packets;
    for (std::size_t rule = 0; rule < run.list.size(); ++rule) {
      if (!run.list.matches(rule, key)) continue;
      if (!run.actions[run.action[rule]].may_go_on()) break;
      ++stops;
    }
  }
  return packets == 0 ? 0 : stops / packets;
}

}  // namespace

std::optional<RunIndex> RunIndex::make(const imr::Unit& unit, std::span<const imr::RuleId> rules,
                                       bool matched, std::optional<Kind> asked_for) {
  auto run = make_run(unit, rules, matched);
  if (!run) return std::nullopt;
  const std::size_t goes_on = rules_that_go_on(*run);
  std::vector<Resume> resumes;
  for (const std::uint32_t number : run->action) {
    resumes.push_back(resume_of(run->actions[number], run->list.size()));
  }
  // A tree goes on where it is, tables are searched once more.
  const double searches = goes_on == 0 ? 1 : 1 + stops_of_packets(*run);
  const auto wanted = [&](Kind kind) { return !asked_for || asked_for == kind; };
  RunIndex out{.run = std::move(*run), .structure = {}, .estimates = {}};
  const RuleList& list = out.run.list;
  auto tree = wanted(Kind::tree) ? make_decision_tree(list, resumes) : std::nullopt;
  if (tree && !has_few_tails(out.run, *tree)) tree.reset();
  const std::size_t rounds = out.run.tails.empty() ? most_rounds : most_rounds_with_tails;
  auto vectors = wanted(Kind::bit_vectors) && list.size() / 64 + goes_on < rounds
                     ? make_bit_vectors(list)
                     : std::nullopt;
  auto tables = wanted(Kind::tuples) ? make_tuple_tables(list) : std::nullopt;
  std::optional<double> least;
  const auto offer = [&](Kind kind, auto& structure, double times) {
    Estimate& estimate = out.estimates.emplace_back(Estimate{.kind = kind, .ns = {}});
    if (!structure) return;
    estimate.ns = structure->cost() * times;
    if (least && *least <= *estimate.ns) return;
    least = estimate.ns;
    out.structure = std::move(*structure);
  };
  offer(Kind::tree, tree, 1);
  offer(Kind::bit_vectors, vectors, 1);
  offer(Kind::tuples, tables, searches);
  if (!least) return std::nullopt;
  return out;
}

Kind RunIndex::kind() const {
  return imr::match_on(
      structure, [](const DecisionTree&) { return Kind::tree; },
      [](const BitVectors&) { return Kind::bit_vectors; },
      [](const TupleTables&) { return Kind::tuples; });
}

bool RunIndex::goes_on() const {
  return std::ranges::any_of(run.actions, &RunAction::may_go_on);
}

std::size_t RunIndex::longest_search() const {
  return imr::match_on(
      structure, [](const DecisionTree&) { return std::size_t{1}; },
      // Behind such a rule it is some hundred instructions, for what has been done there differs.
      [&](const BitVectors& vectors) {
        const std::size_t rounds_of_rule = run.tails.empty() ? 2 : 20;
        return vectors.words + rounds_of_rule * rules_that_go_on(run);
      },
      [](const TupleTables& tables) { return tables.longest_search(); });
}

std::size_t RunIndex::searches() const {
  const auto* tables = std::get_if<TupleTables>(&structure);
  if (tables == nullptr || !goes_on()) return 1;
  // A packet looks into one slot of each table.
  std::size_t all = 0;
  for (const TupleTables::Row& row : tables->rows) {
    std::size_t most = 0;
    for (std::size_t slot = 0; slot < row.slots(); ++slot) {
      most = std::max(most, stops(*tables, tables->slots[row.first_slot + slot].entry));
    }
    all += most;
  }
  return all + 1;
}

// It meets none together with more than those that share packets with it.
std::size_t RunIndex::stops(const TupleTables& tables, std::uint32_t first_entry) const {
  std::vector<std::uint32_t> rules;
  for (std::uint32_t at = first_entry; at != TupleTables::none; at = tables.entries[at].next) {
    const std::uint32_t rule = tables.entries[at].rule;
    if (run.actions[run.action[rule]].may_go_on()) rules.push_back(rule);
  }
  const auto meet = [&](std::uint32_t a, std::uint32_t b) {
    return std::ranges::equal(run.list[a], run.list[b], [](const Range& x, const Range& y) {
      return x.first <= y.last && y.first <= x.last;
    });
  };
  std::size_t most = 0;
  for (const std::uint32_t rule : rules) {
    const auto here =
        std::ranges::count_if(rules, [&](std::uint32_t other) { return meet(rule, other); });
    most = std::max(most, static_cast<std::size_t>(here));
  }
  return most;
}

double RunIndex::cost() const {
  const auto own = std::ranges::find(estimates, kind(), &Estimate::kind);
  const auto sets =
      std::ranges::count_if(run.fields, [](const RunField& field) { return field.set.valid(); });
  return *own->ns + cost_of_set * static_cast<double>(sets);
}

}  // namespace weir::classify
