// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_preset.h"

#include "passes/flow_graph.h"

namespace weir::passes {

using flow::Block;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

namespace {

bool only_sets_a_constant(const Block& block) {
  return block.instructions.size() == 1 && block.instructions.front().op == Op::constant &&
         block.end.kind == Terminator::Kind::jump;
}

// Whether the block gives the register a value of its own before anything reads it.
bool writes_first(const Block& block, Reg reg) {
  for (const Instruction& i : block.instructions) {
    if (reads(i, reg)) return false;
    if (i.dst == reg) return true;
  }
  return false;
}

}  // namespace

void flow_preset(Function& function) {
  const auto before = predecessors(function);
  for (Block& block : function.blocks) {
    Terminator& end = block.end;
    if (end.kind != Terminator::Kind::window) continue;
    const Block& setting = function[end.no];
    const Block& other = function[end.yes];
    if (!only_sets_a_constant(setting) || before[end.yes.index()].size() != 1) continue;
    const Instruction& constant = setting.instructions.front();
    const bool joins = other.end.kind == Terminator::Kind::jump && other.end.yes == setting.end.yes;
    if (!joins || end.dst == constant.dst || !writes_first(other, constant.dst) ||
        reads(end, constant.dst)) {
      continue;
    }
    block.instructions.push_back(constant);
    end.no = setting.end.yes;
  }
}

}  // namespace weir::passes
