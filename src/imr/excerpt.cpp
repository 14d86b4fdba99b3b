// SPDX-License-Identifier: BSD-2-Clause
#include "imr/excerpt.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "imr/visit.h"

namespace weir::imr {

ExprId Excerpt::expr(ExprId id) {
  const auto known = exprs_.find(id);
  if (known != exprs_.end()) return known->second;
  Expr copy = from_[id];
  match_on(
      copy, [&](MaskXor& one) { one.source = expr(one.source); },
      [&](Shift& one) { one.source = expr(one.source); },
      [&](ByteSwap& one) { one.source = expr(one.source); },
      [&](Concat& one) {
        for (ExprId& part : one.parts) part = expr(part);
      },
      [&](MapLookup& one) {
        one.key = expr(one.key);
        one.map = set(one.map);
      },
      [](Immediate&) {}, [](Payload&) {}, [](HeaderField&) {}, [](Extension&) {}, [](Meta&) {},
      [](Ct&) {}, [](Random&) {}, [&](Hash& one) { one.source = expr(one.source); },
      [&](Nexthop& one) { one.source = expr(one.source); },
      [](Numgen&) { invariant(false, "an excerpt of a rule that takes from a meter"); });
  return exprs_[id] = to_.add(std::move(copy));
}

TableId Excerpt::table(TableId id) {
  const auto [known, is_new] = tables_.try_emplace(id);
  if (!is_new) return known->second;
  const Table& wanted = from_[id];
  const auto there = std::ranges::find_if(to_.tables, [&](const Table& one) {
    return one.family == wanted.family && one.name == wanted.name;
  });
  return known->second = there == to_.tables.end()
                             ? to_.add(wanted)
                             : TableId(static_cast<std::size_t>(there - to_.tables.begin()));
}

SetId Excerpt::set(SetId id) {
  const auto known = sets_.find(id);
  if (known != sets_.end()) return known->second;
  const TableId table = this->table(from_[id].table);
  // A number that a set without a name had may be that of another one now.
  const auto there = std::ranges::find_if(to_.sets, [&](const Set& one) {
    return !one.anonymous && one.table == table && one.name == from_[id].name;
  });
  if (there != to_.sets.end()) {
    return sets_[id] = SetId(static_cast<std::size_t>(there - to_.sets.begin()));
  }
  Set copy = from_[id];
  copy.table = table;
  return sets_[id] = to_.add(std::move(copy));
}

ChainId Excerpt::chain(ChainId id) {
  Chain copy = from_[id];
  copy.table = table(copy.table);
  copy.rules.clear();
  return to_.add(std::move(copy));
}

RuleId Excerpt::rule(RuleId id, ChainId chain) {
  Rule copy = from_[id];
  copy.chain = chain;
  for (Statement& statement : copy.statements.edit()) {
    match_on(
        statement, [&](Match& one) { one.lhs = expr(one.lhs); },
        [&](MatchRange& one) { one.lhs = expr(one.lhs); },
        [&](MatchSet& one) {
          one.key = expr(one.key);
          one.set = set(one.set);
        },
        [&](VerdictMap& one) {
          one.key = expr(one.key);
          one.map = set(one.map);
        },
        [](VerdictStatement& one) {
          invariant(!one.verdict.chain.valid(), "an excerpt of a rule that leads to a chain");
        },
        [](Meter&) { invariant(false, "an excerpt of a rule that takes from a meter"); },
        [](Choice&) { invariant(false, "an excerpt of a rule that chooses an object"); },
        [&](MetaWrite& one) { one.value = expr(one.value); },
        [&](PayloadWrite& one) { one.value = expr(one.value); },
        [&](OptionWrite& one) { one.value = expr(one.value); }, [](OptionStrip&) {},
        [](DynamicSet&) { invariant(false, "an excerpt of a rule that changes a set"); },
        [](Answer& one) {
          invariant(!one.limit, "an excerpt of a rule whose answers have a limit");
        },
        [&](Forward& one) { one.device = expr(one.device); },
        [&](Duplicate& one) { one.device = expr(one.device); }, [](Counter&) {}, [](Log&) {},
        [](Native&) {});
  }
  return to_.add(std::move(copy));
}

}  // namespace weir::imr
