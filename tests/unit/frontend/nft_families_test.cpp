// SPDX-License-Identifier: BSD-2-Clause
//
// Tables of families netdev, bridge and arp, and inet chains of the hook ingress: their chains, and
// what nft puts in front of the fields that it reads there.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

std::string chain_of(std::string_view family, std::string_view hook, std::string_view rule) {
  return "table " + std::string(family) + " t {\n  chain c {\n    type filter hook " +
         std::string(hook) + " priority 0\n    " + std::string(rule) + "\n  }\n}\n";
}

TEST(NetdevChains, NameTheirDevices) {
  const imr::Ruleset ruleset = read(
      "table netdev t {\n"
      "  chain one { type filter hook ingress device weirx1 priority -5; policy drop; }\n"
      "  chain two { type filter hook ingress devices = { weirx2, weirx1 } priority 0; }\n"
      "  chain out { type filter hook egress device \"weirx2\" priority 0; }\n"
      "}\n");
  EXPECT_EQ(chain(ruleset, "one").base,
            (imr::BaseChain{NfHook::ingress, -5, true, "filter", {"weirx1"}}));
  const auto& two = chain(ruleset, "two").base;
  ASSERT_TRUE(two.has_value());
  EXPECT_EQ(two->devices.size(), 2U);
  EXPECT_EQ(chain(ruleset, "out").base,
            (imr::BaseChain{NfHook::egress, 0, false, "filter", {"weirx2"}}));
}

TEST(NetdevChains, OfSeveralTablesMayShareADevice) {
  const imr::Ruleset ruleset = read(
      "table netdev a { chain c { type filter hook ingress device weirx1 priority 0; }\n}\n"
      "table inet b { chain c { type filter hook ingress device weirx1 priority 1; }\n}\n");
  ASSERT_EQ(ruleset.chains.size(), 2U);
  EXPECT_EQ(ruleset.chains[0].base->devices, std::vector<std::string>{"weirx1"});
  EXPECT_EQ(ruleset.chains[1].base->devices, std::vector<std::string>{"weirx1"});
  EXPECT_EQ(ruleset[ruleset.chains[1].table].family, Family::inet);
}

TEST(BridgeAndArpChains, KeepTheirHooks) {
  const imr::Ruleset ruleset = read(
      "table bridge b {\n"
      "  chain pre { type filter hook prerouting priority -300; }\n"
      "  chain in { type filter hook input priority 0; }\n"
      "  chain across { type filter hook forward priority 0; }\n"
      "  chain out { type filter hook output priority 0; }\n"
      "  chain post { type filter hook postrouting priority 0; policy drop; }\n"
      "}\n"
      "table arp a {\n"
      "  chain arpin { type filter hook input priority 0; }\n"
      "  chain arpout { type filter hook output priority 0; }\n"
      "}\n");
  const auto hook = [&](std::string_view name) { return chain(ruleset, name).base->hook; };
  EXPECT_EQ(hook("pre"), NfHook::prerouting);
  EXPECT_EQ(hook("in"), NfHook::input);
  EXPECT_EQ(hook("across"), NfHook::forward);
  EXPECT_EQ(hook("out"), NfHook::output);
  EXPECT_EQ(hook("post"), NfHook::postrouting);
  EXPECT_TRUE(chain(ruleset, "post").base->drop_by_policy);
  EXPECT_EQ(hook("arpin"), NfHook::input);
  EXPECT_EQ(hook("arpout"), NfHook::output);
}

struct FieldCase {
  std::string_view family;
  std::string_view hook;
  std::string_view rule;
  std::string_view statements;
};

class FamilyFields : public testing::TestWithParam<FieldCase> {};

TEST_P(FamilyFields, ComeBehindWhatNftPutsInFrontOfThem) {
  const FieldCase& c = GetParam();
  EXPECT_EQ(statements(read(chain_of(c.family, c.hook, c.rule))), c.statements) << c.rule;
}

constexpr std::string_view on_device = "ingress device lo";

