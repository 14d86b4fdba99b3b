// SPDX-License-Identifier: BSD-2-Clause
//
// A run of rules as code: the comparisons of a decision tree (classify/decision_tree.h), and in its
// leaves the tests of the few rules that are left.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "backend/builder.h"
#include "classify/decision_tree.h"
#include "classify/runs.h"

namespace weir::backend {

class RunTree {
 public:
  // What the action of a rule becomes. Emits from the cursor on.
  struct Effects {
    // Counts, traces, runs the tail, which is left for a block.
    std::function<void(const classify::RunAction&, flow::BlockId)> meet;
    std::function<void(const classify::RunAction&)> end;  // of those that end: ends the block
  };
  // The registers are the fields of the key; `opaque` is a zero that the verifier does not know.
  RunTree(Builder& out, const imr::Ruleset& ruleset, const classify::Run& run,
          const classify::DecisionTree& tree, std::span<const flow::Reg> key, flow::Reg opaque,
          Effects effects);

  // From the cursor on; ends the block. Packets that meet no rule that ends go to `next`.
  void emit(flow::BlockId next);

 private:
  using Box = std::vector<classify::Range>;

  void node(std::uint32_t number, const Box& box);
  void leaf(std::span<const std::uint32_t> rules, const Box& box);
  // Leaves to `fail` unless the rule holds for the packet, which is in the box.
  void test(std::uint32_t rule, const Box& box, flow::BlockId fail);
  [[nodiscard]] flow::BlockId ending(std::uint32_t action);

  Builder& out_;
  const imr::Ruleset& ruleset_;
  const classify::Run& run_;
  const classify::DecisionTree& tree_;
  std::vector<flow::Reg> key_;
  Effects effects_;
  flow::BlockId next_;
  std::map<std::uint32_t, flow::BlockId> endings_;  // by action: each is there once
};

}  // namespace weir::backend
