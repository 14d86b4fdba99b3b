// SPDX-License-Identifier: BSD-2-Clause
//
// Liveness, by the usual backward iteration over the blocks until nothing changes.
#include "flow/liveness.h"

#include <algorithm>

namespace weir::flow {

std::vector<Reg> RegSet::take() {
  std::vector<Reg> out;
  for (const Reg r : members_) {
    if (!present_[r.index()]) continue;
    present_[r.index()] = false;
    out.push_back(r);
  }
  members_.clear();
  std::ranges::sort(out);
  return out;
}

void step_back(const Instruction& instruction, RegSet& live) {
  if (instruction.dst.valid()) live.remove(instruction.dst);
  for (const Reg r : uses(instruction)) live.add(r);
}

void step_back(const Terminator& end, RegSet& live) {
  if (end.dst.valid()) live.remove(end.dst);
  for (const Reg r : uses(end)) live.add(r);
}

bool is_dead(const Instruction& instruction, const RegSet& live) {
  return !has_effect(instruction.op) && !live.contains(instruction.dst);
}

std::vector<std::vector<Reg>> live_at_start(const Function& function, Reads reads) {
  const std::size_t count = function.blocks.size();
  std::vector<std::vector<BlockId>> predecessors(count);
  for (std::size_t b = 0; b < count; ++b) {
    for (const BlockId to : successors(function.blocks[b].end)) {
      predecessors[to.index()].push_back(BlockId(b));
    }
  }

  // Last blocks first, as most control goes forward.
  std::vector<BlockId> work;
  std::vector<bool> waiting(count, true);
  for (std::size_t b = 0; b < count; ++b) work.push_back(BlockId(b));

  std::vector<std::vector<Reg>> out(count);
  RegSet live(function.registers);
  while (!work.empty()) {
    const BlockId id = work.back();
    work.pop_back();
    waiting[id.index()] = false;
    const Block& block = function[id];
    for (const BlockId to : successors(block.end)) {
      for (const Reg r : out[to.index()]) live.add(r);
    }
    step_back(block.end, live);
    for (auto i = block.instructions.rbegin(); i != block.instructions.rend(); ++i) {
      if (reads == Reads::needed && is_dead(*i, live)) continue;
      step_back(*i, live);
    }
    std::vector<Reg> now = live.take();
    if (now == out[id.index()]) continue;
    out[id.index()] = std::move(now);
    for (const BlockId from : predecessors[id.index()]) {
      if (!waiting[from.index()]) work.push_back(from);
      waiting[from.index()] = true;
    }
  }
  return out;
}

}  // namespace weir::flow
