// SPDX-License-Identifier: BSD-2-Clause
#include "service/carriers.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weir::service {
namespace {

constexpr std::string_view counters_map = "counters";

// The rule that an instruction came from; -1: none.
std::int32_t rule_at(const isa::Program& program, std::uint32_t insn) {
  const auto behind = std::ranges::upper_bound(program.origins, insn, {}, &isa::OriginRow::insn);
  return behind == program.origins.begin() ? -1 : std::prev(behind)->rule;
}

void find_in(const isa::Object& object, std::size_t index, std::vector<Carriers>& out) {
  const isa::Program& program = object.programs[index];
  for (const isa::OriginRow& row : program.origins) {
    if (row.rule >= 0) out.at(static_cast<std::size_t>(row.rule)).programs.insert(index);
  }
  for (const isa::Relocation& relocation : program.relocations) {
    const auto map = map_of(relocation);
    const std::int32_t rule = rule_at(program, relocation.insn);
    if (!map) continue;
    if (rule >= 0) out.at(static_cast<std::size_t>(rule)).maps.insert(map->index());
    for (const std::uint32_t row : object.maps[map->index()].rules) {
      out.at(row).programs.insert(index);
      out.at(row).maps.insert(map->index());
    }
  }
}

void add(std::vector<std::uint32_t>& list, std::uint32_t id) {
  if (std::ranges::find(list, id) == list.end()) list.push_back(id);
}

}  // namespace

std::optional<isa::MapIndex> map_of(const isa::Relocation& relocation) {
  if (const auto* map = std::get_if<isa::MapReference>(&relocation.what)) return map->map;
  if (const auto* value = std::get_if<isa::MapValueReference>(&relocation.what)) return value->map;
  return std::nullopt;
}

std::vector<Carriers> find_carriers(const isa::Object& object) {
  std::vector<Carriers> out(object.rule_names.size());
  for (std::size_t i = 0; i < object.programs.size(); ++i) find_in(object, i, out);
  return out;
}

void name_carriers(const isa::Object& object, const Ids& ids, std::vector<ChainState>& chains) {
  const std::vector<Carriers> carriers = find_carriers(object);
  std::unordered_map<std::string_view, const Carriers*> by_name;
  for (std::size_t i = 0; i < carriers.size(); ++i) {
    by_name.emplace(object.rule_names[i], &carriers[i]);
  }
  const auto counters = std::ranges::find(object.maps, counters_map, &isa::MapSpec::name);
  for (ChainState& chain : chains) {
    const std::string prefix =
        std::string(to_string(chain.family)) + " " + chain.table + " " + chain.name + " handle ";
    for (RuleState& rule : chain.rules) {
      const std::string name = prefix + std::to_string(rule.handle);
      const auto found = by_name.find(name);
      if (found == by_name.end()) continue;
      for (const std::size_t i : found->second->programs) rule.programs.push_back(ids.programs[i]);
      for (const std::size_t i : found->second->maps) add(rule.maps, ids.maps[i]);
      if (!rule.counters.empty() && !rule.programs.empty() && counters != object.maps.end()) {
        add(rule.maps, ids.maps[static_cast<std::size_t>(counters - object.maps.begin())]);
      }
    }
  }
}

}  // namespace weir::service
