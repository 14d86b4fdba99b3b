// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/parts.h"

#include <algorithm>
#include <charconv>

#include "frontend/nft/jumps.h"

namespace weir::frontend::nft {
namespace {

// Of what the kernel gives names to, and of nothing else.
constexpr std::string_view reserved = "__";

}  // namespace

std::pair<std::string, std::uint64_t> split_name(const std::string& name) {
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  std::uint64_t number = 0;
  std::from_chars(name.data() + digits, name.data() + name.size(), number);
  return {name.substr(0, digits), number};
}

void Numbering::begin_part() {
  for (auto& [table, handles] : handles_) handles.least.reset();
  for (auto& [key, names] : names_) names.before += std::exchange(names.here, 0);
}

std::string Numbering::name_of(imr::TableId table, const std::string& name, std::uint64_t handle) {
  Handles& handles = handles_[table];
  handles.least = std::min(handle, handles.least.value_or(handle));
  const auto [stem, number] = split_name(name);
  Names& names = names_[{table, stem}];
  ++names.here;
  if (names.before == 0) return name;
  return stem + std::to_string(names.before + number);
}

Status Numbering::end_part(std::span<imr::Rule> rules, const imr::Ruleset& ruleset) {
  std::map<imr::TableId, std::uint64_t> most;
  for (const imr::Rule& rule : rules) {
    const imr::TableId table = ruleset[rule.chain].table;
    Handles& handles = handles_[table];
    const std::uint64_t handle = rule.origin.handle;
    handles.least = std::min(handle, handles.least.value_or(handle));
    most[table] = std::max(most[table], handle);
  }
  for (imr::Rule& rule : rules) rule.origin.handle += handles_[ruleset[rule.chain].table].before;
  for (const auto& [table, last] : most) {
    Handles& handles = handles_[table];
    if (!handles.first) handles.first = handles.least;
    if (handles.first != handles.least) {
      return system_error("the parts of a script do not begin alike");
    }
    handles.before += last + 1 - *handles.first;
  }
  return {};
}

bool has_reserved_names(const imr::Ruleset& ruleset) {
  return std::ranges::any_of(ruleset.sets, [](const imr::Set& set) {
    return !set.anonymous && set.name.starts_with(reserved);
  });
}

bool mean_the_same_together(const imr::Ruleset& ruleset) {
  return !has_reserved_names(ruleset) && Jumps(ruleset).sound();
}

}  // namespace weir::frontend::nft