constexpr FieldCase field_cases[] = {
    {"netdev", on_device, "ip saddr 10.0.0.1 accept",
     "match meta protocol == 0x0800\n"
     "match payload network 12 4 later-fragments == 0x0a000001\naccept\n"},
    {"netdev", on_device, "tcp dport 22 accept",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments == 0x0016\naccept\n"},
    {"netdev", on_device, "icmpv6 type echo-request accept",
     "match meta protocol == 0x86dd\nmatch meta l4proto == 0x3a\n"
     "match payload transport 0 1 later-fragments == 0x80\naccept\n"},
    {"netdev", on_device, "vlan id 5 ip saddr 10.0.0.1 accept",
     "match meta iiftype == 0x0100\nmatch payload link 12 2 == 0x8100\n"
     "match (payload link 14 2 & 0x0fff) == 0x0005\nmatch payload link 16 2 == 0x0800\n"
     "match payload network 12 4 later-fragments == 0x0a000001\naccept\n"},
    {"netdev", on_device, "ether type 8021ad vlan id 7 accept",
     "match meta iiftype == 0x0100\nmatch payload link 12 2 == 0x88a8\n"
     "match (payload link 14 2 & 0x0fff) == 0x0007\naccept\n"},
    {"netdev", on_device, "ether saddr 02:00:00:00:00:01 drop",
     "match meta iiftype == 0x0100\nmatch payload link 6 6 == 0x020000000001\ndrop\n"},
    {"netdev", on_device, "arp operation request counter",
     "match meta protocol == 0x0806\nmatch payload network 6 2 later-fragments == 0x0001\n"
     "counter #0 packets 0 bytes 0\n"},
    {"netdev", "egress device lo", "meta protocol { ip, ip6 } drop",
     "match meta protocol in @__set0\ndrop\n"},
    {"inet", on_device, "tcp dport 22 accept",
     "match meta l4proto == 0x06\n"
     "match payload transport 2 2 later-fragments == 0x0016\naccept\n"},
    {"bridge", "forward", "ip6 nexthdr tcp accept",
     "match meta protocol == 0x86dd\nmatch payload network 6 1 later-fragments == 0x06\naccept\n"},
    {"bridge", "forward", "arp operation request accept",
     "match payload link 12 2 == 0x0806\nmatch payload network 6 2 later-fragments == 0x0001\n"
     "accept\n"},
    {"bridge", "prerouting", "vlan id 5 accept",
     "match payload link 12 2 == 0x8100\nmatch (payload link 14 2 & 0x0fff) == 0x0005\naccept\n"},
    {"bridge", "input", "ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop",
     "match (payload link 0 6 & 0x010000000000) == 0x010000000000\ndrop\n"},
    {"arp", "input", "arp saddr ip 10.0.0.1 arp daddr ether 02:00:00:00:00:01 drop",
     "match payload network 14 10 == 0x0a000001020000000001\ndrop\n"},
    {"arp", "output", "arp htype 1 arp ptype ip arp hlen 6 arp plen 4 accept",
     "match payload network 0 4 later-fragments == 0x00010800\n"
     "match payload network 4 2 later-fragments == 0x0604\naccept\n"},
    {"arp", "input", "ether saddr 02:00:00:00:00:01 drop",
     "match meta iiftype == 0x0100\nmatch payload link 6 6 == 0x020000000001\ndrop\n"},
};
INSTANTIATE_TEST_SUITE_P(Nft, FamilyFields, testing::ValuesIn(field_cases));

// The kernel of the tests may have it; then nothing is refused.
TEST(FamilyFields, ThatTheKernelLacksGiveItsReason) {
  auto scratch = ScratchNamespace::create();
  ASSERT_TRUE(scratch.has_value()) << scratch.error().text();
  for (const std::string_view rule : {"meta ibrname \"br0\" accept", "ct state new accept"}) {
    const auto ruleset = scratch->read(chain_of("bridge", "forward", rule), "test.nft");
    if (ruleset) continue;
    EXPECT_EQ(ruleset.error().kind, ErrorKind::system) << rule;
    EXPECT_TRUE(ruleset.error().message.starts_with("Could not process rule: "))
        << ruleset.error().text();
    EXPECT_EQ(ruleset.error().location.line, 4U);
  }
}

}  // namespace
}  // namespace weir::frontend::nft::test
