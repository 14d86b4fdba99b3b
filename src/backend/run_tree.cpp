// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_tree.h"

#include <algorithm>
#include <utility>

#include "imr/identity.h"

namespace weir::backend {

using classify::Range;
using classify::RunAction;
using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

// The comparisons of the tree teach the verifier what is in the registers, on each way something
// else: they are of copies, which nothing behind the run looks at.
RunTree::RunTree(Builder& out, const imr::Ruleset& ruleset, const classify::Run& run,
                 const classify::DecisionTree& tree, std::span<const Reg> key, Reg opaque,
                 Effects effects)
    : out_(out), ruleset_(ruleset), run_(run), tree_(tree), effects_(std::move(effects)) {
  for (const Reg field : key) key_.push_back(out.binary(Op::add, field, opaque));
}

void RunTree::emit(BlockId next) {
  next_ = next;
  Box box;
  for (std::size_t field = 0; field < run_.list.fields(); ++field) {
    const unsigned bits = run_.list.bits(field);
    box.push_back({0, classify::prefix_mask(bits, bits)});
  }
  node(0, box);
  for (const auto& [action, block] : endings_) {
    out_.at(block);
    effects_.meet(run_.actions[action], next_);
    effects_.end(run_.actions[action]);
  }
}

void RunTree::node(std::uint32_t number, const Box& box) {
  const classify::DecisionTree::Node& here = tree_.nodes[number];
  if (here.is_leaf) {
    leaf(here.rules, box);
    return;
  }
  const BlockId below = out_.block();
  const BlockId above = out_.block();
  out_.branch(Condition::lt, key_[here.field], here.split, below, above);
  Box half = box;
  half[here.field].last = here.split - 1;
  out_.at(below);
  node(here.below, half);
  half[here.field] = {here.split, box[here.field].last};
  out_.at(above);
  node(here.above, half);
}

BlockId RunTree::ending(std::uint32_t action) {
  const auto [found, is_new] = endings_.try_emplace(action);
  if (is_new) {
    const imr::RuleId rule = run_.actions[action].rule;
    const std::int32_t label = out_.rule();
    if (rule.valid()) {
      out_.set_rule(static_cast<std::int32_t>(imr::as_written(ruleset_, rule).value));
    }
    found->second = out_.block();
    out_.set_rule(label);
  }
  return found->second;
}

void RunTree::leaf(std::span<const std::uint32_t> rules, const Box& box) {
  const std::int32_t label = out_.rule();
  std::vector<BlockId> starts;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const RunAction& action = run_.actions[run_.action[rules[i]]];
    if (action.rule.valid()) {
      out_.set_rule(static_cast<std::int32_t>(imr::as_written(ruleset_, action.rule).value));
    }
    starts.push_back(out_.block());
    out_.set_rule(label);
  }
  const auto from = [&](std::uint32_t rule) {
    const auto found = std::ranges::lower_bound(rules, rule);
    return found == rules.end() ? next_ : starts[static_cast<std::size_t>(found - rules.begin())];
  };
  out_.jump(rules.empty() ? next_ : starts.front());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::uint32_t number = run_.action[rules[i]];
    const RunAction& action = run_.actions[number];
    out_.at(starts[i]);
    test(rules[i], box, i + 1 < rules.size() ? starts[i + 1] : next_);
    // What goes on there goes on in this leaf.
    if (!action.may_go_on()) {
      out_.jump(ending(number));
      continue;
    }
    effects_.meet(action, action.may_fail ? from(action.otherwise) : next_);
    if (action.end == RunAction::End::on) {
      out_.jump(from(action.resume));
    } else {
      effects_.end(action);
    }
  }
}

void RunTree::test(std::uint32_t rule, const Box& box, BlockId fail) {
  Reg different;
  for (std::size_t field = 0; field < key_.size(); ++field) {
    const Range& range = run_.list[rule][field];
    const Range& known = box[field];
    if (range.first <= known.first && known.last <= range.last) continue;
    const unsigned bits = run_.list.bits(field);
    if (classify::is_prefix(range, bits)) {
      Reg bad = out_.binary(Op::xor_, key_[field], range.first);
      const unsigned behind = bits - classify::common_prefix(range, bits);
      if (behind != 0) bad = out_.binary(Op::shr, bad, std::uint64_t{behind});
      different = different.valid() ? out_.binary(Op::or_, different, bad) : bad;
    } else {
      // The distance from the lower end wraps around below it.
      const Reg distance = out_.binary(Op::sub, key_[field], range.first);
      out_.leave_if(Condition::gt, distance, range.last - range.first, fail);
    }
  }
  if (different.valid()) out_.leave_if(Condition::ne, different, 0, fail);
}

}  // namespace weir::backend
