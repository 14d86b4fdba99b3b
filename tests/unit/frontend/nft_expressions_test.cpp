// SPDX-License-Identifier: BSD-2-Clause
//
// Each expression: a rule on the left, the statements that it becomes on the right.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

struct Case {
  std::string_view rule;
  std::string_view expected;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.rule;
}

class Expression : public testing::TestWithParam<Case> {};

TEST_P(Expression, BecomesStatements) {
  EXPECT_EQ(statements_of(GetParam().rule), GetParam().expected) << "of: " << GetParam().rule;
}

constexpr Case payload_cases[] = {
    {"ip saddr 10.0.0.1 drop",
     "match meta nfproto == 0x02\n"
     "match payload network 12 4 later-fragments == 0x0a000001\n"
     "drop\n"},
    {"ip6 daddr ff02::1 accept",
     "match meta nfproto == 0x0a\n"
     "match payload network 24 16 == 0xff020000000000000000000000000001\n"
     "accept\n"},
    {"tcp dport 22 accept",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments == 0x0016\n"
     "accept\n"},
    // 3 bytes are no length of the fast path.
    {"ip6 flowlabel 5 accept",
     "match meta nfproto == 0x0a\n"
     "match (payload network 1 3 & 0x0fffff) == 0x000005\n"
     "accept\n"},
    // Aligned to its length, or not.
    {"@th,16,16 80 accept",
     "match payload transport 2 2 later-fragments == 0x0050\n"
     "accept\n"},
    {"@th,8,16 80 accept",
     "match payload transport 1 2 == 0x0050\n"
     "accept\n"},
    // Nor is this place one of the fast path.
    {"@ih,16,16 80 accept",
     "match payload inner 2 2 == 0x0050\n"
     "accept\n"},
    {"@nh,16,32 80 accept",
     "match payload network 2 4 == 0x00000050\n"
     "accept\n"},
    // The fast path is not for the link layer.
    {"@ll,96,16 0x0800 accept",
     "match payload link 12 2 == 0x0800\n"
     "accept\n"},
    // nft joins loads of neighbouring fields up to 4 bytes; longer ones have no fast path.
    {"tcp sport 1 tcp dport 2 tcp sequence 3 drop",
     "match meta l4proto == 0x06\n"
     "match payload transport 0 4 later-fragments == 0x00010002\n"
     "match payload transport 4 4 later-fragments == 0x00000003\n"
     "drop\n"},
    {"@nh,96,64 0x0102030405060708 drop",
     "match payload network 12 8 == 0x0102030405060708\n"
     "drop\n"},
    {"icmp type echo-request accept",
     "match meta nfproto == 0x02\n"
     "match meta l4proto == 0x01\n"
     "match payload transport 0 1 later-fragments == 0x08\n"
     "accept\n"},
};
INSTANTIATE_TEST_SUITE_P(Payload, Expression, testing::ValuesIn(payload_cases));

constexpr Case extension_cases[] = {
    {"tcp option maxseg size 1400-1460 drop",
     "match extension tcp 2 2 2 >= 0x0578\n"
     "match extension tcp 2 2 2 <= 0x05b4\n"
     "drop\n"},
    {"tcp option 253 exists tcp option eol missing",
     "match extension tcp 253 present == 0x01\n"
     "match extension tcp 0 present == 0x00\n"},
    {"tcp option mptcp subtype 1", "match (extension tcp 30 2 1 & 0xf0) == 0x10\n"},
    {"tcp option @34,8,24 0x010203", "match extension tcp 34 1 3 == 0x010203\n"},
    {"frag frag-off 33 drop",
     "match meta nfproto == 0x0a\n"
     "match (extension ipv6 44 2 2 & 0xfff8) == 0x0108\n"
     "drop\n"},
    {"exthdr hbh missing",
     "match meta nfproto == 0x0a\n"
     "match extension ipv6 0 present == 0x00\n"},
    {"rt0 addr[1] ::1",
     "match meta nfproto == 0x0a\n"
     "match extension ipv6 43 8 16 == 0x00000000000000000000000000000001\n"},
    {"rt type . rt nexthdr { 1 . 6 }",
     "match meta nfproto == 0x0a\n"
     "match concat(extension ipv6 43 2 1, extension ipv6 43 0 1) in @__set0\n"},
    {"ip option ra value 1",
     "match meta nfproto == 0x02\n"
     "match extension ipv4 148 2 2 == 0x0001\n"},
    {"ip option ssrr exists",
     "match meta nfproto == 0x02\n"
     "match extension ipv4 137 present == 0x01\n"},
    {"sctp chunk data tsn 3", "match extension sctp 0 4 4 == 0x00000003\n"},
    {"sctp chunk init exists", "match extension sctp 1 present == 0x01\n"},
    // A value that is there in every packet of the protocol may be looked at behind a counter.
    {"tcp option sack-perm exists counter",
     "match extension tcp 4 present == 0x01\n"
     "counter #0 packets 0 bytes 0\n"},
};
INSTANTIATE_TEST_SUITE_P(Extension, Expression, testing::ValuesIn(extension_cases));

