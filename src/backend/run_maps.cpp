// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_maps.h"

#include <set>
#include <span>
#include <string>

namespace weir::backend {

// A chain that a run leads to comes behind the one that the run begins in.
void RunMaps::add(const imr::Unit& unit, bool traced, std::vector<isa::MapSpec>& maps) {
  std::set<imr::ChainId> seen;
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      if (!seen.insert(chain).second) continue;
      const std::span<const imr::RuleId> rules = unit.ruleset[chain].rules;
      for (std::size_t from = 0; from < rules.size();) {
        const std::span<const imr::RuleId> together = run_at(unit.ruleset, rules.subspan(from));
        from += together.size();
        const std::uint32_t number = unit.ruleset[together.front()].run;
        if (number == 0 || places_.contains({&unit, number})) continue;
        auto index = classify::RunIndex::make(unit, together, traced);
        invariant(index.has_value(), "a run of rules that cannot be searched");
        const RunLayout layout = run_layout(*index);
        const std::string name = "run" + std::to_string(maps.size());
        maps.push_back(run_map(unit.ruleset, *index, layout, name));
        const std::size_t searches = index->searches();
        places_.emplace(std::pair(&unit, number), RunPlace{std::move(*index), searches, layout,
                                                           isa::MapIndex(maps.size() - 1)});
      }
    }
  }
}

std::shared_ptr<const RunMaps> RunMaps::make(const std::vector<const imr::Unit*>& units,
                                             bool traced, std::vector<isa::MapSpec>& maps) {
  auto out = std::make_shared<RunMaps>();
  for (const imr::Unit* unit : units) out->add(*unit, traced, maps);
  return out;
}

const RunPlace& RunMaps::place(const imr::Unit& unit, std::uint32_t run) const {
  const auto found = places_.find({&unit, run});
  invariant(found != places_.end(), "a run of rules that no unit has");
  return found->second;
}

}  // namespace weir::backend
