// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/parts.h"

#include <algorithm>
#include <charconv>
#include <variant>
#include <vector>

namespace weir::frontend::nft {
namespace {

// Of what the kernel gives names to, and of nothing else.
constexpr std::string_view reserved = "__";

// One less than the kernel has room for (NFT_JUMP_STACK_SIZE).
constexpr std::size_t deepest = 15;

// Chains below one another, this one included; no value in a circle.
std::optional<std::size_t> height(const imr::Ruleset& ruleset, imr::ChainId chain,
                                  std::vector<std::optional<std::size_t>>& known) {
  constexpr std::size_t on_the_way = 0;
  std::optional<std::size_t>& own = known[chain.index()];
  if (own) return *own == on_the_way ? std::nullopt : own;
  own = on_the_way;
  std::size_t highest = 0;
  for (const imr::ChainId target : imr::targets(ruleset, chain)) {
    const std::optional<std::size_t> below = height(ruleset, target, known);
    if (!below) return std::nullopt;
    highest = std::max(highest, *below);
  }
  return known[chain.index()] = highest + 1;
}

bool is_native(const imr::Rule& rule) {
  return !rule.statements.empty() && std::holds_alternative<imr::Native>(rule.statements.back());
}

}  // namespace

void Numbering::begin_part() {
  for (auto& [table, handles] : handles_) handles.least.reset();
  for (auto& [key, names] : names_) names.before += std::exchange(names.here, 0);
}

std::string Numbering::name_of(imr::TableId table, const std::string& name, std::uint64_t handle) {
  Handles& handles = handles_[table];
  handles.least = std::min(handle, handles.least.value_or(handle));
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  std::uint64_t number = 0;
  std::from_chars(name.data() + digits, name.data() + name.size(), number);
  const std::string stem = name.substr(0, digits);
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

bool mean_the_same_together(const imr::Ruleset& ruleset) {
  const bool names_like_the_kernels = std::ranges::any_of(ruleset.sets, [](const imr::Set& set) {
    return !set.anonymous && set.name.starts_with(reserved);
  });
  if (names_like_the_kernels) return false;
  std::vector<std::optional<std::size_t>> known(ruleset.chains.size());
  bool jumps = false;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const std::optional<std::size_t> own = height(ruleset, imr::ChainId(i), known);
    if (!own || *own > deepest) return false;
    jumps = jumps || *own > 1;
  }
  // What is translated has its place at every hook.
  return !jumps || std::ranges::none_of(ruleset.rules, is_native);
}

}  // namespace weir::frontend::nft
