// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_show_values.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <vector>

#include "flow/equality_test.h"
#include "passes/flow_graph.h"

namespace weir::passes {

using flow::Block;
using flow::BlockId;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::size_t most_blocks = 128;
constexpr std::uint64_t most_ways = 256;

bool has_loops(const Function& function) {
  std::vector<std::size_t> place(function.blocks.size(), 0);  // in the order of reached blocks
  const std::vector<BlockId> order = reverse_postorder(function);
  for (std::size_t i = 0; i < order.size(); ++i) place[order[i].index()] = i;
  return std::ranges::any_of(order, [&](BlockId from) {
    return std::ranges::any_of(flow::successors(function[from].end), [&](BlockId to) {
      return place[to.index()] <= place[from.index()];
    });
  });
}

bool is_small(const Function& function) {
  if (function.blocks.size() > most_blocks || has_loops(function)) return false;
  std::unordered_map<Reg, std::set<std::uint64_t>> tests;
  for (const Block& block : function.blocks) {
    const auto test = flow::equality_test(block);
    if (test && test->guarded) tests[test->value].insert(test->number);
  }
  std::uint64_t ways = 1;
  for (const auto& [value, numbers] : tests) {
    ways *= numbers.size() + 1;
    if (ways > most_ways) return false;
  }
  return true;
}

// A zero that is written once is told in each block that reads it, where flow_fold finds it.
void show_zeros(Function& function) {
  const RegisterCounts counts(function);
  std::vector<Reg> zeros;
  for (Block& block : function.blocks) {
    for (Instruction& i : block.instructions) {
      if (i.op != Op::opaque_zero || !counts.assigned_once(i.dst)) continue;
      zeros.push_back(i.dst);
      i = {.op = Op::constant, .dst = i.dst, .imm = 0};
    }
  }
  for (Block& block : function.blocks) {
    for (const Reg zero : zeros) {
      const auto is_read = [&](const auto& one) { return reads(one, zero); };
      if (!is_read(block.end) && std::ranges::none_of(block.instructions, is_read)) continue;
      block.instructions.insert(block.instructions.begin(),
                                {.op = Op::constant, .dst = zero, .imm = 0});
    }
  }
}

}  // namespace

void flow_show_values(Function& function) {
  if (!is_small(function)) return;
  show_zeros(function);
  for (Block& block : function.blocks) {
    const auto test = flow::equality_test(block);
    if (!test || !test->guarded) continue;
    block.end.a = test->value;
    block.end.imm = test->number;
  }
}

}  // namespace weir::passes
