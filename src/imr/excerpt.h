// SPDX-License-Identifier: BSD-2-Clause
//
// Parts of a ruleset taken over into another one, with all that they are made of. Tables, and sets
// that have names of their own, are there already where those of the names are.
#pragma once

#include <map>

#include "imr/imr.h"

namespace weir::imr {

class Excerpt {
 public:
  // Both have to outlive this; `to` grows.
  Excerpt(const Ruleset& from, Ruleset& to) : from_(from), to_(to) {}

  // The same expression there. What it looks up in comes with it.
  ExprId expr(ExprId id);
  SetId set(SetId id);
  // The table, and the chain without rules.
  ChainId chain(ChainId id);
  // The rule, at the end of a chain there. It leads to no other chain, and its counters have the
  // numbers that they have here.
  RuleId rule(RuleId id, ChainId chain);

 private:
  TableId table(TableId id);

  const Ruleset& from_;
  Ruleset& to_;
  std::map<ExprId, ExprId> exprs_;
  std::map<SetId, SetId> sets_;
  std::map<TableId, TableId> tables_;
};

}  // namespace weir::imr
