// SPDX-License-Identifier: BSD-2-Clause
//
// Reject statements.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(NftAnswers, OfDevicesHaveNoLimit) {
  const imr::Ruleset ruleset = read(
      "table netdev t {\n chain c {\n"
      "  reject\n  reject with icmpx type admin-prohibited\n  reject with tcp reset\n"
      "  meta protocol ip reject with icmp type host-unreachable\n }\n}\n");
  EXPECT_EQ(statements(ruleset),
            "answer icmpx 1\ndrop\n\n"
            "answer icmpx 3\ndrop\n\n"
            "match meta l4proto == 0x06\nanswer reset\ndrop\n\n"
            "match meta protocol == 0x0800\nanswer icmp 1\ndrop\n");
  EXPECT_TRUE(ruleset.meters.empty());
}

TEST(NftAnswers, OfIpChainsHaveOneLimitTogether) {
  const imr::Ruleset ruleset = read(
      "table ip t {\n chain c {\n  reject\n  reject with icmp type net-unreachable\n }\n}\n"
      "table inet u {\n chain c {\n  reject\n  tcp dport 22 reject with tcp reset\n }\n}\n");
  const std::string limit = " meter #0 limit 1000 packets each 1 burst 50";
  EXPECT_EQ(statements(ruleset), "answer icmp 3" + limit + "\ndrop\n\n" + "answer icmp 0" + limit +
                                     "\ndrop\n\n" + "answer icmpx 1" + limit + "\ndrop\n\n" +
                                     "match meta l4proto == 0x06\n"
                                     "match payload transport 2 2 later-fragments == 0x0016\n"
                                     "answer reset\ndrop\n");
  EXPECT_EQ(ruleset.meters.size(), 1U);
}

TEST(NftAnswers, CountAsOneStatement) {
  const imr::Ruleset ruleset = read(in_chain("tcp dport 22 counter reject"));
  EXPECT_EQ(ruleset.rules[0].total_statements, 4U);
  EXPECT_EQ(imr::translation(ruleset.rules[0]), imr::Translation::full);
}

}  // namespace
}  // namespace weir::frontend::nft::test
