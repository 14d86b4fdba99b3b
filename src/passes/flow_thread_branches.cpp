// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_thread_branches.h"

#include <optional>
#include <utility>

#include "passes/flow_graph.h"

namespace weir::passes {

using flow::Block;
using flow::BlockId;
using flow::Condition;
using flow::Function;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

bool only_jumps(const Block& block) {
  return block.instructions.empty() && block.end.kind == Terminator::Kind::jump;
}

// Where a jump to `target` ends up. An empty loop leads to one of its own blocks.
BlockId destination(const Function& function, BlockId target) {
  for (std::size_t hops = 0; hops < function.blocks.size() && only_jumps(function[target]);
       ++hops) {
    target = function[target].end.yes;
  }
  return target;
}

bool holds(Condition condition, std::uint64_t a, std::uint64_t b) {
  switch (condition) {
    case Condition::eq:
      return a == b;
    case Condition::ne:
      return a != b;
    case Condition::lt:
      return a < b;
    case Condition::le:
      return a <= b;
    case Condition::gt:
      return a > b;
    case Condition::ge:
      return a >= b;
    case Condition::set:
      return (a & b) != 0;
  }
  throw InvariantError("no such condition");
}

// The number that the register holds at the end of the block, where its last write is a constant.
std::optional<std::uint64_t> known_number(const Block& block, Reg r) {
  for (auto i = block.instructions.rbegin(); i != block.instructions.rend(); ++i) {
    if (i->dst != r) continue;
    if (i->op == Op::constant) return i->imm;
    return std::nullopt;
  }
  return std::nullopt;
}

// What a condition says of every number, if it says one thing: "lt 0" never holds.
std::optional<bool> decided_by_second(Condition condition, std::uint64_t b) {
  constexpr std::uint64_t largest = ~std::uint64_t{0};
  switch (condition) {
    case Condition::lt:
    case Condition::set:
      return b == 0 ? std::optional(false) : std::nullopt;
    case Condition::ge:
      return b == 0 ? std::optional(true) : std::nullopt;
    case Condition::gt:
      return b == largest ? std::optional(false) : std::nullopt;
    case Condition::le:
      return b == largest ? std::optional(true) : std::nullopt;
    case Condition::eq:
    case Condition::ne:
      return std::nullopt;
  }
  throw InvariantError("no such condition");
}

void make_jump(Terminator& end, BlockId target) {
  end = {.kind = Terminator::Kind::jump, .yes = target};
}

void simplify(Block& block, const RegisterCounts& counts) {
  Terminator& end = block.end;
  if (end.kind == Terminator::Kind::window && end.yes == end.no &&
      counts.reads[end.dst.index()] == 0) {
    make_jump(end, end.yes);
  }
  if (end.kind != Terminator::Kind::branch) return;
  if (end.yes == end.no) {
    make_jump(end, end.yes);
    return;
  }
  const auto a = known_number(block, end.a);
  const auto b = end.b.valid() ? known_number(block, end.b) : end.imm;
  std::optional<bool> outcome;
  if (b) outcome = a ? holds(end.condition, *a, *b) : decided_by_second(end.condition, *b);
  if (outcome) make_jump(end, *outcome ? end.yes : end.no);
}

// Puts `next`, which `block` alone leads to, behind it. `next` is left behind unreachable.
void append(Block& block, Block& next) {
  if (block.instructions.empty()) block.rule = next.rule;
  for (flow::Instruction& i : next.instructions) block.instructions.push_back(std::move(i));
  next.instructions.clear();
  block.end = std::exchange(next.end, Terminator{.kind = Terminator::Kind::ret});
}

void merge_into_predecessors(Function& function) {
  remove_unreachable(function);
  const auto before = predecessors(function);
  for (Block& block : function.blocks) {
    while (block.end.kind == Terminator::Kind::jump) {
      const BlockId target = block.end.yes;
      Block& next = function[target];
      const bool one_rule =
          block.rule == next.rule || block.instructions.empty() || next.instructions.empty();
      if (target == BlockId(0) || &next == &block || before[target.index()].size() != 1 ||
          !one_rule) {
        break;
      }
      append(block, next);
    }
  }
  remove_unreachable(function);
}

}  // namespace

void flow_thread_branches(Function& function) {
  const RegisterCounts counts(function);
  for (Block& block : function.blocks) {
    if (block.end.yes.valid()) block.end.yes = destination(function, block.end.yes);
    if (block.end.no.valid()) block.end.no = destination(function, block.end.no);
    for (flow::Site& site : block.end.sites) site.block = destination(function, site.block);
    simplify(block, counts);
  }
  merge_into_predecessors(function);
}

}  // namespace weir::passes
