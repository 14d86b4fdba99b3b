// SPDX-License-Identifier: BSD-2-Clause
//
// Lists in the words of those who carry them out. That the words mean the same to all of them is
// for tests/kernel/bench_test.cpp.
#include "bench/list_texts.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

const ChainPlace place{.family = "ip", .hook = "hook prerouting priority -300"};

const ListRule web{.source = {0x0a000000, 8},
                   .destination = {0xc0a80101, 32},
                   .source_port = {1024, 65535},
                   .destination_port = {80, 80},
                   .protocol = 6,
                   .accept = true};
const ListRule ping{
    .source = {}, .destination = {}, .source_port = {}, .destination_port = {}, .protocol = 1};

TEST(ListTexts, OfNftHasARuleEach) {
  EXPECT_EQ(
      nft_text({.rules = {web, ping}}, place),
      "table ip bench {\n"
      "  chain rules {\n"
      "    type filter hook prerouting priority -300; policy drop;\n"
      "    ip saddr 10.0.0.0/8 ip daddr 192.168.1.1 tcp sport 1024-65535 tcp dport 80 accept\n"
      "    ip protocol 1 drop\n"
      "  }\n"
      "}\n");
  EXPECT_NE(nft_text({.rules = {ping}, .accept_rest = true}, place).find("policy accept;"),
            std::string::npos);
}

TEST(ListTexts, OfSetsHasAMapForRulesThatDoNotOverlap) {
  std::vector<ListRule> rules;
  for (std::uint16_t port = 80; port < 90; ++port) {
    ListRule rule = web;
    rule.destination_port = {port, port};
    rules.push_back(rule);
  }
  rules.push_back(ping);
  const SetsText sets = nft_sets_text({.rules = rules}, place);
  EXPECT_EQ(sets.maps, 1U);
  EXPECT_NE(sets.text.find("10.0.0.0/8 . 192.168.1.1 . 6 . 1024-65535 . 85 : accept"),
            std::string::npos)
      << sets.text;
  // One rule alone is one, and looked at for packets without ports.
  EXPECT_NE(sets.text.find("goto with_ports\n    ip protocol 1 drop\n"), std::string::npos)
      << sets.text;
  ASSERT_FALSE(sets.insertions.empty());
  EXPECT_EQ(sets.insertions.front(),
            "add element ip bench ports0 { 0.0.0.1 . 0.0.0.1 . 6 . 1 . 1 : drop }");
}

TEST(ListTexts, OfIptablesIsWhatRestoreTakes) {
  EXPECT_EQ(
      iptables_text({.rules = {web, ping}}),
      "*raw\n"
      ":PREROUTING DROP [0:0]\n"
      ":OUTPUT ACCEPT [0:0]\n"
      "-A PREROUTING -s 10.0.0.0/8 -d 192.168.1.1 -p 6 -m tcp --sport 1024:65535 --dport 80:80 "
      "-j ACCEPT\n"
      "-A PREROUTING -p 1 -j DROP\n"
      "COMMIT\n");
}

}  // namespace
}  // namespace weir::bench
