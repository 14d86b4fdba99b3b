// SPDX-License-Identifier: BSD-2-Clause
//
// The search for the rules of a run that a packet meets, in a map (backend/run_maps.h).
#pragma once

#include <cstdint>
#include <span>

#include "backend/builder.h"
#include "backend/run_maps.h"

namespace weir::backend {

class RunSearch {
 public:
  virtual ~RunSearch() = default;

  // Emits the search from the cursor on. Goes to `miss` where no rule is met; else on at the
  // cursor.
  virtual void first(flow::BlockId miss) = 0;
  // Ends the block: searches again, from the rule on that resume_at() or otherwise() of the one
  // that was met says. What then is met comes to the cursor that first() left.
  virtual void resume(flow::Reg from) = 0;
  [[nodiscard]] virtual flow::Reg resume_at() = 0;

  // Of the rule that was met: its counter's number and 1, or 0; a RunEnd; its entry in a trace.
  [[nodiscard]] flow::Reg counter() { return out_.load(met_, action_, 4); }
  [[nodiscard]] flow::Reg end() {
    return out_.binary(flow::Op::and_, out_.load(met_, action_ + 4, 4), run_end_mask);
  }
  [[nodiscard]] virtual flow::Reg trace_entry() = 0;
  // Of runs that write marks: whether the rule does, 1 or 0, and which one.
  [[nodiscard]] flow::Reg is_marking();
  [[nodiscard]] flow::Reg mark() { return extra(RunExtras::mark); }
  // Of runs with tails: the code of the rule's and 1, or 0; of rules that have one what RunExtras
  // says.
  [[nodiscard]] flow::Reg code();
  [[nodiscard]] flow::Reg otherwise() { return extra(RunExtras::otherwise); }
  [[nodiscard]] flow::Reg rule() { return extra(RunExtras::rule); }
  [[nodiscard]] flow::Reg tail_meter() { return extra(RunExtras::meter); }
  [[nodiscard]] flow::Reg tail_counter() { return extra(RunExtras::counter); }

 protected:
  // The registers are the fields of the key; `opaque` is a zero that the verifier does not know.
  // `action`: where the counter's number is in the row of a rule, with the RunEnd behind it.
  RunSearch(Builder& out, const RunPlace& place, std::span<const flow::Reg> key, flow::Reg opaque,
            std::uint64_t action)
      : out_(out),
        place_(place),
        key_(key),
        opaque_(opaque),
        goes_on_(place.index.goes_on()),
        action_(action) {}

  // The number of 4 bytes at the offset in the extras of the rule that was met.
  [[nodiscard]] virtual flow::Reg extra(std::uint64_t offset) = 0;
  [[nodiscard]] flow::Reg row(const RunTable& table, flow::Reg index);
  [[nodiscard]] flow::Reg row(const RunTable& table, std::uint64_t index);
  // The same number in a register of which the verifier knows nothing.
  [[nodiscard]] flow::Reg blurred(flow::Reg reg) {
    return out_.binary(flow::Op::add, reg, opaque_);
  }

  Builder& out_;
  const RunPlace& place_;
  std::span<const flow::Reg> key_;
  flow::Reg opaque_;
  bool goes_on_;
  flow::Reg met_;  // the address of the row of the rule that was met

 private:
  std::uint64_t action_;
};

}  // namespace weir::backend
