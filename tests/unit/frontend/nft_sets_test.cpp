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

TEST(Sets, OfConcatenationsHaveTheSizesOfTheirFields) {
  EXPECT_EQ(statements_of("ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 } accept"),
            "match meta nfproto == 0x02\n"
            "match meta l4proto == 0x06\n"
            "match concat(payload network 12 4 later-fragments, payload transport 2 2 "
            "later-fragments) in @__set0\n"
            "accept\n");
  EXPECT_EQ(sets(read(in_chain("ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 } accept"))),
            "set inet t __set0 \"ipv4_addr . inet_service\" 8 fields 4 2 anonymous { "
            "0x0a00000100160000, 0x0a00000200500000 }\n");
}

TEST(Sets, OfConcatenationsWithIntervalsKeepBothEndsAndTheirOrder) {
  EXPECT_EQ(sets(read(in_chain("ip saddr . tcp dport . meta iifname { 10.2.0.0/16 . 22-80 . eth0, "
                               "10.1.0.1-10.1.0.9 . 53 . eth1 } accept"))),
            "set inet t __set0 \"ipv4_addr . inet_service . ifname\" 24 fields 4 2 16 interval "
            "anonymous { "
            "0x0a0200000016000065746830000000000000000000000000-"
            "0x0a02ffff0050000065746830000000000000000000000000, "
            "0x0a0100010035000065746831000000000000000000000000-"
            "0x0a0100090035000065746831000000000000000000000000 }\n");
}

// Single bytes are "swapped" in pairs: not at all.
TEST(Sets, OfConcatenationsWithBytesAreTranslated) {
  EXPECT_EQ(statements_of("meta l4proto . meta mark { tcp . 1-5, udp . 7 } accept"),
            "match concat(meta l4proto, swap4(meta mark)) in @__set0\n"
            "accept\n");
}

TEST(Sets, MapsToDataHoldItAsRegistersDo) {
  EXPECT_EQ(sets(read("table ip t {\n map m { type ipv4_addr : mark; flags interval; elements = { "
                      "1.1.1.0/24 : 5, * : 6 }\n}\n"
                      " map n { type mark . inet_service : ipv4_addr; elements = { "
                      "0x10 . 80 : 1.2.3.4 }\n}\n}\n")),
            "map ip t m ipv4_addr 4 to mark 4 interval { 0x01010100-0x010101ff : 0x05000000, * : "
            "0x06000000 }\n"
            "map ip t n \"mark . inet_service\" 8 fields 4 2 to ipv4_addr 4 { "
            "0x1000000000500000 : 0x01020304 }\n");
}

TEST(Sets, ValuesOfMapsFlowOn) {
  EXPECT_EQ(statements_of("meta mark set ip saddr map { 10.0.0.1 : 5, 10.0.0.2 : 6 } accept"),
            "match meta nfproto == 0x02\n"
            "write meta mark lookup(payload network 12 4 later-fragments, @__map0)\n"
            "accept\n");
  EXPECT_EQ(statements_of("meta mark set ip saddr . tcp dport map { 10.0.0.1 . 80 : 5 }"),
            "match meta nfproto == 0x02\n"
            "match meta l4proto == 0x06\n"
            "write meta mark lookup(concat(payload network 12 4 later-fragments, payload "
            "transport 2 2 later-fragments), @__map0)\n");
  EXPECT_EQ(statements_of("ip saddr & 255.255.0.0 . tcp dport { 10.1.0.0 . 22 } drop"),
            "match meta nfproto == 0x02\n"
            "match meta l4proto == 0x06\n"
            "match concat((payload network 12 4 later-fragments & 0xffff0000), payload transport "
            "2 2 later-fragments) in @__set0\n"
            "drop\n");
}

TEST(Sets, MarksAreWrittenWithFourBytes) {
  EXPECT_EQ(statements_of("meta mark set 7"), "write meta mark 0x07000000\n");
  EXPECT_EQ(statements_of("meta mark set meta mark | 0x100"),
            "write meta mark (meta mark & 0xfffeffff ^ 0x00010000)\n");
}

