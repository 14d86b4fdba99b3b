// SPDX-License-Identifier: BSD-2-Clause
//
// Sets of packets as reduced ordered binary decision diagrams over numbered yes-or-no facts: equal
// sets are equal numbers. Bryant: Graph-Based Algorithms for Boolean Function Manipulation (1986).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace weir::driver {

class Bdd {
 public:
  using Set = std::uint32_t;
  using Fact = std::uint32_t;  // facts are asked in ascending order

  static constexpr Set none = 0;
  static constexpr Set all = 1;

  // Thrown when a result would need more nodes, or more work, than there may be.
  struct Overflow {};

  Bdd(std::size_t most_nodes, std::size_t most_steps);

  [[nodiscard]] Set having(Fact fact);  // the packets of which it is true
  [[nodiscard]] Set choose(Set condition, Set yes, Set no);
  [[nodiscard]] Set complement(Set a) { return choose(a, none, all); }
  [[nodiscard]] Set both(Set a, Set b) { return choose(a, b, none); }
  [[nodiscard]] Set either(Set a, Set b) { return choose(a, all, b); }
  [[nodiscard]] Set without(Set a, Set b) { return choose(b, none, a); }
  // Whether no packet is in both.
  [[nodiscard]] bool disjoint(Set a, Set b) { return intersection(a, b) == none; }
  [[nodiscard]] bool contains(Set whole, Set part) { return without(part, whole) == none; }
  // The packets that are in the set once the facts may be anything; forgotten[fact] says which.
  [[nodiscard]] Set forget(Set a, const std::vector<bool>& forgotten);

 private:
  struct Node {
    Fact fact = 0;
    Set yes = none;
    Set no = none;
    friend bool operator==(const Node&, const Node&) = default;
  };
  struct NodeHash {
    std::size_t operator()(const Node& node) const noexcept;
  };
  struct Memo {
    std::array<Set, 3> key = {};
    Set result = none;
  };

  [[nodiscard]] Set make(Fact fact, Set yes, Set no);
  [[nodiscard]] Set intersection(Set a, Set b);
  [[nodiscard]] Memo& memo(Set a, Set b, Set c);
  void step();

  std::size_t most_nodes_;
  std::size_t steps_left_;
  std::vector<Node> nodes_;
  std::unordered_map<Node, Set, NodeHash> known_;
  std::vector<Memo> memo_;  // what was computed last; later results take the place of older ones
};

}  // namespace weir::driver
