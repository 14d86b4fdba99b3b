// SPDX-License-Identifier: BSD-2-Clause
//
// Every structure answers as a walk over the rules does: the first rule, and all that follow it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>

#include "bench/rule_sets.h"
#include "bench/traces.h"
#include "classify/decision_tree.h"
#include "classify/structure.h"

namespace weir::classify {
namespace {

constexpr std::array kinds = {Kind::bit_vectors, Kind::tuples};

// Fields of a list of five-tuples; ports of protocols without them count as 65536.
constexpr std::uint64_t no_port = 65536;

std::vector<std::uint64_t> key_of(const bench::FiveTuple& packet) {
  const bool ports = packet.protocol == 6 || packet.protocol == 17;
  return {packet.source, packet.destination, packet.protocol, ports ? packet.source_port : no_port,
          ports ? packet.destination_port : no_port};
}

RuleList rules_of(const std::vector<bench::ListRule>& list) {
  RuleList rules({32, 32, 8, 17, 17});
  const auto of_prefix = [](const bench::Ipv4Prefix& prefix) {
    return Range{prefix.address, prefix.address | ~prefix.mask()};
  };
  for (const bench::ListRule& rule : list) {
    const bool ports = !rule.source_port.is_any() || !rule.destination_port.is_any();
    const auto of_ports = [&](const bench::PortRange& range) {
      return ports ? Range{range.first, range.last} : Range{0, (1U << 17U) - 1};
    };
    const std::uint8_t protocol = rule.protocol.value_or(0);
    rules.add(std::array{of_prefix(rule.source), of_prefix(rule.destination),
                         rule.protocol ? Range{protocol, protocol} : Range{0, 255},
                         of_ports(rule.source_port), of_ports(rule.destination_port)});
  }
  return rules;
}

void expect_same(const RuleList& rules, const Structure& structure,
                 const std::vector<std::uint64_t>& key, const std::string& what) {
  std::uint32_t from = 0;
  for (unsigned matches = 0; matches < 20; ++matches) {
    const auto expected = rules.next_match(key, from);
    ASSERT_EQ(structure.next_match(key, from), expected) << what << ", from rule " << from;
    if (!expected) return;
    from = *expected + 1;
  }
}

struct Case {
  bench::ListKind kind;
  std::size_t rules;
  std::size_t packets;
};

class OfLists : public testing::TestWithParam<Case> {};

TEST_P(OfLists, AnswerAsTheRulesDo) {
  const auto list = bench::make_list(GetParam().kind, GetParam().rules, 11);
  const RuleList rules = rules_of(list);
  const auto trace = bench::make_trace(list, GetParam().packets, 5);
  for (const Kind kind : kinds) {
    const auto structure = build(kind, rules);
    if (structure == nullptr) continue;  // as large as these bit vectors would be
    const std::string name(to_string(kind));
    for (const bench::FiveTuple& packet : trace) {
      expect_same(rules, *structure, key_of(packet), name);
      if (HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Structures, OfLists,
    testing::Values(Case{bench::ListKind::acl, 1000, 2000}, Case{bench::ListKind::fw, 1000, 2000},
                    Case{bench::ListKind::ipc, 1000, 2000},
                    Case{bench::ListKind::linear, 3000, 1000},
                    Case{bench::ListKind::acl, 20000, 150}, Case{bench::ListKind::fw, 20000, 150},
                    Case{bench::ListKind::ipc, 20000, 150}),
    [](const auto& one) {
      return std::string(bench::to_string(one.param.kind)) + std::to_string(one.param.rules);
    });

// Lists with rules that lead over others: a tree forgets no rule that some packet comes to, be it
// behind one that ends all others.
TEST(Structures, HaveWhatIsLedTo) {
  constexpr std::uint64_t all = 15;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    RuleList rules({4, 4});
    std::vector<Resume> resumes;
    const auto count = static_cast<std::uint32_t>(2 + random() % 30);
    for (std::uint32_t rule = 0; rule < count; ++rule) {
      const auto range = [&] {
        const std::uint64_t first = random() % 3 == 0 ? 0 : random() % 16;
        return Range{first, random() % 3 == 0 ? all : std::max(first, random() % 16)};
      };
      rules.add(std::array{range(), range()});
      const std::uint32_t next = rule + 1;
      const auto further = [&] {
        const auto some = static_cast<std::uint32_t>(next + random() % (count - rule));
        return random() % 3 == 0 ? count : random() % 2 == 0 ? next : some;
      };
      const std::uint32_t one = further();
      const std::uint32_t other = random() % 3 == 0 ? further() : one;
      resumes.push_back({std::min(one, other), std::max(one, other)});
    }
    const auto tree = make_decision_tree(rules, resumes);
    ASSERT_TRUE(tree);
    for (std::uint64_t key = 0; key < 256; ++key) {
      const std::array<std::uint64_t, 2> fields = {key / 16, key % 16};
      const DecisionTree::Node* node = tree->nodes.data();
      while (!node->is_leaf) {
        node = &tree->nodes[fields.at(node->field) < node->split ? node->below : node->above];
      }
      std::set<std::uint32_t> starts = {0};
      while (!starts.empty()) {
        const auto met = rules.next_match(fields, *starts.begin());
        starts.erase(starts.begin());
        if (!met) continue;
        starts.insert({resumes[*met].first, resumes[*met].other});
        EXPECT_TRUE(std::ranges::binary_search(node->rules, *met))
            << "seed " << seed << ", key " << fields[0] << " " << fields[1] << ": rule " << *met
            << " of " << count << " is missing";
      }
    }
  }
}

// Ranges anywhere, of fields of all widths, and keys at their edges.
TEST(Structures, AnswerAsTheRulesDoForAnyRanges) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::uint8_t> bits;
    for (std::size_t i = 1 + random() % 6; i > 0; --i) {
      bits.push_back(static_cast<std::uint8_t>(1 + random() % 64));
    }
    RuleList rules(bits);
    std::vector<std::vector<std::uint64_t>> edges(bits.size());
    const std::size_t count = random() % 60;
    for (std::size_t rule = 0; rule < count; ++rule) {
      std::vector<Range> ranges;
      for (std::size_t i = 0; i < bits.size(); ++i) {
        const std::uint64_t all = prefix_mask(bits[i], bits[i]);
        std::uint64_t first = random() & all;
        std::uint64_t last = random() & all;
        if (random() % 3 == 0) last = first;
        if (random() % 4 == 0) first = 0;
        if (random() % 4 == 0) last = all;
        if (first > last) std::swap(first, last);
        ranges.push_back({first, last});
        for (const std::uint64_t edge : {first, last, first - 1, last + 1}) {
          edges[i].push_back(edge & all);
        }
      }
      rules.add(ranges);
    }
    for (const Kind kind : kinds) {
      const auto structure = build(kind, rules);
      ASSERT_NE(structure, nullptr);
      for (int i = 0; i < 200; ++i) {
        std::vector<std::uint64_t> key;
        for (std::size_t field = 0; field < bits.size(); ++field) {
          const auto& at = edges[field];
          key.push_back(at.empty() || random() % 8 == 0
                            ? random() & prefix_mask(bits[field], bits[field])
                            : at[random() % at.size()]);
        }
        expect_same(rules, *structure, key,
                    std::string(to_string(kind)) + ", seed " + std::to_string(seed));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Structures, AreNotMadeTooLarge) {
  const RuleList rules = rules_of(bench::make_list(bench::ListKind::acl, 30000, 1));
  EXPECT_EQ(build(Kind::bit_vectors, rules), nullptr);
  const auto tuples = build(Kind::tuples, rules);
  ASSERT_NE(tuples, nullptr);
  EXPECT_LT(tuples->bytes(), rules.size() * 200);
}

}  // namespace
}  // namespace weir::classify
