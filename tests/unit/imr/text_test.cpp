// SPDX-License-Identifier: BSD-2-Clause
//
// The text form: what is printed is what was read, and errors name their place.
#include <gtest/gtest.h>

#include <string>

#include "imr/parse.h"
#include "imr/print.h"

namespace weir::imr {
namespace {

constexpr const char* everything = R"(interface eth7 = 1000000
interface "7th" = 3
table inet filter
set inet filter allowed ipv4_addr 4 interval { 0x0a000000-0x0affffff, 0xc0a80001 }
set inet filter __set0 "ipv4_addr . inet_service" 8 anonymous native "concatenated" { }
set inet filter pairs "ipv4_addr . inet_service" 8 fields 4 2 interval {
    0x0a00000000500000-0x0a0000ff00500000, 0x0a00000500160000, * }
map inet filter marks ipv4_addr 4 to mark 4 { 0x0a000001 : 0x01000000, * : 0x02000000 }
map inet filter objects ipv4_addr 4 to counter 4 { 0x0a000001 : 0x00000000 }
map inet filter __map0 inet_service 2 anonymous { 0x0016 : jump ssh, 0x0050 : accept, * : drop }
chain inet filter forward hook forward priority -5 policy drop
  rule #0 handle 4 "tcp dport 22 counter accept" at office.nft:12:3
    match meta l4proto == 0x06  ; tcp
    match payload transport 2 2 later-fragments == 0x0016  ; tcp dport
    counter #0 packets 7 bytes 420
    accept
  rule #1 handle 5 "ip saddr 10.0.0.0/8 say \"hi\" \\ \x01" comment "the office"
    match meta nfproto == 0x02  ; ipv4
    match (payload network 12 4 & 0xff000000) == 0x0a000000  ; ip saddr
    match payload network 16 4 in @allowed  ; ip daddr
    match payload network 16 4 not in @allowed  ; ip daddr
    match (payload network 8 1 ^ 0x80) != 0x00  ; ip ttl
    match (payload network 0 1 & 0x0f ^ 0x01) < 0x05  ; ip hdrlength
    match payload network 8 1 not in [0x10, 0x20]  ; ip ttl
    match swap2(payload network 2 2) in [0x0001, 0x0002]  ; ip length
    match ((meta mark << 8) >> 4) >= 0x00000001
    match (ct state & 0x06000000) > 0x00000000
    match field "tcp dport" <= 0x0400
    match (extension ipv6 44 2 2 & 0xfff8) != 0x0000  ; frag
    match extension tcp 2 2 2 >= 0x05b4  ; tcp option maxseg
    match payload inner 2 4 == 0x01020304
    match extension tcp 253 present == 0x01
    match extension ipv4 7 present == 0x00  ; ip option rr
    match extension sctp 0 4 4 == 0x00000001  ; sctp chunk data
    match (nexthop(payload network 16 4) & 0xff000000) == 0x0a000000
    match meta rtipsec == 0x01
    match 0x01 == 0x01
    match concat(payload network 12 4, payload transport 2 2) in @pairs
    match (lookup(payload network 12 4, @marks) & 0xff000000) == 0x01000000  ; ip saddr
    write meta mark lookup(payload network 12 4, @marks)  ; ip saddr
    write meta mark concat(meta pkttype)
    write payload network 8 1 0x09
    write payload network 12 4 checksum 10 pseudo-header 0x0a000001
    write payload transport 2 2 checksum 16 payload transport 0 2
    write extension tcp 2 2 2 0x0550  ; tcp option maxseg
    write extension tcp 253 4 4 meta mark
    strip extension tcp 8  ; tcp option timestamp
    strip extension tcp 253
    choose lookup(payload network 12 4, @objects) of { counter #3 packets 0 bytes 0 name "web", counter #1 packets 0 bytes 0 of #4 }  ; ip saddr
    choose 0x00000000 of { meter #1 over quota 5 used 1, meter #0 limit 1000 packets each 1 burst 50 }
    answer icmp 3
    drop
    answer icmpx 1 meter #0 limit 1000 packets each 1 burst 50
    drop
    answer reset
    drop
    duplicate lookup(payload network 12 4, @marks)  ; ip saddr
    duplicate 0x02000000
    forward meta iif
    drop
    vmap payload transport 2 2 @__map0
    goto ssh
  rule #2 handle 6 "log" at "a file":3 statements 2
    native "log" because "no program can log"
  rule #3 synthetic
    continue
  rule #6 written in ssh copy of #4 handle 7 "iifname \"eth*\" return"
    match meta iifname == 0x657468
    counter #1 packets 0 bytes 0 of #4
    return
chain inet filter ssh
  rule #4 handle 7 "iifname \"eth*\" return"
    match meta iifname == 0x657468
    counter #1 packets 0 bytes 0
    return
  rule #5 removed handle 8 "drop"
    drop
table ip nat dormant
chain ip nat pre type nat hook prerouting priority -100 policy accept
chain ip nat "0 odd" hook ingress priority 0 policy accept devices eth0, "1"
counter #2 packets 1 bytes 2 of #5
)";

TEST(ImrText, PrintsWhatItReads) {
  const auto ruleset = parse_ruleset(everything, "test");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  EXPECT_EQ(print(*ruleset), everything);
}

TEST(ImrText, ReadsWhatItPrints) {
  const auto first = parse_ruleset(everything, "test");
  ASSERT_TRUE(first) << first.error().text();
  const auto second = parse_ruleset(print(*first), "again");
  ASSERT_TRUE(second) << second.error().text();
  ASSERT_EQ(second->rules.size(), first->rules.size());
  for (std::size_t i = 0; i < first->rules.size(); ++i) {
    const Rule& a = first->rules[i];
    const Rule& b = second->rules[i];
    EXPECT_EQ(a.origin, b.origin) << "rule " << i;
    EXPECT_EQ(a.statements, b.statements) << "rule " << i;
    EXPECT_EQ(a.total_statements, b.total_statements) << "rule " << i;
    EXPECT_EQ(a.copy_of, b.copy_of) << "rule " << i;
    EXPECT_EQ(a.chain, b.chain) << "rule " << i;
    EXPECT_EQ(a.synthetic, b.synthetic) << "rule " << i;
  }
  EXPECT_EQ(first->exprs, second->exprs);
  EXPECT_EQ(first->tables, second->tables);
  EXPECT_EQ(first->interfaces, second->interfaces);
}

TEST(ImrText, NumbersWhatHasNoNumber) {
  const auto ruleset = parse_ruleset(
      "table ip t chain ip t c rule counter rule #0 counter packets 1 bytes 2 drop rule accept",
      "test");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  EXPECT_EQ(print(*ruleset),
            "table ip t\n"
            "chain ip t c\n"
            "  rule #1\n"
            "    counter #0 packets 0 bytes 0\n"
            "  rule #0\n"
            "    counter #1 packets 1 bytes 2\n"
            "    drop\n"
            "  rule #2\n"
            "    accept\n");
}

TEST(ImrText, UnitsKeepTheirHeader) {
  for (const std::string header :
       {"unit netfilter:forward ipv6 roots inet a one, inet b two\n", "unit xdp@eth0 ipv4\n",
        "unit xdp@\"7th\" ipv4 roots inet a one\n"}) {
    const std::string text = header +
                             "table inet a\n"
                             "chain inet a one hook forward priority 0 policy accept\n"
                             "  rule #0\n"
                             "    match payload network 6 1 == 0x06\n"
                             "table inet b\n"
                             "chain inet b two hook forward priority 1 policy drop\n";
    const auto unit = parse_unit(text, "test");
    ASSERT_TRUE(unit) << unit.error().text();
    std::string expected = text;
    const std::size_t line_end = expected.find("0x06\n") + 4;
    if (unit->nfproto == Nfproto::ipv6) expected.insert(line_end, "  ; ip6 nexthdr");
    EXPECT_EQ(print(*unit), expected);
  }
}

TEST(ImrText, LongSetsAreWrapped) {
  std::string text = "table ip t\nset ip t s inet_service 2 {";
  for (int i = 0; i < 100; ++i) {
    text += (i == 0 ? " " : ", ") + to_hex(big_endian_bytes(static_cast<std::uint64_t>(i), 2));
  }
  const auto ruleset = parse_ruleset(text + " }", "test");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  const std::string printed = print(*ruleset);
  std::size_t begin = 0;
  while (begin < printed.size()) {
    const std::size_t end = printed.find('\n', begin);
    EXPECT_LE(end - begin, 100U) << printed.substr(begin, end - begin);
    begin = end + 1;
  }
  const auto again = parse_ruleset(printed, "again");
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->sets[0].elements, ruleset->sets[0].elements);
}

TEST(ImrText, AnnotatesOnlyWhatIsCertain) {
  const auto ruleset = parse_ruleset(
      "table inet t chain inet t c\n"
      "rule match payload network 12 4 == 0x0a000001\n"  // of inet: neither ip nor ip6 is known
      "rule match payload transport 2 2 == 0x0016\n"     // tcp or udp
      "rule match meta l4proto != 0x06 match payload transport 2 2 == 0x0016\n"
      "rule match meta l4proto == 0x11 match payload transport 0 2 == 0x0016\n",
      "test");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  EXPECT_EQ(print(*ruleset),
            "table inet t\n"
            "chain inet t c\n"
            "  rule #0\n"
            "    match payload network 12 4 == 0x0a000001\n"
            "  rule #1\n"
            "    match payload transport 2 2 == 0x0016\n"
            "  rule #2\n"
            "    match meta l4proto != 0x06\n"
            "    match payload transport 2 2 == 0x0016\n"
            "  rule #3\n"
            "    match meta l4proto == 0x11  ; udp\n"
            "    match payload transport 0 2 == 0x0016  ; udp sport\n");
}

struct BadText {
  const char* text;
  const char* error;
};

class ImrTextErrors : public testing::TestWithParam<BadText> {};

TEST_P(ImrTextErrors, NameTheirPlace) {
  const auto ruleset = parse_ruleset(GetParam().text, "f");
  ASSERT_FALSE(ruleset) << "expected an error from: " << GetParam().text;
  EXPECT_EQ(ruleset.error().text(), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    All, ImrTextErrors,
    testing::Values(
        BadText{"tble",
                "f:1:1: found 'tble', expected table, interface, set, map, chain, "
                "counter or meter"},
        BadText{"table\n  ipx t",
                "f:2:3: unknown family 'ipx', expected ip, ip6, inet, arp, "
                "bridge or netdev"},
        BadText{"table ip t ; note\nchain ip u c",
                "f:2:7: unknown table 'u', expected one declared above"},
        BadText{"table ip t chain ip t c rule match payload outer 0 1 == 0x00",
                "f:1:44: found 'outer', expected link, network, transport or inner"},
        BadText{"table ip t chain ip t c rule match meta color == 0x00",
                "f:1:41: found 'color', expected a meta key: l4proto, nfproto, protocol, mark, "
                "iif, oif, iifname, oifname, length, pkttype, iiftype, oiftype, iifgroup, "
                "oifgroup, iifkind, oifkind, priority, cpu, skuid, skgid, cgroup, rtclassid, "
                "rtipsec, time or hour"},
        BadText{"table ip t chain ip t c rule match ct color == 0x00",
                "f:1:39: found 'color', expected a ct key: state, direction, status, mark, helper, "
                "l3proto, protocol, labels, zone, bytes, packets or avgpkt"},
        BadText{"table ip t chain ip t c rule match ct original mark == 0x00",
                "f:1:48: found 'mark', expected a ct key: src_ip, dst_ip, src_ip6, dst_ip6, "
                "proto_src, proto_dst, zone, bytes, packets or avgpkt"},
        BadText{"table ip t chain ip t c rule match meta mark 0x00",
                "f:1:46: found '0x00', expected ==, !=, <, <=, >, >=, in or not in"},
        BadText{"table ip t chain ip t c rule match meta mark == 5",
                "f:1:49: found '5', expected bytes like 0x0a00, two hex digits each"},
        BadText{"table ip t chain ip t c rule match meta mark == 0x123",
                "f:1:49: found '0x123', expected bytes like 0x0a00, two hex digits each"},
        BadText{"table ip t chain ip t c rule jump nowhere",
                "f:1:35: unknown chain 'nowhere', expected one of table ip t"},
        BadText{"table ip t chain ip t c rule match meta mark in @s",
                "f:1:50: unknown set 's', expected one of table ip t"},
        BadText{
            "table ip t chain ip t c rule reject",
            "f:1:30: found 'reject', expected a statement: match, vmap, counter, meter, choose, "
            "write, strip, answer, forward, duplicate, log, add, update, delete, native or a "
            "verdict"},
        BadText{"table ip t chain ip t c rule match (meta mark == 0x00",
                "f:1:47: found '==', expected '&', '^', '<<' or '>>' and what follows it"},
        BadText{"table ip t chain ip t c rule \"text",
                "f:1:35: string without an end, expected "
                "'\"'"},
        BadText{"table ip t chain ip t c rule #1 drop",
                "f:1:30: rule #1 leaves a gap, expected numbers from 0 on"},
        BadText{"table ip t chain ip t c rule #0 drop rule #0 drop", "f:1:43: second rule #0"},
        BadText{"table ip t chain ip t c rule copy of #7 drop",
                "f:1:30: copy of rule #7, which is not there"},
        BadText{"table ip t chain ip t c rule counter #0 counter #0 packets 1 bytes 1",
                "f:1:49: counter #0 differs from the same counter above, expected the same "
                "numbers, name and rule"},
        BadText{"table ip t chain ip t c hook forward priority 99999999999 policy drop",
                "f:1:47: found '99999999999', expected a priority, a number from 0 to 2147483647"},
        BadText{"table ip t map ip t m mark 4 { 0x00000000 }", "f:1:43: found '}', expected ':'"},
        BadText{"table ip t map ip t m mark 4 to mark 4 { 0x00000000 : drop }",
                "f:1:55: found 'drop', expected bytes like 0x0a00, two hex digits each"},
        BadText{"table ip t chain ip t c rule write meta mark lookup(meta mark, @m)",
                "f:1:65: unknown set 'm', expected one of table ip t"},
        BadText{"table ip t chain ip t c rule match concat() == 0x00",
                "f:1:43: found ')', expected an expression: payload, field, extension, meta, ct, "
                "swap2, swap4, "
                "swap8, concat, lookup, numgen, random, jhash, nexthop, bytes or '('"},
        BadText{"table ip t chain ip t c %",
                "f:1:25: found '%', expected a word, a number or a "
                "string"},
        BadText{"table ip t chain ip t c rule match meta mark == 0x0000000000",
                "f: ip t c rule #0: comparison with no bytes, or more than the value has"}));

TEST(ImrText, NestingIsBounded) {
  std::string text = "table ip t chain ip t c rule match ";
  for (int i = 0; i < 100000; ++i) text += '(';
  const auto ruleset = parse_ruleset(text, "f");
  ASSERT_FALSE(ruleset);
  EXPECT_EQ(ruleset.error().text(),
            "f:1:101: found '(', expected at most 64 expressions inside one another");
}

}  // namespace
}  // namespace weir::imr
