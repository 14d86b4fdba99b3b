// SPDX-License-Identifier: BSD-2-Clause
//
// A binary tree of comparisons: each node asks whether one field is below a constant, each leaf
// holds the few rules that are left, to be tried in order. It is meant to become code. Splits are
// chosen as in Y. Qi et al., "Packet Classification Algorithms: From Theory to Practice" (INFOCOM
// 2009): where the two halves have the fewest rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "classify/structure.h"

namespace weir::classify {

struct DecisionTree {
  struct Node {
    bool is_leaf = true;
    std::uint32_t field = 0;
    std::uint64_t split = 0;
    std::uint32_t below = 0;                // the node for values below `split`
    std::uint32_t above = 0;                // for others
    std::vector<std::uint32_t> rules = {};  // of a leaf, ascending
  };
  std::vector<Node> nodes;  // the first one is the root; children come behind their parents

  // Rules of all leaves.
  [[nodiscard]] std::size_t leaf_rules() const;
  // As Structure says it.
  [[nodiscard]] double cost() const;
};

// From which rule on a packet that meets a rule looks for more; one behind the last where it does
// not. What the rule does besides decides which of the two it is.
struct Resume {
  std::uint32_t first = 0;
  std::uint32_t other = 0;  // no less
};

// `resumes`, of each rule; empty: from the next one on. Nothing where the tree would be too large.
[[nodiscard]] std::optional<DecisionTree> make_decision_tree(const RuleList& rules,
                                                             const std::vector<Resume>& resumes);

[[nodiscard]] std::unique_ptr<Structure> build_decision_tree(const RuleList& rules);

}  // namespace weir::classify