constexpr Case bit_cases[] = {
    {"ip saddr 10.0.0.0/9 accept",
     "match meta nfproto == 0x02\n"
     "match (payload network 12 4 later-fragments & 0xff800000) == 0x0a000000\n"
     "accept\n"},
    {"ip saddr 10.0.0.0/8 accept",
     "match meta nfproto == 0x02\n"
     "match payload network 12 1 later-fragments == 0x0a\n"
     "accept\n"},
    {"tcp flags & (fin | syn) == syn accept",
     "match meta l4proto == 0x06\n"
     "match (payload transport 13 1 later-fragments & 0x03) == 0x02\n"
     "accept\n"},
    {"meta mark & 0xff == 3 accept",
     "match (meta mark & 0xff000000) == 0x03000000\n"
     "accept\n"},
    {"meta mark & 0xf0 > 0x20 accept",
     "match swap4((meta mark & 0xf0000000)) > 0x00000020\n"
     "accept\n"},
    {"meta length 100-200 accept",
     "match swap4(meta length) >= 0x00000064\n"
     "match swap4(meta length) <= 0x000000c8\n"
     "accept\n"},
    {"ip6 dscp 5-9 accept",
     "match meta nfproto == 0x0a\n"
     "match (payload network 0 2 later-fragments & 0x0fc0) >= 0x0140\n"
     "match (payload network 0 2 later-fragments & 0x0fc0) <= 0x0240\n"
     "accept\n"},
};
INSTANTIATE_TEST_SUITE_P(Bits, Expression, testing::ValuesIn(bit_cases));

constexpr Case comparison_cases[] = {
    {"tcp dport != 22 drop",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments != 0x0016\n"
     "drop\n"},
    {"tcp dport < 22 drop",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments < 0x0016\n"
     "drop\n"},
    {"tcp dport >= 22 drop",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments >= 0x0016\n"
     "drop\n"},
    {"tcp dport 80-90 drop",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments >= 0x0050\n"
     "match payload transport 2 2 later-fragments <= 0x005a\n"
     "drop\n"},
    {"tcp dport != 80-90 drop",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments not in [0x0050, 0x005a]\n"
     "drop\n"},
    {"ip saddr != 10.0.0.1-10.0.0.9 drop",
     "match meta nfproto == 0x02\n"
     "match payload network 12 4 later-fragments not in [0x0a000001, 0x0a000009]\n"
     "drop\n"},
};
INSTANTIATE_TEST_SUITE_P(Comparison, Expression, testing::ValuesIn(comparison_cases));

