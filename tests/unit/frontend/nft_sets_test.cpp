// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include "frontend/nft/sets.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

std::string sets_of(std::string_view definitions) {
  return sets(read("table inet t {\n" + std::string(definitions) + "\n}\n"));
}

TEST(Sets, OfSingleValues) {
  EXPECT_EQ(sets_of("set s { type ipv4_addr; elements = { 10.0.0.2, 10.0.0.1 }\n}"),
            "set inet t s ipv4_addr 4 { 0x0a000001, 0x0a000002 }\n");
  EXPECT_EQ(sets_of("set s { type mark; elements = { 1, 258 }\n}"),
            "set inet t s mark 4 { 0x01000000, 0x02010000 }\n");
}

TEST(Sets, OfIntervals) {
  EXPECT_EQ(sets_of("set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 1.1.1.1, "
                    "192.168.0.0-192.168.1.255 }\n}"),
            "set inet t s ipv4_addr 4 interval { 0x01010101, 0x0a000000-0x0affffff, "
            "0xc0a80000-0xc0a801ff }\n");
}

TEST(Sets, WhoseIntervalsReachBothEnds) {
  EXPECT_EQ(
      sets_of("set s { type inet_service; flags interval; elements = { 0-9, 65000-65535 }\n}"),
      "set inet t s inet_service 2 interval { 0x0000-0x0009, 0xfde8-0xffff }\n");
  EXPECT_EQ(sets_of("set s { type ipv4_addr; flags interval; elements = { 0.0.0.0/0 }\n}"),
            "set inet t s ipv4_addr 4 interval { 0x00000000-0xffffffff }\n");
}

TEST(Sets, OfNeighbouringIntervals) {
  EXPECT_EQ(sets_of("map m { type inet_service : verdict; flags interval; "
                    "elements = { 1-4 : accept, 5-9 : drop, 10 : continue }\n}"),
            "map inet t m inet_service 2 interval { 0x0001-0x0004 : accept,"
            " 0x0005-0x0009 : drop, 0x000a : continue }\n");
}

TEST(Sets, OfInterfaceNamesWithWildcards) {
  EXPECT_EQ(sets(read(in_chain("iifname { \"eth*\", lo } accept"))),
            "set inet t __set0 ifname 16 interval anonymous { "
            "0x65746800000000000000000000000000-0x657468ffffffffffffffffffffffffff, "
            "0x6c6f0000000000000000000000000000 }\n");
}

TEST(Sets, OfVerdictsWithACatchAllElement) {
  const imr::Ruleset ruleset = read(
      "table inet t {\n chain a { }\n chain b { }\n chain c {\n"
      "  tcp dport vmap { 22 : jump a, 80 : goto b, 443 : return, * : drop }\n }\n}\n");
  EXPECT_EQ(sets(ruleset),
            "map inet t __map0 inet_service 2 anonymous { 0x0016 : jump a, 0x0050 : goto b, "
            "0x01bb : return, * : drop }\n");
  EXPECT_EQ(statements(ruleset),
            "match meta l4proto == 0x06\n"
            "vmap payload transport 2 2 later-fragments @__map0\n");
}

TEST(Sets, WithACatchAllElementAlone) {
  const imr::Ruleset ruleset =
      read("table inet t {\n set s { type ipv4_addr; flags interval; elements = { * }\n }\n}\n");
  ASSERT_EQ(ruleset.sets.size(), 1U);
  EXPECT_TRUE(ruleset.sets[0].elements.empty());
  ASSERT_TRUE(ruleset.sets[0].catch_all.has_value());
  EXPECT_TRUE(ruleset.sets[0].catch_all->key.empty());
}

TEST(Sets, AreLookedUp) {
  EXPECT_EQ(statements_of("tcp dport { 22, 80-90 } accept"),
            "match meta l4proto == 0x06\n"
            "match payload transport 2 2 later-fragments in @__set0\n"
            "accept\n");
  EXPECT_EQ(sets(read(in_chain("tcp dport { 22, 80-90 } accept"))),
            "set inet t __set0 inet_service 2 interval anonymous { 0x0016, 0x0050-0x005a }\n");
}

TEST(Sets, AreLookedUpInverted) {
  EXPECT_EQ(statements_of("udp dport != { 53, 123 } drop"),
            "match meta l4proto == 0x11\n"
            "match payload transport 2 2 later-fragments not in @__set0\n"
            "drop\n");
}