TEST(Writes, OfPacketsSayWhichChecksumsChange) {
  EXPECT_EQ(statements_of("ip ttl set 4", "ip"),
            "write payload network 8 2 checksum 10 (payload network 8 2 later-fragments & 0x00ff ^"
            " 0x0400)\n");
  EXPECT_EQ(statements_of("ip saddr set 10.0.0.1", "ip"),
            "write payload network 12 4 checksum 10 pseudo-header 0x0a000001\n");
  EXPECT_EQ(statements_of("tcp dport set 8080 accept", "ip"),
            "match meta l4proto == 0x06\nwrite payload transport 2 2 checksum 16 0x1f90\naccept\n");
  EXPECT_EQ(statements_of("meta priority set 5", "ip"), "write meta priority 0x05000000\n");
  EXPECT_EQ(statements_of("tcp option maxseg size set 1360 accept", "ip"),
            "write extension tcp 2 2 2 0x0550\naccept\n");
  EXPECT_EQ(statements_of("tcp option timestamp tsval set tcp option timestamp tsecr", "ip6"),
            "write extension tcp 8 2 4 extension tcp 8 6 4\n");
  EXPECT_EQ(statements_of("reset tcp option sack-perm reset tcp option 253 drop", "ip"),
            "strip extension tcp 4\nstrip extension tcp 253\ndrop\n");
  // What was loaded in front of a write is not there behind it.
  EXPECT_EQ(statements_of("tcp option maxseg size 5 reset tcp option maxseg tcp option maxseg size "
                          "6 accept",
                          "ip"),
            "match extension tcp 2 2 2 == 0x0005\nstrip extension tcp 2\n"
            "match extension tcp 2 2 2 == 0x0006\naccept\n");
  EXPECT_EQ(
      statements_of("ip daddr set ip saddr ip saddr set ip daddr", "ip"),
      "write payload network 16 4 checksum 10 pseudo-header payload network 12 4"
      " later-fragments\nwrite payload network 12 4 checksum 10 pseudo-header payload network 16"
      " 4 later-fragments\n");
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
  EXPECT_EQ(native->reason.str(), GetParam().reason);
}

constexpr NativeCase native_cases[] = {
    {"map s { type ipv4_addr : verdict; flags timeout; }", "ip saddr vmap @s",
     "elements of maps to verdicts have no time and no state in a program"},
    {"set s { type ipv4_addr; counter; elements = { * }\n}", "ip saddr @s drop",
     "a catch-all element has no time and no state in a program"},
};
INSTANTIATE_TEST_SUITE_P(Nft, NativeSet, testing::ValuesIn(native_cases));

TEST(Sets, OfObjectsThatNoProgramHasAreKeptWithTheReason) {
  const imr::Ruleset ruleset = read(
      "table ip t {\n synproxy sp { mss 1460; wscale 7; }\n counter cc { }\n"
      " map s { type ipv4_addr : synproxy; elements = { 1.1.1.1 : \"sp\" }\n }\n"
      " map u { type ipv4_addr : counter; flags timeout; }\n}\n");
  ASSERT_EQ(ruleset.sets.size(), 2U);
  EXPECT_EQ(ruleset.sets[0].native_reason,
            "maps to objects other than counters, limits and quotas stay with the kernel");
  EXPECT_EQ(ruleset.sets[1].native_reason,
            "a map to objects whose elements expire is not translated");
}

RawElement raw(Bytes key, bool interval_end) {
  return {.key = std::move(key), .last = {}, .interval_end = interval_end};
}

imr::Set interval_set(std::uint16_t key_size) {
  imr::Set set;
  set.key_size = key_size;
  set.interval = true;
  return set;
}

TEST(JoinElements, TakesAStartAsTheEndOfTheIntervalBefore) {
  const std::vector<imr::Element> joined = join_elements(
      {raw({9}, true), raw({5}, false), raw({1}, false), raw({0}, true)}, interval_set(1));
  ASSERT_EQ(joined.size(), 2U);
  EXPECT_EQ(joined[0], (imr::Element{{1}, {4}, {}}));
  EXPECT_EQ(joined[1], (imr::Element{{5}, {8}, {}}));
}

TEST(JoinElements, BorrowsOverBytes) {
  const std::vector<imr::Element> joined =
      join_elements({raw({1, 0, 0}, false), raw({2, 0, 0}, true)}, interval_set(3));
  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].last, (Bytes{1, 0xff, 0xff}));
}

}  // namespace
}  // namespace weir::frontend::nft::test
