// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_maps.h"

#include <algorithm>
#include <set>
#include <string>
#include <variant>

namespace weir::backend {

RunPlace RunMaps::prepared(const imr::Unit& unit, classify::RunIndex index,
                           std::vector<isa::MapSpec>& maps) const {
  RunPlace out{.index = std::move(index)};
  const classify::Run& run = out.index.run;
  Bytes value;
  if (auto* tables = std::get_if<classify::TupleTables>(&out.index.structure)) {
    out.searches = out.index.searches();
    if (wishes_.updatable) {
      tables->add_catch_all();
      if (out.index.goes_on()) out.searches += stop_room;
    }
    const TupleLayout layout = tuple_layout(run, *tables, wishes_.updatable);
    value = tuple_bytes(unit.ruleset, run, *tables, layout);
    out.layout = layout;
  } else if (const auto* vectors = std::get_if<classify::BitVectors>(&out.index.structure)) {
    VectorLayout layout = vector_layout(run, *vectors);
    value = vector_bytes(unit.ruleset, run, *vectors, layout);
    out.layout = std::move(layout);
  } else {
    return out;
  }
  const std::string name = "run" + std::to_string(maps.size());
  maps.push_back(run_map(unit.ruleset, run, std::move(value), name));
  out.map = isa::MapIndex(maps.size() - 1);
  return out;
}

// A chain that a run leads to comes behind the one that the run begins in.
void RunMaps::add(const imr::Unit& unit, Indexes& made, std::vector<isa::MapSpec>& maps) {
  std::set<imr::ChainId> seen;
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      if (!seen.insert(chain).second) continue;
      std::span<const imr::RuleId> rules = unit.ruleset[chain].rules;
      while (!rules.empty()) {
        const std::span<const imr::RuleId> together = run_at(unit.ruleset, rules);
        rules = rules.subspan(together.size());
        const std::uint32_t number = unit.ruleset[together.front()].run;
        if (number == 0 || places_.contains({&unit, number})) continue;
        const auto known = made.find({&unit, number});
        auto index = known != made.end() ? std::optional(std::move(known->second))
                                         : classify::RunIndex::make(unit, together, wishes_.traced,
                                                                    wishes_.classifier);
        invariant(index.has_value(), "a run of rules that cannot be searched");
        places_.emplace(std::pair(&unit, number), prepared(unit, std::move(*index), maps));
      }
    }
  }
}

std::shared_ptr<const RunMaps> RunMaps::make(const std::vector<const imr::Unit*>& units,
                                             const Wishes& wishes, Indexes made,
                                             std::vector<isa::MapSpec>& maps) {
  auto out = std::make_shared<RunMaps>();
  out->wishes_ = wishes;
  for (const imr::Unit* unit : units) out->add(*unit, made, maps);
  const bool any = std::ranges::any_of(out->places_, [](const auto& place) {
    return std::holds_alternative<TupleLayout>(place.second.layout);
  });
  if (wishes.updatable && any) {
    maps.push_back(run_turn_map());
    out->turn_ = isa::MapIndex(maps.size() - 1);
  }
  return out;
}

const RunPlace& RunMaps::place(const imr::Unit& unit, std::uint32_t run) const {
  const auto found = places_.find({&unit, run});
  invariant(found != places_.end(), "a run of rules that no unit has");
  return found->second;
}

std::map<std::uint32_t, const RunPlace*> RunMaps::runs_of(const imr::Unit& unit) const {
  std::map<std::uint32_t, const RunPlace*> out;
  for (const auto& [key, place] : places_) {
    if (key.first == &unit) out.emplace(key.second, &place);
  }
  return out;
}

}  // namespace weir::backend