TEST(Sets, OfHostOrderIntervalsAreKeyedInNetworkOrder) {
  EXPECT_EQ(statements_of("meta mark { 1-5, 8 } accept"),
            "match swap4(meta mark) in @__set0\naccept\n");
  EXPECT_EQ(sets(read(in_chain("meta mark { 1-5, 8 } accept"))),
            "set inet t __set0 mark 4 interval anonymous { 0x00000001-0x00000005, 0x00000008 }\n");
}

TEST(Sets, ByNameBelongToTheirTable) {
  const imr::Ruleset ruleset = read(
      "table ip a {\n set s { type ipv4_addr; elements = { 1.1.1.1 }\n }\n"
      " chain c { ip saddr @s drop; }\n}\n"
      "table ip b {\n set s { type ipv4_addr; elements = { 2.2.2.2 }\n }\n"
      " chain c { ip saddr @s drop; }\n}\n");
  ASSERT_EQ(ruleset.rules.size(), 2U);
  for (const std::size_t i : {0U, 1U}) {
    const auto& match = std::get<imr::MatchSet>(ruleset.rules[i].statements[0]);
    EXPECT_EQ(ruleset[match.set].table, imr::TableId(i));
  }
}

struct NativeCase {
  std::string_view definition;
  std::string_view rule;
  std::string_view reason;
};

void PrintTo(const NativeCase& c, std::ostream* out) {
  *out << c.definition;
}

class NativeSet : public testing::TestWithParam<NativeCase> {};

TEST_P(NativeSet, MakesTheRulesThatUseItNative) {
  const imr::Ruleset ruleset =
      read("table ip t {\n counter cc { }\n " + std::string(GetParam().definition) +
           "\n chain c { " + std::string(GetParam().rule) + "; }\n}\n");
  ASSERT_EQ(ruleset.sets.size(), 1U);
  EXPECT_EQ(ruleset.sets[0].native_reason, GetParam().reason);
  ASSERT_EQ(ruleset.rules.size(), 1U);
  const auto* native = std::get_if<imr::Native>(&ruleset.rules[0].statements.back());
  ASSERT_NE(native, nullptr) << statements(ruleset);
  EXPECT_EQ(native->reason, GetParam().reason);
}

constexpr NativeCase native_cases[] = {
    {"set s { type ipv4_addr . ipv4_addr; elements = { 1.1.1.1 . 2.2.2.2 }\n}",
     "ip saddr . ip daddr @s drop", "concatenations are not translated yet"},
    {"set s { type ipv4_addr; flags timeout; elements = { 1.1.1.1 timeout 5m }\n}",
     "ip saddr @s drop", "sets with timeouts are not translated yet"},
    {"set s { type ipv4_addr; flags dynamic; size 100; }", "ip saddr @s drop",
     "sets that rules update are not translated yet"},
    {"set s { type ipv4_addr; counter; elements = { 1.1.1.1 }\n}", "ip saddr @s drop",
     "sets with statements in their elements are not translated yet"},
    {"map s { type ipv4_addr : mark; elements = { 1.1.1.1 : 5 }\n}",
     "meta mark set ip saddr map @s", "maps to values are not translated yet"},
};
INSTANTIATE_TEST_SUITE_P(Nft, NativeSet, testing::ValuesIn(native_cases));

TEST(Sets, OfObjectsAreKeptWithTheReason) {
  const imr::Ruleset ruleset = read(
      "table ip t {\n counter cc { }\n"
      " map s { type ipv4_addr : counter; elements = { 1.1.1.1 : \"cc\" }\n }\n}\n");
  ASSERT_EQ(ruleset.sets.size(), 1U);
  EXPECT_EQ(ruleset.sets[0].native_reason, "maps to objects are not translated yet");
}

TEST(JoinElements, TakesAStartAsTheEndOfTheIntervalBefore) {
  const std::vector<imr::Element> joined = join_elements(
      {{{9}, true, {}}, {{5}, false, {}}, {{1}, false, {}}, {{0}, true, {}}}, true, 1);
  ASSERT_EQ(joined.size(), 2U);
  EXPECT_EQ(joined[0], (imr::Element{{1}, {4}, {}}));
  EXPECT_EQ(joined[1], (imr::Element{{5}, {8}, {}}));
}

TEST(JoinElements, BorrowsOverBytes) {
  const std::vector<imr::Element> joined =
      join_elements({{{1, 0, 0}, false, {}}, {{2, 0, 0}, true, {}}}, true, 3);
  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].last, (Bytes{1, 0xff, 0xff}));
}

}  // namespace
}  // namespace weir::frontend::nft::test
