// SPDX-License-Identifier: BSD-2-Clause
#include "classify/decision_tree.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weir::classify {
namespace {

using Box = std::vector<Range>;
using Rules = std::vector<std::uint32_t>;

// Rules in all leaves: each is some ten instructions of a program.
constexpr std::size_t most_leaf_rules = 2500;
// To try a few rules takes less time than one more branch that no processor foresees.
constexpr std::size_t few_rules = 6;
// What the values of a key, a branch and a rule that is tried take, in ns, measured at XDP.
constexpr double cost_of_key = 10;
constexpr double cost_of_node = 3;
constexpr double cost_of_rule = 0.6;
// Code beyond what the first cache holds has to be fetched, a line at a time: of bytes for each
// node and rule, about.
constexpr double cache_of_code = 32768;
constexpr double cost_of_line = 3.5;
constexpr double size_of_node = 15;
constexpr double size_of_rule = 50;

bool covers(std::span<const Range> rule, const Box& box) {
  return std::ranges::equal(rule, box, [](const Range& range, const Range& all) {
    return range.first <= all.first && all.last <= range.last;
  });
}

class Builder {
 public:
  Builder(const RuleList& rules, const std::vector<Resume>& resumes)
      : rules_(rules), resumes_(resumes) {}

  std::optional<DecisionTree> run();

 private:
  struct Split {
    std::size_t field = 0;
    std::uint64_t at = 0;
    double sum = 0;  // of the squares of the rules on both sides
  };
  // False where it gets too large.
  bool grow(std::uint32_t node, Rules rules, const Box& box);
  [[nodiscard]] Rules left_in(const Rules& rules, const Box& box) const;
  [[nodiscard]] std::optional<Split> best_split(const Rules& rules, const Box& box) const;

  const RuleList& rules_;
  const std::vector<Resume>& resumes_;
  DecisionTree tree_;
  std::size_t leaf_rules_ = 0;
};

// Those that a packet of the box may meet. Behind one that all packets of the box meet that come to
// it, only those count that it leads to, or one before it.
Rules Builder::left_in(const Rules& rules, const Box& box) const {
  Rules out;
  std::set<std::uint32_t> landings;  // rules that others before lead to, over some between
  std::uint32_t from = 0;            // no packet comes to rules before it
  for (const std::uint32_t rule : rules) {
    if (rule < from) continue;
    const std::span<const Range> ranges = rules_[rule];
    const bool meets = std::ranges::equal(ranges, box, [](const Range& a, const Range& b) {
      return a.first <= b.last && b.first <= a.last;
    });
    if (!meets) continue;
    out.push_back(rule);
    if (resumes_.empty()) continue;
    const Resume& resume = resumes_[rule];
    for (const std::uint32_t landing : {resume.first, resume.other}) {
      if (landing > rule + 1) landings.insert(landing);
    }
    if (resume.first > rule + 1 && covers(ranges, box)) from = *landings.upper_bound(rule);
  }
  return out;
}

std::optional<Builder::Split> Builder::best_split(const Rules& rules, const Box& box) const {
  std::optional<Split> best;
  std::vector<std::uint64_t> firsts;
  std::vector<std::uint64_t> ends;  // the value behind the last one
  for (std::size_t field = 0; field < box.size(); ++field) {
    const Range& all = box[field];
    firsts.clear();
    ends.clear();
    for (const std::uint32_t rule : rules) {
      const Range& range = rules_[rule][field];
      if (range.first > all.first) firsts.push_back(range.first);
      if (range.last < all.last) ends.push_back(range.last + 1);
    }
    std::ranges::sort(firsts);
    std::ranges::sort(ends);
    const auto try_at = [&](std::uint64_t at) {
      const auto later = firsts.end() - std::ranges::lower_bound(firsts, at);
      const auto earlier = std::ranges::upper_bound(ends, at) - ends.begin();
      const auto below = static_cast<double>(rules.size()) - static_cast<double>(later);
      const auto above = static_cast<double>(rules.size()) - static_cast<double>(earlier);
      const double sum = below * below + above * above;
      if (!best || sum < best->sum) best = Split{field, at, sum};
    };
    for (const auto* points : {&firsts, &ends}) {
      for (std::size_t i = 0; i < points->size(); ++i) {
        if (i == 0 || (*points)[i] != (*points)[i - 1]) try_at((*points)[i]);
      }
    }
  }
  return best;
}

bool Builder::grow(std::uint32_t node, Rules rules, const Box& box) {
  const auto all = static_cast<double>(rules.size());
  const auto split = rules.size() > few_rules ? best_split(rules, box) : std::nullopt;
  if (!split || split->sum > 1.7 * all * all) {
    leaf_rules_ += rules.size();
    tree_.nodes[node].rules = std::move(rules);
    return leaf_rules_ <= most_leaf_rules;
  }
  const auto below = static_cast<std::uint32_t>(tree_.nodes.size());
  tree_.nodes.resize(tree_.nodes.size() + 2);
  tree_.nodes[node] = {.is_leaf = false,
                       .field = static_cast<std::uint32_t>(split->field),
                       .split = split->at,
                       .below = below,
                       .above = below + 1};
  Box half = box;
  half[split->field].last = split->at - 1;
  if (!grow(below, left_in(rules, half), half)) return false;
  half[split->field] = {split->at, box[split->field].last};
  return grow(below + 1, left_in(rules, half), half);
}

std::optional<DecisionTree> Builder::run() {
  Box box;
  Rules rules;
  for (std::size_t field = 0; field < rules_.fields(); ++field) {
    box.push_back({0, prefix_mask(rules_.bits(field), rules_.bits(field))});
  }
  for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
    rules.push_back(static_cast<std::uint32_t>(rule));
  }
  // Each is in a leaf at least, but for those that no packet meets.
  if (rules.size() > 2 * most_leaf_rules) return std::nullopt;
  tree_.nodes.resize(1);
  if (!grow(0, left_in(rules, box), box)) return std::nullopt;
  return std::move(tree_);
}

