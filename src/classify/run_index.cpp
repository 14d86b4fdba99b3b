// SPDX-License-Identifier: BSD-2-Clause
#include "classify/run_index.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace weir::classify {

std::optional<RunIndex> RunIndex::make(const imr::Unit& unit, std::span<const imr::RuleId> rules,
                                       bool matched) {
  auto run = make_run(unit, rules, matched);
  if (!run) return std::nullopt;
  auto tables = make_tuple_tables(run->list);
  if (!tables) return std::nullopt;
  return RunIndex{std::move(*run), std::move(*tables)};
}

bool RunIndex::goes_on() const {
  return std::ranges::any_of(
      run.actions, [](const RunAction& action) { return action.end == RunAction::End::on; });
}

std::size_t RunIndex::searches() const {
  if (!goes_on()) return 1;
  // A packet looks into one slot of each table.
  std::size_t all = 0;
  for (const TupleTables::Row& row : tables.rows) {
    std::size_t most = 0;
    for (std::size_t slot = 0; slot <= row.slot_mask; ++slot) {
      most = std::max(most, stops(tables.slots[row.first_slot + slot]));
    }
    all += most;
  }
  return all + 1;
}

// It meets none together with more than those that share packets with it.
std::size_t RunIndex::stops(std::uint32_t first_entry) const {
  std::vector<std::uint32_t> rules;
  for (std::uint32_t at = first_entry; at != TupleTables::none; at = tables.entries[at].next) {
    const std::uint32_t rule = tables.entries[at].rule;
    if (run.actions[run.action[rule]].end == RunAction::End::on) rules.push_back(rule);
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

// Lists of rules that only count were seen to have one or two of them met, mostly.
double RunIndex::cost() const {
  return tables.cost() * (goes_on() ? 2 : 1);
}

}  // namespace weir::classify
