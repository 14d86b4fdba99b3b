// SPDX-License-Identifier: BSD-2-Clause
#include "imr/identity.h"

#include <algorithm>
#include <variant>

#include "imr/visit.h"

namespace weir::imr {

bool same_expr(const Ruleset& ruleset, ExprId a, ExprId b) {
  if (a == b) return !may_change(ruleset, a);
  const Expr& left = ruleset[a];
  const Expr& right = ruleset[b];
  if (left.index() != right.index()) return false;
  return match_on(
      left,
      [&](const MaskXor& one) {
        const auto& other = std::get<MaskXor>(right);
        return one.mask == other.mask && one.flip == other.flip &&
               same_expr(ruleset, one.source, other.source);
      },
      [&](const Shift& one) {
        const auto& other = std::get<Shift>(right);
        return one.direction == other.direction && one.bits == other.bits &&
               same_expr(ruleset, one.source, other.source);
      },
      [&](const ByteSwap& one) {
        const auto& other = std::get<ByteSwap>(right);
        return one.unit == other.unit && same_expr(ruleset, one.source, other.source);
      },
      [&](const Concat& one) {
        return std::ranges::equal(one.parts, std::get<Concat>(right).parts,
                                  [&](ExprId x, ExprId y) { return same_expr(ruleset, x, y); });
      },
      [&](const MapLookup& one) {
        const auto& other = std::get<MapLookup>(right);
        return one.map == other.map && !ruleset[one.map].dynamic &&
               same_expr(ruleset, one.key, other.key);
      },
      [](const Numgen&) { return false; }, [](const Random&) { return false; },
      [&](const Hash& one) {
        const auto& other = std::get<Hash>(right);
        return one.length == other.length && one.seed == other.seed &&
               one.modulus == other.modulus && one.offset == other.offset &&
               same_expr(ruleset, one.source, other.source);
      },
      [&](const Nexthop& one) {
        return same_expr(ruleset, one.source, std::get<Nexthop>(right).source);
      },
      [&](const auto& leaf) { return leaf == std::get<std::decay_t<decltype(leaf)>>(right); });
}

bool same_match(const Ruleset& ruleset, const Match& a, const Match& b) {
  return a.op == b.op && a.rhs == b.rhs && same_expr(ruleset, a.lhs, b.lhs);
}

// No copy is of a copy: see imr/verify.h.
RuleId as_written(const Ruleset& ruleset, RuleId rule) {
  const RuleId original = ruleset[rule].copy_of;
  return original.valid() ? original : rule;
}

}  // namespace weir::imr
