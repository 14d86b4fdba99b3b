// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/jumps.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "imr/edit.h"

namespace weir::frontend::nft {
namespace {

using Targets = std::vector<std::map<imr::ChainId, std::size_t>>;

// One less than the kernel has room for (NFT_JUMP_STACK_SIZE).
constexpr std::size_t deepest = 15;

// Chains below one another, this one included; no value in a circle.
std::optional<std::size_t> height(const Targets& targets, std::size_t chain,
                                  std::vector<std::optional<std::size_t>>& known) {
  constexpr std::size_t on_the_way = 0;
  std::optional<std::size_t>& own = known[chain];
  if (own) return *own == on_the_way ? std::nullopt : own;
  own = on_the_way;
  std::size_t highest = 0;
  for (const auto& [target, rules] : targets[chain]) {
    const std::optional<std::size_t> below = height(targets, target.index(), known);
    if (!below) return std::nullopt;
    highest = std::max(highest, *below);
  }
  return known[chain] = highest + 1;
}

}  // namespace

bool is_native(const imr::Rule& rule) {
  return !rule.statements.empty() && std::holds_alternative<imr::Native>(rule.statements.back());
}

Jumps::Jumps(const imr::Ruleset& ruleset) : targets_(ruleset.chains.size()) {
  for (const imr::Chain& chain : ruleset.chains) {
    for (const imr::RuleId id : chain.rules) add(ruleset, ruleset[id]);
  }
}

void Jumps::add(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  for (const imr::ChainId target : imr::targets(ruleset, rule)) {
    ++targets_.at(rule.chain.index())[target];
  }
  if (is_native(rule)) ++natives_;
}

void Jumps::remove(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  auto& own = targets_.at(rule.chain.index());
  for (const imr::ChainId target : imr::targets(ruleset, rule)) {
    const auto known = own.find(target);
    if (known != own.end() && --known->second == 0) own.erase(known);
  }
  if (is_native(rule)) --natives_;
}

bool Jumps::sound() const {
  std::vector<std::optional<std::size_t>> known(targets_.size());
  bool jumps = false;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const std::optional<std::size_t> own = height(targets_, i, known);
    if (!own || *own > deepest) return false;
    jumps = jumps || *own > 1;
  }
  return !jumps || natives_ == 0;
}

}  // namespace weir::frontend::nft
