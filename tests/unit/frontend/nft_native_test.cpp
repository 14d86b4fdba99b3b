// SPDX-License-Identifier: BSD-2-Clause
//
// What is not translated stays whole: text, reason and number of statements.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

struct Case {
  std::string_view rule;
  std::size_t translated;  // statements before the native one
  std::uint32_t total;
  std::string_view text;
  std::string_view reason;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.rule;
}

class NativePart : public testing::TestWithParam<Case> {};

TEST_P(NativePart, KeepsTextAndReason) {
  const Case& expected = GetParam();
  const imr::Ruleset ruleset = read(in_chain(expected.rule));
  ASSERT_EQ(ruleset.rules.size(), 1U);
  const imr::Rule& rule = ruleset.rules[0];
  EXPECT_EQ(rule.total_statements, expected.total) << expected.rule;
  ASSERT_EQ(rule.statements.size(), expected.translated + 1) << statements(ruleset);
  const auto* native = std::get_if<imr::Native>(&rule.statements.back());
  ASSERT_NE(native, nullptr) << statements(ruleset);
  EXPECT_EQ(native->text.str(), expected.text);
  EXPECT_EQ(native->reason.str(), expected.reason);
}

constexpr Case cases[] = {
    {"limit rate 1 bytes/week accept", 0, 2,
     "[ limit rate 1/week burst 0 type bytes flags 0x0 ] [ immediate reg 0 accept ]",
     "a limit of one byte over so long a time"},
    {"tcp dport 22 counter symhash mod 2 0 accept", 3, 5,
     "[ hash reg 1 = symhash() % mod 2 ] [ cmp eq reg 1 0x00000000 ] [ immediate reg 0 accept ]",
     "symmetric hashes of packets are made with a secret of the kernel"},
    {"log level audit drop", 0, 2, "[ log level 8 ] [ immediate reg 0 drop ]",
     "the audit log is the kernel's own"},
    {"meta day Monday drop", 0, 2,
     "[ meta load day => reg 1 ] [ cmp eq reg 1 0x00000001 ] [ immediate reg 0 drop ]",
     "'meta day': days begin by the time zone of the kernel, which no program can find"},
    {"meta ipsec exists drop", 0, 2,
     "[ meta load secpath => reg 1 ] [ cmp eq reg 1 0x00000001 ] [ immediate reg 0 drop ]",
     "'meta secpath': where a packet keeps its transformations differs from kernel to kernel"},
    {"meta sdif lo drop", 0, 2,
     "[ meta load sdif => reg 1 ] [ cmp eq reg 1 0x00000001 ] [ immediate reg 0 drop ]",
     "'meta sdif': programs do not see the VRF that a packet came through"},
    {"meta nftrace set 1", 0, 1, "[ immediate reg 1 0x00000001 ] [ meta set nftrace with reg 1 ]",
     "'meta nftrace set': what it switches on is a trace of the kernel's own rules"},
    {"ct mark set 5", 0, 1, "[ immediate reg 1 0x00000005 ] [ ct set mark with reg 1 ]",
     "'ct mark set': a program reads the packet's connection, and cannot write to it"},
    {"notrack", 0, 1, "[ notrack ]", "a program cannot take a packet out of tracking"},
    {"sctp dport set 7", 1, 2,
     "[ immediate reg 1 0x00000700 ] [ payload write reg 1 => 2b @ transport header + 2"
     " csum_type 2 csum_off 8 csum_flags 0x0 ]",
     "the checksum of SCTP is a CRC of the whole packet, which no program computes"},
    {"rt mtu > 1000", 0, 1,
     "[ rt load tcpmss => reg 1 ] [ byteorder reg 1 = hton(reg 1, 2, 2) ]"
     " [ cmp gt reg 1 0x0000e803 ]",
     "a segment size goes by the route back, too, which no program looks up as the kernel does"},
    {"ct count 5 drop", 0, 2, "[ connlimit count 5 flags 0 ] [ immediate reg 0 drop ]",
     "connections are counted in lists of the kernel's own"},
    {"ct expiration 10s accept", 0, 2,
     "[ ct load expiration => reg 1 ] [ cmp eq reg 1 0x00002710 ] [ immediate reg 0 accept ]",
     "'ct expiration': connections expire by the kernel's own ticks"},
    {"@ih,0,8 set 5 accept", 0, 2,
     "[ payload load 2b @ inner header + 0 => reg 1 ]"
     " [ bitwise reg 1 = ( reg 1 & 0x0000ff00 ) ^ 0x00000005 ]"
     " [ payload write reg 1 => 2b @ inner header + 0 csum_type 0 csum_off 0 csum_flags 0x1 ]"
     " [ immediate reg 0 accept ]",
     "writes behind the transport header stay with the kernel"},
};
INSTANTIATE_TEST_SUITE_P(Nft, NativePart, testing::ValuesIn(cases));

TEST(NativePart, OfAPacketWriteHoldsItsLoads) {
  EXPECT_EQ(statements_of("sctp dport set sctp sport", "ip"),
            "match meta l4proto == 0x84\n"
            "native \"[ payload load 2b @ transport header + 0 => reg 1 ]"
            " [ payload write reg 1 => 2b @ transport header + 2 csum_type 2 csum_off 8"
            " csum_flags 0x0 ]\" because \"the checksum of SCTP is a CRC of the whole packet, which"
            " no program computes\"\n");
}

struct FamilyCase {
  std::string_view script;
  std::string_view reason;
};

class NativeChain : public testing::TestWithParam<FamilyCase> {};

TEST_P(NativeChain, KeepsItsRulesWithAReason) {
  const imr::Ruleset ruleset = read(std::string(GetParam().script));
  ASSERT_EQ(ruleset.tables.size(), 1U);
  ASSERT_EQ(ruleset.chains.size(), 1U);
  EXPECT_TRUE(ruleset.chains[0].base.has_value());
  ASSERT_EQ(ruleset.rules.size(), 1U);
  ASSERT_EQ(ruleset.rules[0].statements.size(), 1U);
  const auto* native = std::get_if<imr::Native>(&ruleset.rules[0].statements[0]);
  ASSERT_NE(native, nullptr);
  EXPECT_EQ(native->reason.str(), GetParam().reason);
  EXPECT_EQ(native->text, "[ immediate reg 0 accept ]");
}

constexpr FamilyCase family_cases[] = {
    {"table ip t { chain c { type nat hook postrouting priority 100; accept; }\n}\n",
     "nat chains stay with the kernel"},
    {"table ip t { chain c { type route hook output priority 0; accept; }\n}\n",
     "route chains stay with the kernel"},
};
INSTANTIATE_TEST_SUITE_P(Nft, NativeChain, testing::ValuesIn(family_cases));

}  // namespace
}  // namespace weir::frontend::nft::test
