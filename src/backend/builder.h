// SPDX-License-Identifier: BSD-2-Clause
//
// A cursor that appends instructions to a flow::Function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flow/flow.h"

namespace weir::backend {

class Builder {
 public:
  explicit Builder(flow::Function& function) : function_(function) {}

  [[nodiscard]] flow::Function& function() { return function_; }

  // New blocks carry the name of the rule that is being lowered.
  void set_rule(std::int32_t rule) { rule_ = rule; }
  [[nodiscard]] std::int32_t rule() const { return rule_; }
  [[nodiscard]] flow::BlockId block() { return function_.new_block(rule_); }
  // Goes on in `block`, which must have no end yet.
  void at(flow::BlockId block) { current_ = block; }
  [[nodiscard]] flow::BlockId current() const { return current_; }

  flow::Reg constant(std::uint64_t value);
  void assign_constant(flow::Reg dst, std::uint64_t value);
  flow::Reg unary(flow::Op op, flow::Reg a);
  flow::Reg binary(flow::Op op, flow::Reg a, flow::Reg b);
  flow::Reg binary(flow::Op op, flow::Reg a, std::uint64_t imm);
  void assign(flow::Reg dst, flow::Op op, flow::Reg a, std::uint64_t imm);
  void assign_copy(flow::Reg dst, flow::Reg a);
  flow::Reg load(flow::Reg base, std::uint64_t offset, std::uint8_t size);
  void assign_load(flow::Reg dst, flow::Reg base, std::uint64_t offset, std::uint8_t size);
  flow::Reg context(flow::ContextKey key);
  flow::Reg map_value(isa::MapIndex map, std::uint64_t offset = 0);
  flow::Reg lookup(isa::MapIndex map, std::uint8_t key_size, std::vector<flow::Reg> chunks);
  void accumulate(flow::Reg dst, flow::Op op, flow::Reg b);  // dst = dst op b
  // dst = zero + imm, where `zero` is an opaque zero. The byte swap of zero is zero, and what the
  // verifier learns about dst later it does not carry over to `zero`, as it would from a copy.
  void assign_opaque(flow::Reg dst, flow::Reg zero, std::uint64_t imm = 0);
  // dst = 0, of which the verifier knows what it knows of a load of `size` bytes: where ways meet
  // on which something was loaded and was not there, they are one to it.
  void assign_absent(flow::Reg dst, flow::Reg zero, std::uint8_t size);
  void append(flow::Instruction instruction);

  // Ends of the current block; the cursor then stands nowhere until at() is called.
  void jump(flow::BlockId target);
  void branch(flow::Condition condition, flow::Reg a, std::uint64_t imm, flow::BlockId yes,
              flow::BlockId no);
  void branch(flow::Condition condition, flow::Reg a, flow::Reg b, flow::BlockId yes,
              flow::BlockId no);
  void ret(bool accept);
  void ret(flow::Verdict verdict);
  void dispatch(flow::Reg a, std::vector<flow::Site> sites);
  // Branches away to `elsewhere` when the condition holds, and goes on in a new block when not.
  void leave_if(flow::Condition condition, flow::Reg a, std::uint64_t imm, flow::BlockId elsewhere);
  // A window of `width` bytes at `base` (may be invalid: 0) + offset; goes on in a new block when
  // they are there, `absent` else.
  flow::Reg window(flow::Reg base, std::uint64_t offset, std::uint64_t width, flow::BlockId absent);

 private:
  flow::Function& function_;
  flow::BlockId current_;
  std::int32_t rule_ = -1;
};

}  // namespace weir::backend
