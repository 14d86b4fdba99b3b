// SPDX-License-Identifier: BSD-2-Clause
//
// A block's question whether a value is a number: plainly "branch v ne C", or as a guard,
// "t = xor v, C; branch t ne 0", where the kernel's verifier is not to learn what v is
// (passes/flow_fold.h).
#pragma once

#include <optional>

#include "flow/flow.h"

namespace weir::flow {

struct EqualityTest {
  Reg value;
  std::uint64_t number = 0;
  BlockId equal;
  BlockId different;
  bool guarded = false;  // by the last instruction of the block, and the terminator tests that
};

// The test that the block ends with; nullopt when it ends with something else.
[[nodiscard]] inline std::optional<EqualityTest> equality_test(const Block& block) {
  const Terminator& end = block.end;
  if (end.kind != Terminator::Kind::branch || end.b.valid()) return std::nullopt;
  const bool ne = end.condition == Condition::ne;
  if (!ne && end.condition != Condition::eq) return std::nullopt;
  EqualityTest test{.value = end.a,
                    .number = end.imm,
                    .equal = ne ? end.no : end.yes,
                    .different = ne ? end.yes : end.no};
  if (end.imm != 0 || block.instructions.empty()) return test;
  const Instruction& last = block.instructions.back();
  if (last.op == Op::xor_ && !last.b.valid() && last.dst == end.a && last.a != last.dst) {
    test.value = last.a;
    test.number = last.imm;
    test.guarded = true;
  }
  return test;
}

}  // namespace weir::flow
