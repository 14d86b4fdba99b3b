// SPDX-License-Identifier: BSD-2-Clause
//
// Lists of rules: that they stay what they are, and are shaped as they should be.
#include "bench/rule_sets.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir::bench {
namespace {

// FNV-1a of the rules as nft takes them, a line each.
std::uint64_t checksum(const std::vector<ListRule>& rules) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const ListRule& rule : rules) {
    for (const char c : to_nft(rule) + "\n") {
      sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
  }
  return sum;
}

// Figures that were measured with other lists would say nothing about these.
TEST(RuleSets, StayAsTheyAre) {
  EXPECT_EQ(checksum(make_list(ListKind::acl, 1000, 1)), 0x327ba7662da31abcU);
  EXPECT_EQ(checksum(make_list(ListKind::fw, 1000, 1)), 0x8111818d972c592dU);
  EXPECT_EQ(checksum(make_list(ListKind::ipc, 1000, 1)), 0xdb02c92302a0af2dU);
  EXPECT_EQ(checksum(make_list(ListKind::linear, 1000, 1)), 0x3e014af04e0e2424U);
}

template <typename Test>
double share(const std::vector<ListRule>& rules, const Test& test) {
  return static_cast<double>(std::ranges::count_if(rules, test)) /
         static_cast<double>(rules.size());
}

// The shares of ClassBench's tables II to V for lists of the kind, within a few percent.
TEST(RuleSets, AreShapedLikePublishedOnes) {
  const auto acl = make_list(ListKind::acl, 5000, 7);
  const auto fw = make_list(ListKind::fw, 5000, 7);
  const auto ipc = make_list(ListKind::ipc, 5000, 7);
  const auto any_source_port = [](const ListRule& rule) { return rule.source_port.is_any(); };
  const auto host_to_host = [](const ListRule& rule) {
    return rule.source.length == 32 && rule.destination.length == 32;
  };
  const auto wild_address = [](const ListRule& rule) {
    return rule.source.length == 0 || rule.destination.length == 0;
  };
  EXPECT_GT(share(acl, any_source_port), 0.97);
  EXPECT_NEAR(share(fw, any_source_port), 0.80, 0.04);
  EXPECT_NEAR(share(ipc, any_source_port), 0.74, 0.04);
  EXPECT_NEAR(share(ipc, host_to_host), 0.31, 0.05);
  EXPECT_NEAR(share(acl, wild_address), 0.24, 0.05);
  EXPECT_GT(share(fw, wild_address), 0.5);
}

TEST(RuleSets, HoldNoRuleTwice) {
  const auto rules = make_list(ListKind::fw, 3000, 3);
  ASSERT_EQ(rules.size(), 3000U);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    ListRule other = rules[i];
    other.accept = !other.accept;
    const auto rest = std::ranges::subrange(rules.begin() + static_cast<long>(i) + 1, rules.end());
    ASSERT_TRUE(std::ranges::find(rest, rules[i]) == rest.end() &&
                std::ranges::find(rest, other) == rest.end())
        << "rule " << i << " comes again: " << to_nft(rules[i]);
  }
}

TEST(RuleSets, SpeakTheWordsOfNft) {
  EXPECT_EQ(to_nft({.source = {0x0a010000, 16},
                    .destination = {0xc0a80101, 32},
                    .source_port = {1024, 65535},
                    .destination_port = {80, 80},
                    .protocol = 6,
                    .accept = true}),
            "ip saddr 10.1.0.0/16 ip daddr 192.168.1.1 tcp sport 1024-65535 tcp dport 80 accept");
  EXPECT_EQ(to_nft({.source = {},
                    .destination = {},
                    .source_port = {},
                    .destination_port = {},
                    .protocol = 1}),
            "ip protocol 1 drop");
}

TEST(RuleSets, AreNamedByKindAndNumber) {
  const auto name = parse_list_name("fw:20000");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->kind, ListKind::fw);
  EXPECT_EQ(name->rules, 20000U);
  for (const char* wrong : {"", "fw", "fw:", "fw:0", "fw:-1", "fw:1000001", "nat:5", "fw:5x"}) {
    EXPECT_FALSE(parse_list_name(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace weir::bench
