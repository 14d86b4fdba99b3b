// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_merge_loads.h"

#include <optional>
#include <utility>
#include <variant>

#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

constexpr std::size_t max_merged = 8;  // bytes: one register

// A comparison of packet bytes: (payload & mask) == value.
struct Comparison {
  imr::Payload payload;
  Bytes mask;
  Bytes value;
};

std::optional<Comparison> comparison(const imr::Ruleset& ruleset, const imr::Statement& statement) {
  const auto* match = std::get_if<imr::Match>(&statement);
  if (match == nullptr || match->op != imr::Relop::eq) return std::nullopt;
  Comparison result{.value = match->rhs};
  imr::ExprId source = match->lhs;
  if (const auto* op = std::get_if<imr::MaskXor>(&ruleset[source])) {
    result.mask = op->mask;
    for (std::size_t i = 0; i < result.value.size(); ++i) result.value[i] ^= op->flip[i];
    source = op->source;
  }
  const auto* payload = std::get_if<imr::Payload>(&ruleset[source]);
  if (payload == nullptr || payload->length != result.value.size()) return std::nullopt;
  result.payload = *payload;
  if (result.mask.empty()) result.mask = Bytes(payload->length, 0xff);
  return result;
}

std::optional<Comparison> merged(Comparison first, Comparison second) {
  if (first.payload.offset > second.payload.offset) std::swap(first, second);
  const imr::Payload& low = first.payload;
  const imr::Payload& high = second.payload;
  if (low.base != high.base || low.in_later_fragments != high.in_later_fragments ||
      low.offset + low.length != high.offset || low.length + high.length > max_merged) {
    return std::nullopt;
  }
  first.payload.length = static_cast<std::uint16_t>(low.length + high.length);
  first.mask.insert(first.mask.end(), second.mask.begin(), second.mask.end());
  first.value.insert(first.value.end(), second.value.begin(), second.value.end());
  return first;
}

imr::Statement statement(imr::Ruleset& ruleset, const Comparison& comparison) {
  imr::ExprId lhs = ruleset.add(imr::Expr(comparison.payload));
  if (comparison.mask != Bytes(comparison.mask.size(), 0xff)) {
    lhs = ruleset.add(imr::Expr(imr::MaskXor{
        .source = lhs, .mask = comparison.mask, .flip = Bytes(comparison.mask.size(), 0)}));
  }
  return imr::Match{.lhs = lhs, .op = imr::Relop::eq, .rhs = comparison.value};
}

}  // namespace

void imr_merge_loads(imr::Unit& unit) {
  for (const imr::ChainId chain : unit_chains(unit)) {
    for (const imr::RuleId id : unit.ruleset[chain].rules) {
      const imr::Rule& rule = std::as_const(unit.ruleset)[id];
      if (rule.run != 0) continue;
      SharedList<imr::Statement> statements = rule.statements;
      for (std::size_t i = 0; i + 1 < statements.size();) {
        const auto first = comparison(unit.ruleset, statements[i]);
        const auto second = comparison(unit.ruleset, statements[i + 1]);
        const auto both = first && second ? merged(*first, *second) : std::nullopt;
        if (!both) {
          ++i;
          continue;
        }
        auto& changed = statements.edit();
        changed[i] = statement(unit.ruleset, *both);
        changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i + 1));
      }
      if (statements.identity() != rule.statements.identity()) {
        unit.ruleset[id].statements = std::move(statements);
      }
    }
  }
}

}  // namespace weir::passes
