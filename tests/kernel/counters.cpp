// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/counters.h"

#include <map>
#include <tuple>

#include "differential/judge.h"

namespace weir::test {

CounterComparison compare_counters(const imr::Ruleset& ruleset, std::span<const RuleCounter> by_nft,
                                   std::span<const driver::CounterTotal> by_weir,
                                   std::span<const driver::CounterTotal> by_evaluator) {
  using differential::describe;
  // The counters of one rule stand in its order on both sides.
  using Name = std::tuple<std::string, std::string, std::string, std::uint64_t>;
  std::map<Name, std::vector<std::size_t>> ids;
  for (std::size_t i = 0; i < ruleset.counters.size(); ++i) {
    const imr::Rule& rule = ruleset[ruleset.counters[i].rule];
    const imr::Chain& chain = ruleset[rule.chain];
    const imr::Table& table = ruleset[chain.table];
    ids[{std::string(to_string(table.family)), table.name, chain.name, rule.origin.handle}]
        .push_back(i);
  }
  CounterComparison result;
  for (const RuleCounter& counter : by_nft) {
    auto& queue = ids[{counter.family, counter.table, counter.chain, counter.handle}];
    const std::string where = counter.chain + " handle " + std::to_string(counter.handle);
    if (queue.empty()) {
      result.differences += "weir does not know the counter of " + where + "\n";
      continue;
    }
    const std::size_t id = queue.front();
    queue.erase(queue.begin());
    const imr::CounterState& initial = ruleset.counters[id];
    const driver::CounterTotal total{counter.packets - initial.packets,
                                     counter.bytes - initial.bytes};
    result.counted += total.packets;
    const bool third = !by_evaluator.empty();
    if (total == by_weir[id] && (!third || total == by_evaluator[id])) continue;
    result.differences += "counters of " + where + " '" + ruleset[initial.rule].origin.text +
                          "' differ: nft " + describe(total) + ", weir " + describe(by_weir[id]) +
                          ", evaluator " + (third ? describe(by_evaluator[id]) : "not asked") +
                          "\n";
  }
  if (by_nft.size() != ruleset.counters.size()) {
    result.differences += "weir has " + std::to_string(ruleset.counters.size()) +
                          " counters, nft " + std::to_string(by_nft.size()) + "\n";
  }
  return result;
}

}  // namespace weir::test
