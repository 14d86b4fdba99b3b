// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_fold_constants.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

using imr::Match;
using imr::Relop;

// Whether `value op rhs` holds, over the bytes that rhs has.
bool holds(const Bytes& value, Relop op, const Bytes& rhs) {
  const auto order = std::lexicographical_compare_three_way(
      value.begin(), value.begin() + static_cast<std::ptrdiff_t>(rhs.size()), rhs.begin(),
      rhs.end());
  switch (op) {
    case Relop::eq:
      return order == 0;
    case Relop::ne:
      return order != 0;
    case Relop::lt:
      return order < 0;
    case Relop::le:
      return order <= 0;
    case Relop::gt:
      return order > 0;
    case Relop::ge:
      return order >= 0;
  }
  throw InvariantError("relop out of range");
}

bool all(const Bytes& bytes, std::uint8_t value) {
  return std::ranges::all_of(bytes, [&](std::uint8_t byte) { return byte == value; });
}

// (x & a ^ b) & c ^ d is x & (a & c) ^ (b & c ^ d).
void merge_masks(imr::Ruleset& ruleset, Match& match) {
  for (;;) {
    const auto* outer = std::get_if<imr::MaskXor>(&ruleset[match.lhs]);
    if (outer == nullptr) return;
    const auto* inner = std::get_if<imr::MaskXor>(&ruleset[outer->source]);
    if (inner == nullptr) return;
    imr::MaskXor merged = *inner;
    for (std::size_t i = 0; i < merged.mask.size(); ++i) {
      merged.mask[i] = inner->mask[i] & outer->mask[i];
      merged.flip[i] =
          static_cast<std::uint8_t>((inner->flip[i] & outer->mask[i]) ^ outer->flip[i]);
    }
    match.lhs = ruleset.add(imr::Expr(merged));
  }
}

// Moves what can be undone from the value of an equality to its constant.
void simplify_equality(imr::Ruleset& ruleset, Match& match) {
  if (match.op != Relop::eq && match.op != Relop::ne) return;
  for (;;) {
    merge_masks(ruleset, match);
    if (imr::value_size(ruleset, match.lhs) != match.rhs.size()) return;
    const imr::Expr expr = ruleset[match.lhs];
    if (const auto* op = std::get_if<imr::MaskXor>(&expr)) {
      for (std::size_t i = 0; i < match.rhs.size(); ++i) match.rhs[i] ^= op->flip[i];
      if (all(op->mask, 0xff)) {
        match.lhs = op->source;
        continue;
      }
      if (!all(op->flip, 0)) {
        imr::MaskXor plain = *op;
        std::ranges::fill(plain.flip, std::uint8_t{0});
        match.lhs = ruleset.add(imr::Expr(plain));
      }
      return;
    }
    const auto* swap = std::get_if<imr::ByteSwap>(&expr);
    if (swap == nullptr) return;
    for (auto at = match.rhs.begin(); at != match.rhs.end(); at += swap->unit) {
      std::reverse(at, at + swap->unit);
    }
    match.lhs = swap->source;
  }
}

// Whether a masked equality asks for a bit that the mask clears.
bool impossible(const imr::Ruleset& ruleset, const Match& match) {
  const auto* op = std::get_if<imr::MaskXor>(&ruleset[match.lhs]);
  if (op == nullptr || match.op != Relop::eq || !all(op->flip, 0)) return false;
  for (std::size_t i = 0; i < match.rhs.size(); ++i) {
    if ((match.rhs[i] & ~op->mask[i]) != 0) return true;
  }
  return false;
}

// What a comparison comes to for every packet of the unit, if that is known. A value that may be
// absent never counts as known.
std::optional<bool> outcome(const imr::Unit& unit, const Match& match) {
  if (const auto value = constant_value(unit, match.lhs)) return holds(*value, match.op, match.rhs);
  if (impossible(unit.ruleset, match)) return false;
  return std::nullopt;
}

}  // namespace

void imr_fold_constants(imr::Unit& unit) {
  imr::Ruleset& ruleset = unit.ruleset;
  std::vector<imr::Statement> kept;
  for (const imr::ChainId chain : unit_chains(unit)) {
    remove_rules(ruleset[chain], [&](imr::RuleId id) {
      const imr::Rule& rule = std::as_const(ruleset)[id];
      kept.clear();
      bool changed = false;
      for (std::size_t i = 0; i < rule.statements.size(); ++i) {
        const auto* match = std::get_if<Match>(&rule.statements[i]);
        if (match == nullptr) {
          kept.push_back(rule.statements[i]);
          continue;
        }
        Match simple = *match;
        simplify_equality(ruleset, simple);
        const std::optional<bool> known = outcome(unit, simple);
        if (known == false && !acts_before(ruleset, rule, i)) return true;
        changed = changed || known == true || simple != *match;
        if (known != true) kept.emplace_back(std::move(simple));
      }
      if (changed) ruleset[id].statements = std::vector<imr::Statement>(kept);
      return false;
    });
  }
}

}  // namespace weir::passes
