// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_dead_code.h"

#include <algorithm>

#include "flow/liveness.h"
#include "passes/flow_graph.h"

namespace weir::passes {

void flow_dead_code(flow::Function& function) {
  remove_unreachable(function);
  const auto live_at_start = flow::live_at_start(function, flow::Reads::needed);
  flow::RegSet live(function.registers);
  for (flow::Block& block : function.blocks) {
    for (const flow::BlockId to : successors(block.end)) {
      for (const flow::Reg r : live_at_start[to.index()]) live.add(r);
    }
    step_back(block.end, live);
    std::vector<flow::Instruction> kept;  // last one first
    for (auto i = block.instructions.rbegin(); i != block.instructions.rend(); ++i) {
      if (is_dead(*i, live)) continue;
      step_back(*i, live);
      kept.push_back(std::move(*i));
    }
    std::ranges::reverse(kept);
    block.instructions = std::move(kept);
    (void)live.take();
  }
}

}  // namespace weir::passes
