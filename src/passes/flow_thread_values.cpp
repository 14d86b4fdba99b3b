// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_thread_values.h"

#include <unordered_map>

#include "flow/equality_test.h"
#include "passes/flow_graph.h"

namespace weir::passes {

using flow::Block;
using flow::BlockId;
using flow::Function;
using flow::Reg;
using flow::Terminator;

namespace {

constexpr int most_hops = 64;

class Threading {
 public:
  explicit Threading(Function& function)
      : function_(function),
        counts_(function),
        settled_(function),
        before_(predecessors(function)) {}

  void run() {
    const DominatorTree tree(function_);
    walk(
        tree, [&](BlockId id) { enter(id); },
        [&](BlockId) {
          if (learned_.back().valid()) known_.erase(learned_.back());
          learned_.pop_back();
        });
  }

 private:
  void enter(BlockId id) {
    learned_.push_back(learn(id));
    if (known_.empty()) return;
    Terminator& end = function_[id].end;
    if (end.kind != Terminator::Kind::jump && end.kind != Terminator::Kind::branch) return;
    end.yes = destination(end.yes);
    if (end.no.valid()) end.no = destination(end.no);
  }

  // The value that is known from this block on, since only one test leads here.
  Reg learn(BlockId id) {
    if (before_[id.index()].size() != 1) return {};
    const BlockId from = before_[id.index()].front();
    const auto test = flow::equality_test(function_[from]);
    // The test itself may lead elsewhere by now, but not to where its value is the number.
    if (!test || test->equal != id || test->different == id) return {};
    if (!settled_.settled(test->value, from)) return {};
    return known_.emplace(test->value, test->number).second ? test->value : Reg{};
  }

  [[nodiscard]] BlockId destination(BlockId target) const {
    for (int hops = 0; hops < most_hops; ++hops) {
      const Block& block = function_[target];
      const auto test = flow::equality_test(block);
      if (!test) return target;
      const bool only_tests =
          test->guarded ? block.instructions.size() == 1 && counts_.reads[block.end.a.index()] == 1
                        : block.instructions.empty();
      const auto known = known_.find(test->value);
      if (!only_tests || known == known_.end()) return target;
      target = known->second == test->number ? test->equal : test->different;
    }
    return target;
  }

  Function& function_;
  const RegisterCounts counts_;
  SettledRegisters settled_;
  const std::vector<std::vector<BlockId>> before_;  // as the function came
  std::unordered_map<Reg, std::uint64_t> known_;
  std::vector<Reg> learned_;  // by each block from the root to this one; not valid: nothing
};

}  // namespace

void flow_thread_values(Function& function) {
  Threading(function).run();
}

}  // namespace weir::passes
