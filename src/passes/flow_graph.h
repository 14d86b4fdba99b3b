// SPDX-License-Identifier: BSD-2-Clause
//
// What several flow passes ask of a function's graph. All of it is made for one state of the
// function; a pass that moves edges asks again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "flow/flow.h"

namespace weir::passes {

// For each block, the blocks that lead there, once for each edge.
[[nodiscard]] std::vector<std::vector<flow::BlockId>> predecessors(const flow::Function& function);

// The blocks that the entry reaches, each before its successors except along loops.
[[nodiscard]] std::vector<flow::BlockId> reverse_postorder(const flow::Function& function);

// Drops the blocks that the entry does not reach; the others keep their order and are renumbered.
void remove_unreachable(flow::Function& function);

// Whether an instruction or a terminator reads the register.
template <typename One>
[[nodiscard]] bool reads(const One& one, flow::Reg reg) {
  const std::vector<flow::Reg> used = flow::uses(one);
  return std::ranges::find(used, reg) != used.end();
}

// How often the function writes and reads each register, as written down.
struct RegisterCounts {
  explicit RegisterCounts(const flow::Function& function);
  [[nodiscard]] bool assigned_once(flow::Reg r) const { return writes[r.index()] == 1; }

  std::vector<std::uint32_t> writes;
  std::vector<std::uint32_t> reads;
};

// Where registers have their last value: what is computed from them there holds from there on.
class SettledRegisters {
 public:
  explicit SettledRegisters(const flow::Function& function);
  // Whether the register is assigned once in the function, or neither this block nor any that it
  // leads to assigns it.
  [[nodiscard]] bool settled(flow::Reg r, flow::BlockId at);

 private:
  std::vector<std::vector<flow::BlockId>> before_;
  std::vector<std::vector<flow::BlockId>> writers_;  // by register: blocks, once for each write
  // By register, made when first asked for: the blocks that lead to a write or hold one.
  std::unordered_map<flow::Reg, std::vector<bool>> unsettled_;
};

// The dominator tree: a block's parent is the last block that every path to it goes through.
// Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm (2001).
class DominatorTree {
 public:
  explicit DominatorTree(const flow::Function& function);
  // Blocks that the entry does not reach have no parent and are nobody's child.
  [[nodiscard]] const std::vector<flow::BlockId>& children(flow::BlockId id) const {
    return children_[id.index()];
  }

 private:
  std::vector<std::vector<flow::BlockId>> children_;
};

// Walks the tree from its root: enter(block) before the children of a block, leave(block) behind.
template <typename Enter, typename Leave>
void walk(const DominatorTree& tree, Enter enter, Leave leave) {
  struct Step {
    flow::BlockId block;
    bool entered;
  };
  std::vector<Step> steps{{flow::BlockId(0), false}};
  while (!steps.empty()) {
    const Step step = steps.back();
    if (step.entered) {
      leave(step.block);
      steps.pop_back();
      continue;
    }
    steps.back().entered = true;
    enter(step.block);
    for (const flow::BlockId child : tree.children(step.block)) steps.push_back({child, false});
  }
}

}  // namespace weir::passes
