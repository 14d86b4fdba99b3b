// SPDX-License-Identifier: BSD-2-Clause
#include "bench/traces.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir::bench {
namespace {

TEST(Traces, ComeFromTheInsideOfRules) {
  const auto rules = make_list(ListKind::ipc, 500, 2);
  const auto trace = make_trace(rules, 2000, 1, {.skew = 0, .strangers = 0});
  ASSERT_EQ(trace.size(), 2000U);
  for (const FiveTuple& packet : trace) EXPECT_TRUE(first_match(rules, packet));
  EXPECT_TRUE(trace == make_trace(rules, 2000, 1, {.skew = 0, .strangers = 0}));
  EXPECT_FALSE(trace == make_trace(rules, 2000, 2, {.skew = 0, .strangers = 0}));
}

TEST(Traces, HitRulesByTheirSkew) {
  const auto rules = make_list(ListKind::linear, 100, 1);
  const auto hits_of_most = [&](double skew) {
    std::vector<unsigned> hits(rules.size());
    for (const FiveTuple& packet : make_trace(rules, 10000, 3, {.skew = skew, .strangers = 0})) {
      ++hits[first_match(rules, packet).value()];
    }
    return std::ranges::max(hits);
  };
  EXPECT_LT(hits_of_most(0), 200U);   // 100 on average
  EXPECT_GT(hits_of_most(1), 1600U);  // 1 of 5.19 in theory
}

TEST(Traces, FirstMatchLooksInOrder) {
  const std::vector<ListRule> rules = {
      {.source = {0x0a000000, 8},
       .destination = {},
       .source_port = {},
       .destination_port = {80, 90},
       .protocol = 6},
      {.source = {}, .destination = {}, .source_port = {}, .destination_port = {}, .protocol = {}}};
  FiveTuple packet{.source = 0x0a010203, .destination_port = 85, .protocol = 6};
  EXPECT_EQ(first_match(rules, packet), 0U);
  packet.destination_port = 91;
  EXPECT_EQ(first_match(rules, packet), 1U);
  packet = {.source = 0x0a010203, .destination_port = 85, .protocol = 47};
  EXPECT_EQ(first_match(rules, packet), 1U);
  EXPECT_EQ(first_match({}, packet), std::nullopt);
}

TEST(Traces, AreAcceptedByFirstMatchOrPolicy) {
  const auto rules = make_list(ListKind::fw, 1500, 2);
  const auto trace = make_trace(rules, 1000, 1);
  const std::vector<bool> accepted = accepted_by({.rules = rules}, trace);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const auto found = first_match(rules, trace[i]);
    ASSERT_EQ(accepted[i], found && rules[*found].accept) << i;
  }
  const FiveTuple stranger{.source = 1, .destination = 1, .protocol = 6};
  EXPECT_FALSE(accepted_by({}, std::vector{stranger}).front());
  EXPECT_TRUE(accepted_by({.rules = {}, .accept_rest = true}, std::vector{stranger}).front());
}

TEST(Traces, BecomePackets) {
  const Bytes packet = to_packet({.source = 0x0a010203,
                                  .destination = 0xc0a80001,
                                  .source_port = 5,
                                  .destination_port = 443,
                                  .protocol = 6});
  EXPECT_EQ(to_hex(ByteView(packet).subspan(12, 12)), "0x0a010203c0a80001000501bb");
  EXPECT_EQ(packet.at(9), 6);
  EXPECT_EQ(to_packet({.source = 1, .destination = 2, .protocol = 47}).at(9), 47);
}

}  // namespace
}  // namespace weir::bench
