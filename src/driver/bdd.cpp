// SPDX-License-Identifier: BSD-2-Clause
#include "driver/bdd.h"

#include <algorithm>
#include <limits>

namespace weir::driver {
namespace {

constexpr Bdd::Fact no_fact = std::numeric_limits<Bdd::Fact>::max();
constexpr std::size_t memo_size = std::size_t{1} << 16;

std::size_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  std::uint64_t h = a * 0x9e3779b97f4a7c15U;
  h = (h ^ (h >> 29) ^ b) * 0xbf58476d1ce4e5b9U;
  h = (h ^ (h >> 32) ^ c) * 0x94d049bb133111ebU;
  return static_cast<std::size_t>(h ^ (h >> 31));
}

}  // namespace

std::size_t Bdd::NodeHash::operator()(const Node& node) const noexcept {
  return mix(node.fact, node.yes, node.no);
}

Bdd::Bdd(std::size_t most_nodes, std::size_t most_steps)
    : most_nodes_(most_nodes),
      steps_left_(most_steps),
      nodes_{{no_fact, none, none}, {no_fact, all, all}},
      // No computation is kept whose condition is `none`: such an entry is an empty one.
      memo_(memo_size) {}

void Bdd::step() {
  if (steps_left_ == 0) throw Overflow{};
  --steps_left_;
}

Bdd::Memo& Bdd::memo(Set a, Set b, Set c) {
  return memo_[mix(a, b, c) % memo_size];
}

Bdd::Set Bdd::make(Fact fact, Set yes, Set no) {
  if (yes == no) return yes;
  const Node node{fact, yes, no};
  const auto found = known_.find(node);
  if (found != known_.end()) return found->second;
  if (nodes_.size() >= most_nodes_) throw Overflow{};
  const auto made = static_cast<Set>(nodes_.size());
  nodes_.push_back(node);
  known_.emplace(node, made);
  return made;
}

Bdd::Set Bdd::having(Fact fact) {
  return make(fact, all, none);
}

Bdd::Set Bdd::choose(Set condition, Set yes, Set no) {
  if (condition == all || yes == no) return yes;
  if (condition == none) return no;
  if (yes == all && no == none) return condition;
  const std::array<Set, 3> key = {condition, yes, no};
  if (const Memo& entry = memo(condition, yes, no); entry.key == key) return entry.result;
  step();
  const Fact fact = std::min({nodes_[condition].fact, nodes_[yes].fact, nodes_[no].fact});
  const auto side = [&](Set set, bool taken) {
    const Node& node = nodes_[set];
    return node.fact != fact ? set : taken ? node.yes : node.no;
  };
  const Set then = choose(side(condition, true), side(yes, true), side(no, true));
  const Set otherwise = choose(side(condition, false), side(yes, false), side(no, false));
  const Set result = make(fact, then, otherwise);
  memo(condition, yes, no) = {key, result};
  return result;
}

// `none` exactly when there is no packet in both; stops at the first one, and makes no nodes.
Bdd::Set Bdd::intersection(Set a, Set b) {
  if (a == none || b == none) return none;
  if (a == all || b == all || a == b) return all;
  if (a > b) std::swap(a, b);
  // No set has this number.
  constexpr Set mark = std::numeric_limits<Set>::max();
  const std::array<Set, 3> key = {a, b, mark};
  if (const Memo& entry = memo(a, b, mark); entry.key == key) return entry.result;
  step();
  const Node left = nodes_[a];
  const Node right = nodes_[b];
  const Fact fact = std::min(left.fact, right.fact);
  const auto side = [fact](const Node& node, Set set, bool taken) {
    return node.fact != fact ? set : taken ? node.yes : node.no;
  };
  Set result = intersection(side(left, a, true), side(right, b, true));
  if (result == none) result = intersection(side(left, a, false), side(right, b, false));
  memo(a, b, mark) = {key, result};
  return result;
}

Bdd::Set Bdd::forget(Set a, const std::vector<bool>& forgotten) {
  std::unordered_map<Set, Set> done;
  const auto walk = [&](const auto& self, Set set) -> Set {
    if (set == none || set == all) return set;
    if (const auto found = done.find(set); found != done.end()) return found->second;
    step();
    const Node node = nodes_[set];
    const Set yes = self(self, node.yes);
    const Set no = self(self, node.no);
    const bool gone = node.fact < forgotten.size() && forgotten[node.fact];
    const Set result = gone ? either(yes, no) : make(node.fact, yes, no);
    done.emplace(set, result);
    return result;
  };
  return walk(walk, a);
}

}  // namespace weir::driver
