// SPDX-License-Identifier: BSD-2-Clause
//
// Tables, chains, and what rules keep of their origin.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(Chains, KeepHookPriorityAndPolicy) {
  const imr::Ruleset ruleset = read(
      "table inet t {\n"
      "  chain in { type filter hook input priority -5; policy drop; }\n"
      "  chain pre { type filter hook prerouting priority raw; }\n"
      "  chain out { type route hook output priority mangle; }\n"
      "  chain plain { }\n"
      "}\n");
  EXPECT_EQ(chain(ruleset, "in").base, (imr::BaseChain{NfHook::input, -5, true, "filter", {}}));
  EXPECT_EQ(chain(ruleset, "pre").base,
            (imr::BaseChain{NfHook::prerouting, -300, false, "filter", {}}));
  EXPECT_EQ(chain(ruleset, "out").base, (imr::BaseChain{NfHook::output, -150, false, "route", {}}));
  EXPECT_FALSE(chain(ruleset, "plain").base.has_value());
}

TEST(Chains, KeepTheDevicesOfIngressHooks) {
  const imr::Ruleset ruleset =
      read("table inet t {\n  chain c { type filter hook ingress device lo priority 0; }\n}\n");
  EXPECT_EQ(chain(ruleset, "c").base,
            (imr::BaseChain{NfHook::ingress, 0, false, "filter", {"lo"}}));
}

TEST(Tables, KeepFamilyAndDormancy) {
  const imr::Ruleset ruleset =
      read("table ip a { }\ntable ip6 b {\n  flags dormant\n}\ntable inet c { }\n");
  ASSERT_EQ(ruleset.tables.size(), 3U);
  EXPECT_EQ(ruleset.tables[0], (imr::Table{Family::ip, "a", false}));
  EXPECT_EQ(ruleset.tables[1], (imr::Table{Family::ip6, "b", true}));
  EXPECT_EQ(ruleset.tables[2], (imr::Table{Family::inet, "c", false}));
}

TEST(Chains, AreReachedByJumpsAndGotos) {
  const imr::Ruleset ruleset = read(
      "table ip t {\n  chain a { accept; }\n  chain b { goto a; }\n"
      "  chain c { jump b; jump a; }\n}\n");
  EXPECT_EQ(statements(ruleset), "accept\n\ngoto a\n\njump b\n\njump a\n");
  EXPECT_EQ(imr::reachable_chains(ruleset, imr::ChainId(2)).size(), 3U);
}

TEST(Chains, WithoutANameAreChainsAllTheSame) {
  const imr::Ruleset ruleset = read(in_chain("tcp dport 22 jump { accept; }\n    drop"));
  ASSERT_EQ(ruleset.chains.size(), 2U);
  ASSERT_EQ(ruleset.rules.size(), 3U);
  const imr::Rule& jump = ruleset[ruleset.chains[0].rules[0]];
  EXPECT_EQ(jump.origin.text, "tcp dport 22 jump { accept }");
  EXPECT_EQ(std::get<imr::VerdictStatement>(jump.statements.back()).verdict,
            (imr::Verdict{imr::Verdict::Kind::jump, imr::ChainId(1)}));
  const imr::Rule& inner = ruleset[ruleset.chains[1].rules[0]];
  EXPECT_EQ(inner.origin.text, "[ immediate reg 0 accept ]");
  EXPECT_EQ(inner.origin.location.line, 0U);
}

TEST(Rules, KeepHandleTextAndComment) {
  const imr::Ruleset ruleset =
      read(in_chain("tcp dport ssh accept comment \"a # handle 99\"\n    drop"));
  ASSERT_EQ(ruleset.rules.size(), 2U);
  EXPECT_EQ(ruleset.rules[0].origin.handle, 2U);
  EXPECT_EQ(ruleset.rules[0].origin.text, "tcp dport 22 accept comment \"a # handle 99\"");
  EXPECT_EQ(ruleset.rules[0].origin.comment, "a # handle 99");
  EXPECT_EQ(ruleset.rules[1].origin.handle, 3U);
  EXPECT_EQ(ruleset.rules[1].origin.text, "drop");
  EXPECT_EQ(ruleset.rules[1].origin.comment, "");
}

TEST(Rules, HaveATextInOneLine) {
  std::string elements;
  for (int i = 0; i < 40; ++i) {
    elements += (i == 0 ? "" : ", ") + ("10.0.0." + std::to_string(100 + i));
  }
  const imr::Ruleset ruleset = read(in_chain("ip saddr { " + elements + " } drop"));
  ASSERT_EQ(ruleset.rules.size(), 1U);
  EXPECT_EQ(ruleset.rules[0].origin.text, "ip saddr { " + elements + " } drop");
}

TEST(Rules, OfTwoTablesMayShareAHandle) {
  const imr::Ruleset ruleset =
      read("table ip a {\n chain c { accept; }\n}\ntable ip6 a {\n chain c { drop; }\n}\n");
  ASSERT_EQ(ruleset.rules.size(), 2U);
  EXPECT_EQ(ruleset.rules[0].origin.handle, ruleset.rules[1].origin.handle);
  EXPECT_EQ(ruleset.rules[0].origin.text, "accept");
  EXPECT_EQ(ruleset.rules[1].origin.text, "drop");
}

TEST(Scripts, OfNothingAreEmptyRulesets) {
  const imr::Ruleset ruleset = read("# nothing\n");
  EXPECT_TRUE(ruleset.tables.empty());
  EXPECT_TRUE(ruleset.rules.empty());
}

TEST(Scripts, LeaveNothingForTheNext) {
  EXPECT_EQ(read(in_chain("accept")).rules.size(), 1U);
  EXPECT_EQ(read("table ip other { }\n").tables.size(), 1U);
}

TEST(Scripts, MayBeJson) {
  const imr::Ruleset ruleset = read(
      R"( { "nftables": [
        { "add": { "table": { "family": "ip", "name": "t" } } },
        { "add": { "chain": { "family": "ip", "table": "t", "name": "c" } } },
        { "add": { "rule": { "family": "ip", "table": "t", "chain": "c", "expr": [
          { "match": { "op": "==", "left": { "payload": { "protocol": "ip", "field": "ttl" } },
                       "right": 5 } }, { "accept": null } ] } } } ] })");
  EXPECT_EQ(statements(ruleset), "match payload network 8 1 later-fragments == 0x05\naccept\n");
  ASSERT_EQ(ruleset.rules.size(), 1U);
  EXPECT_EQ(ruleset.rules[0].origin.text, "ip ttl 5 accept");
  EXPECT_EQ(ruleset.rules[0].origin.location.line, 0U);
}

TEST(Scripts, AreReadWithoutAScratchNamespaceOfOnesOwn) {
  const auto ruleset = read_script(in_chain("accept"), "some.nft");
  ASSERT_TRUE(ruleset.has_value()) << ruleset.error().text();
  EXPECT_EQ(statements(*ruleset), "accept\n");
  EXPECT_EQ(ruleset->rules[0].origin.location, (SourceLocation{"some.nft", 4, 5}));
}

}  // namespace
}  // namespace weir::frontend::nft::test
