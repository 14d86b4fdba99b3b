// SPDX-License-Identifier: BSD-2-Clause
//
// The search for the rules of a run that a packet meets: one loop over hash tables and their
// entries (backend/run_tables.h).
#pragma once

#include <span>
#include <vector>

#include "backend/builder.h"
#include "backend/run_maps.h"

namespace weir::backend {

class RunSearch {
 public:
  // The registers are the fields of the key; `opaque` is a zero that the verifier does not know.
  // More rounds than `direct_rounds` one after another are not for one piece of a function: it then
  // has to be split.
  RunSearch(Builder& out, const RunPlace& place, std::span<const flow::Reg> key, flow::Reg opaque,
            std::size_t direct_rounds)
      : out_(out),
        tables_(place.index.tables),
        place_(place),
        key_(key),
        opaque_(opaque),
        goes_on_(place.index.goes_on()),
        dispatches_(goes_on_ && rounds() > direct_rounds) {}

  // Emits the search from the cursor on. Goes to `miss` where no rule is met; else on at the
  // cursor, and gives the address of the rule's action.
  [[nodiscard]] flow::Reg first(flow::BlockId miss);
  // Ends the block: searches again, from the rule on that the action says. What then is met comes
  // to the cursor that first() left.
  void resume(flow::Reg action);

 private:
  // Rows and entries that are looked at, and the empty row behind them, at most.
  [[nodiscard]] std::size_t rounds() const {
    return (tables_.longest_search() + 1) * place_.searches;
  }
  void begin();
  void pack();
  void advance();
  void look();
  [[nodiscard]] flow::Reg hash(flow::Reg table);
  [[nodiscard]] flow::Reg row(const RunTable& table, flow::Reg index);
  // The same number in a register of which the verifier knows nothing.
  [[nodiscard]] flow::Reg blurred(flow::Reg reg) {
    return out_.binary(flow::Op::add, reg, opaque_);
  }

  Builder& out_;
  const classify::TupleTables& tables_;
  const RunPlace& place_;
  std::span<const flow::Reg> key_;
  flow::Reg opaque_;
  bool goes_on_;
  bool dispatches_;  // a search begins by a dispatch, and its rounds are counted anew
  std::vector<flow::Reg> words_;
  flow::Reg round_;
  flow::Reg table_;  // the next one's number
  flow::Reg entry_;  // the next one's number in the chain; 0: on to the next table
  flow::Reg best_;   // the rank of the rule found so far
  flow::Reg limit_;  // the rank that it may have at most
  flow::BlockId begin_;
  flow::BlockId loop_;
  flow::BlockId end_;
};

}  // namespace weir::backend