constexpr Case meta_cases[] = {
    {"meta l4proto udp accept", "match meta l4proto == 0x11\naccept\n"},
    {"meta nfproto ipv6 accept", "match meta nfproto == 0x0a\naccept\n"},
    {"meta protocol ip accept", "match meta protocol == 0x0800\naccept\n"},
    {"meta mark 5 accept", "match meta mark == 0x05000000\naccept\n"},
    {"iif lo accept", "match meta iif == 0x01000000\naccept\n"},
    {"oif != lo accept", "match meta oif != 0x01000000\naccept\n"},
    {"iifname eth0 accept", "match meta iifname == 0x65746830000000000000000000000000\naccept\n"},
    {"iifname \"eth*\" accept", "match meta iifname == 0x657468\naccept\n"},
    {"oifname != \"eth0\" accept",
     "match meta oifname != 0x65746830000000000000000000000000\naccept\n"},
    {"meta length 40 accept", "match meta length == 0x28000000\naccept\n"},
    {"meta pkttype multicast accept", "match meta pkttype == 0x02\naccept\n"},
    {"ct state established,related accept",
     "match (ct state & 0x06000000) != 0x00000000\naccept\n"},
    {"ct mark 5-7 accept",
     "match swap4(ct mark) >= 0x00000005\nmatch swap4(ct mark) <= 0x00000007\naccept\n"},
    {"ct direction reply accept", "match ct direction == 0x01\naccept\n"},
    {"ct original ip saddr 10.0.0.0/24 accept", "match ct original src_ip == 0x0a0000\naccept\n"},
    {"ct reply ip6 daddr ::1 accept",
     "match ct reply dst_ip6 == 0x00000000000000000000000000000001\naccept\n"},
    {"udp dport 5 ct reply proto-src 53",
     "match meta l4proto == 0x11\nmatch payload transport 2 2 later-fragments == 0x0005\n"
     "match ct reply proto_src == 0x0035\n"},
    {"ct original zone 5 ct zone 6", "match ct original zone == 0x0500\nmatch ct zone == 0x0600\n"},
    {"ct reply bytes > 100 ct avgpkt 5",
     "match swap8(ct reply bytes) > 0x0000000000000064\n"
     "match ct avgpkt == 0x0500000000000000\n"},
    {"ct label 3",
     "match (ct labels & 0x08000000000000000000000000000000) != "
     "0x00000000000000000000000000000000\n"},
    {"meta skuid 1000 meta cgroup 5 meta priority 1:2 meta cpu 3",
     "match meta skuid == 0xe8030000\nmatch meta cgroup == 0x05000000\n"
     "match meta priority == 0x02000100\nmatch meta cpu == 0x03000000\n"},
    {"ct state invalid drop", "match (ct state & 0x01000000) != 0x00000000\ndrop\n"},
};
INSTANTIATE_TEST_SUITE_P(Meta, Expression, testing::ValuesIn(meta_cases));

constexpr Case verdict_cases[] = {
    {"accept", "accept\n"},
    {"drop", "drop\n"},
    {"return", "return\n"},
    {"continue", "continue\n"},
    {"counter", "counter #0 packets 0 bytes 0\n"},
    {"counter packets 5 bytes 600 drop", "counter #0 packets 5 bytes 600\ndrop\n"},
    {"counter tcp dport 22 counter accept",
     "counter #0 packets 0 bytes 0\n"
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments == 0x0016\n"
     "counter #1 packets 0 bytes 0\n"
     "accept\n"},
};
INSTANTIATE_TEST_SUITE_P(Verdict, Expression, testing::ValuesIn(verdict_cases));

constexpr Case route_cases[] = {
    {"rt classid 5", "match meta rtclassid == 0x05000000\n"},
    {"rt ip nexthop 10.0.0.1", "match nexthop(payload network 16 4) == 0x0a000001\n"},
    {"rt ip6 nexthop fe80::/64", "match nexthop(payload network 24 16) == 0xfe80000000000000\n"},
    {"rt ipsec exists", "match meta rtipsec == 0x01\n"},
    {"rt ipsec != missing", "match meta rtipsec != 0x00\n"},
    {"meta mark set rt ip nexthop map { 10.0.0.1 : 1 }",
     "write meta mark lookup(nexthop(payload network 16 4), @__map0)\n"},
};
INSTANTIATE_TEST_SUITE_P(Route, Expression, testing::ValuesIn(route_cases));

TEST(Expression, NeedsNoGuardInTablesOfOneFamily) {
  EXPECT_EQ(statements_of("ip saddr 10.0.0.1 drop", "ip"),
            "match payload network 12 4 later-fragments == 0x0a000001\ndrop\n");
  EXPECT_EQ(statements_of("ip6 hoplimit 1 drop", "ip6"),
            "match payload network 7 1 later-fragments == 0x01\ndrop\n");
}

TEST(Expression, CountersNameTheirRule) {
  const imr::Ruleset ruleset = read(in_chain("accept\n counter packets 7 bytes 8 drop"));
  ASSERT_EQ(ruleset.counters.size(), 1U);
  EXPECT_EQ(ruleset.counters[0].rule, imr::RuleId(1));
  EXPECT_EQ(ruleset.counters[0].packets, 7U);
  EXPECT_EQ(ruleset.counters[0].bytes, 8U);
}

}  // namespace
}  // namespace weir::frontend::nft::test
