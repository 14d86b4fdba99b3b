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
    {"limit rate 5/second accept", 0, 2,
     "[ limit rate 5/second burst 5 type packets flags 0x0 ] [ immediate reg 0 accept ]",
     "expression 'limit' is not translated yet"},
    {"tcp dport 22 counter limit rate 5/second accept", 3, 5,
     "[ limit rate 5/second burst 5 type packets flags 0x0 ] [ immediate reg 0 accept ]",
     "expression 'limit' is not translated yet"},
    {"tcp dport 22 reject with tcp reset", 2, 3, "[ reject type 1 code 0 ]",
     "expression 'reject' is not translated yet"},
    {"log prefix \"x\" drop", 0, 2, "[ log prefix x level 4 ] [ immediate reg 0 drop ]",
     "expression 'log' is not translated yet"},
    {"meta time > 100 drop", 0, 2,
     "[ meta load time => reg 1 ] [ byteorder reg 1 = hton(reg 1, 8, 8) ]"
     " [ cmp gt reg 1 0x17000000 0x00e87648 ] [ immediate reg 0 drop ]",
     "'meta time': no program can read the wall clock"},
    {"meta ipsec exists drop", 0, 2,
     "[ meta load secpath => reg 1 ] [ cmp eq reg 1 0x00000001 ] [ immediate reg 0 drop ]",
     "'meta secpath': where a packet keeps its transformations differs from kernel to kernel"},
    {"meta sdif lo drop", 0, 2,
     "[ meta load sdif => reg 1 ] [ cmp eq reg 1 0x00000001 ] [ immediate reg 0 drop ]",
     "'meta sdif': programs do not see the VRF that a packet came through"},
    {"meta priority set 5", 0, 1, "[ immediate reg 1 0x00000005 ] [ meta set priority with reg 1 ]",
     "'meta priority set' is not translated yet"},
    {"ct mark set 5", 0, 1, "[ immediate reg 1 0x00000005 ] [ ct set mark with reg 1 ]",
     "'ct mark set' is not translated yet"},
    {"ct expiration 10s accept", 0, 2,
     "[ ct load expiration => reg 1 ] [ cmp eq reg 1 0x00002710 ] [ immediate reg 0 accept ]",
     "'ct expiration': connections expire by the kernel's own ticks"},
    {"tcp option maxseg exists tcp option maxseg size set 1360", 1, 2,
     "[ immediate reg 1 0x00005005 ] [ exthdr write tcpopt reg 1 => 2b @ 2 + 2 ]",
     "writes to TCP options are not translated yet"},
    {"reset tcp option sack-perm", 0, 1, "[ exthdr reset tcpopt 4 ]",
     "removal of TCP options is not translated yet"},
    {"@ih,0,8 1 accept", 0, 2,
     "[ payload load 1b @ inner header + 0 => reg 1 ] [ cmp eq reg 1 0x00000001 ]"
     " [ immediate reg 0 accept ]",
     "loads from inner headers are not translated yet"},
};
INSTANTIATE_TEST_SUITE_P(Nft, NativePart, testing::ValuesIn(cases));

TEST(NativePart, OfAPacketWriteHoldsItsLoads) {
  EXPECT_EQ(statements_of("ip ttl set 4", "ip"),
            "native \"[ payload load 2b @ network header + 8 => reg 1 ]"
            " [ bitwise reg 1 = ( reg 1 & 0x0000ff00 ) ^ 0x00000004 ]"
            " [ payload write reg 1 => 2b @ network header + 8 csum_type 1 csum_off 10"
            " csum_flags 0x0 ]\" because \"packet writes are not translated yet\"\n");
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
