// SPDX-License-Identifier: BSD-2-Clause
//
// Orders, counts and dominators of a flow function.
#include "passes/flow_graph.h"

#include <algorithm>

namespace weir::passes {

using flow::BlockId;
using flow::Function;
using flow::Reg;

std::vector<std::vector<BlockId>> predecessors(const Function& function) {
  std::vector<std::vector<BlockId>> out(function.blocks.size());
  for (std::size_t b = 0; b < function.blocks.size(); ++b) {
    for (const BlockId to : successors(function.blocks[b].end)) {
      out[to.index()].push_back(BlockId(b));
    }
  }
  return out;
}

std::vector<BlockId> reverse_postorder(const Function& function) {
  struct Step {
    BlockId block;
    std::vector<BlockId> rest;  // successors still to be visited, the next one last
  };
  std::vector<bool> seen(function.blocks.size(), false);
  std::vector<BlockId> out;
  std::vector<Step> steps;
  const auto visit = [&](BlockId id) {
    seen[id.index()] = true;
    // The first successor is visited last, so that it comes first once the order is reversed.
    steps.push_back({id, successors(function[id].end)});
  };
  visit(BlockId(0));
  while (!steps.empty()) {
    Step& step = steps.back();
    if (step.rest.empty()) {
      out.push_back(step.block);
      steps.pop_back();
      continue;
    }
    const BlockId next = step.rest.back();
    step.rest.pop_back();
    if (!seen[next.index()]) visit(next);
  }
  std::ranges::reverse(out);
  return out;
}

void remove_unreachable(Function& function) {
  std::vector<BlockId> reached = reverse_postorder(function);
  if (reached.size() == function.blocks.size()) return;
  std::ranges::sort(reached);
  std::vector<BlockId> renumbered(function.blocks.size());
  std::vector<flow::Block> blocks;
  for (const BlockId old : reached) {
    renumbered[old.index()] = BlockId(blocks.size());
    blocks.push_back(std::move(function[old]));
  }
  function.blocks = std::move(blocks);
  for (flow::Block& block : function.blocks) {
    if (block.end.yes.valid()) block.end.yes = renumbered[block.end.yes.index()];
    if (block.end.no.valid()) block.end.no = renumbered[block.end.no.index()];
    for (flow::Site& site : block.end.sites) site.block = renumbered[site.block.index()];
  }
}

RegisterCounts::RegisterCounts(const Function& function)
    : writes(function.registers), reads(function.registers) {
  for (const flow::Block& block : function.blocks) {
    for (const flow::Instruction& i : block.instructions) {
      if (i.dst.valid()) ++writes[i.dst.index()];
      for (const Reg r : uses(i)) ++reads[r.index()];
    }
    if (block.end.dst.valid()) ++writes[block.end.dst.index()];
    for (const Reg r : uses(block.end)) ++reads[r.index()];
  }
}

SettledRegisters::SettledRegisters(const Function& function)
    : before_(predecessors(function)), writers_(function.registers) {
  for (std::size_t b = 0; b < function.blocks.size(); ++b) {
    const flow::Block& block = function.blocks[b];
    for (const flow::Instruction& i : block.instructions) {
      if (i.dst.valid()) writers_[i.dst.index()].push_back(BlockId(b));
    }
    if (block.end.dst.valid()) writers_[block.end.dst.index()].push_back(BlockId(b));
  }
}

bool SettledRegisters::settled(Reg r, BlockId at) {
  if (writers_[r.index()].size() <= 1) return true;
  const auto [entry, is_new] = unsettled_.try_emplace(r);
  std::vector<bool>& unsettled = entry->second;
  if (is_new) {
    unsettled.assign(before_.size(), false);
    std::vector<BlockId> work = writers_[r.index()];
    while (!work.empty()) {
      const BlockId id = work.back();
      work.pop_back();
      if (unsettled[id.index()]) continue;
      unsettled[id.index()] = true;
      work.insert(work.end(), before_[id.index()].begin(), before_[id.index()].end());
    }
  }
  return !unsettled[at.index()];
}

DominatorTree::DominatorTree(const Function& function) : children_(function.blocks.size()) {
  constexpr std::uint32_t none = 0xffffffff;
  const std::vector<BlockId> order = reverse_postorder(function);
  std::vector<std::uint32_t> place(function.blocks.size(), none);  // in `order`
  for (std::size_t i = 0; i < order.size(); ++i) {
    place[order[i].index()] = static_cast<std::uint32_t>(i);
  }
  const auto before = predecessors(function);

  std::vector<std::uint32_t> parent(order.size(), none);  // both by place
  parent[0] = 0;
  const auto common = [&](std::uint32_t a, std::uint32_t b) {
    while (a != b) {
      while (a > b) a = parent[a];
      while (b > a) b = parent[b];
    }
    return a;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 1; i < order.size(); ++i) {
      std::uint32_t now = none;
      for (const BlockId from : before[order[i].index()]) {
        const std::uint32_t p = place[from.index()];
        if (p == none || parent[p] == none) continue;
        now = now == none ? p : common(now, p);
      }
      changed = changed || now != parent[i];
      parent[i] = now;
    }
  }
  for (std::size_t i = 1; i < order.size(); ++i) {
    children_[order[parent[i]].index()].push_back(order[i]);
  }
}

}  // namespace weir::passes