class Tree final : public Structure {
 public:
  Tree(const RuleList& rules, DecisionTree tree) : rules_(rules), tree_(std::move(tree)) {}

  std::optional<std::uint32_t> next_match(std::span<const std::uint64_t> key,
                                          std::uint32_t from) const override {
    const DecisionTree::Node* node = tree_.nodes.data();
    while (!node->is_leaf) {
      node = &tree_.nodes[key[node->field] < node->split ? node->below : node->above];
    }
    for (const std::uint32_t rule : node->rules) {
      if (rule >= from && rules_.matches(rule, key)) return rule;
    }
    return std::nullopt;
  }
  std::size_t bytes() const override {
    return tree_.nodes.size() * sizeof(DecisionTree::Node) +
           tree_.leaf_rules() * sizeof(std::uint32_t);
  }
  double cost() const override { return tree_.cost(); }

 private:
  RuleList rules_;
  DecisionTree tree_;
};

}  // namespace

std::size_t DecisionTree::leaf_rules() const {
  std::size_t sum = 0;
  for (const Node& node : nodes) sum += node.rules.size();
  return sum;
}

// Of a packet that is as likely in the place of one rule as of another.
double DecisionTree::cost() const {
  const double size = size_of_node * static_cast<double>(nodes.size()) +
                      size_of_rule * static_cast<double>(leaf_rules());
  const double misses = size <= cache_of_code ? 0 : 1 - cache_of_code / size;
  std::vector<double> depth(nodes.size(), 0);
  double sum = 0;
  double weights = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!nodes[i].is_leaf) {
      depth[nodes[i].below] = depth[nodes[i].above] = depth[i] + 1;
      continue;
    }
    const auto rules = static_cast<double>(nodes[i].rules.size());
    const double lines = misses * (depth[i] + rules);
    sum += rules * (depth[i] * cost_of_node + rules * cost_of_rule + lines * cost_of_line);
    weights += rules;
  }
  return cost_of_key + (weights == 0 ? 0 : sum / weights);
}

std::optional<DecisionTree> make_decision_tree(const RuleList& rules,
                                               const std::vector<Resume>& resumes) {
  return Builder(rules, resumes).run();
}

std::unique_ptr<Structure> build_decision_tree(const RuleList& rules) {
  auto tree = make_decision_tree(rules, {});
  return tree ? std::make_unique<Tree>(rules, std::move(*tree)) : nullptr;
}

}  // namespace weir::classify
