// SPDX-License-Identifier: BSD-2-Clause
//
// Which base chain runs where: at the hook that it names, and at one that the user names.
#include <gtest/gtest.h>

#include "driver/compile.h"
#include "imr/parse.h"

namespace weir::driver {
namespace {

imr::Ruleset read(const std::string& text) {
  auto ruleset = imr::parse_ruleset(text, "test");
  if (!ruleset) throw std::runtime_error(ruleset.error().text());
  return std::move(*ruleset);
}

// "tc:ingress@eth0: a c, b c" for each attachment, one a line; netfilter ones with their protocol.
std::string in_words(const imr::Ruleset& ruleset, const Result<std::vector<Attachment>>& plan) {
  if (!plan) return plan.error().text();
  std::string out;
  for (const Attachment& attachment : *plan) {
    out += to_string(attachment.hook);
    if (attachment.hook.kind == Hook::Kind::netfilter) {
      out += " " + std::string(to_string(attachment.nfproto));
    }
    for (const imr::ChainId root : attachment.roots) {
      out += (root == attachment.roots.front() ? ": " : ", ") + imr::qualified_name(ruleset, root);
    }
    out += "\n";
  }
  return out;
}

std::string planned(const std::string& text, const std::string& hook = {},
                    const std::vector<std::string>& chains = {}) {
  const imr::Ruleset ruleset = read(text);
  std::optional<Hook> at;
  if (!hook.empty()) at = *parse_hook(hook);
  std::vector<ChainName> names;
  for (const std::string& chain : chains) names.push_back(*parse_chain_name(chain));
  return in_words(ruleset, plan(ruleset, at, names));
}

constexpr const char* office = R"(table netdev n
table inet i
table ip p
chain netdev n late hook ingress priority 10 policy accept devices eth0
chain netdev n early hook ingress priority -10 policy drop devices eth0, eth1
chain netdev n leaving hook egress priority 0 policy accept devices eth1
chain inet i first hook ingress priority 0 policy accept devices eth0
chain ip p across hook forward priority 0 policy accept
)";

TEST(Plan, GivesEachChainTheHookThatItNames) {
  EXPECT_EQ(planned(office),
            "tc:ingress@eth0: netdev n early, netdev n late\n"
            "tc:ingress@eth1: netdev n early\n"
            "tc:egress@eth1: netdev n leaving\n"
            "tc:ingress@eth0: inet i first\n"
            "netfilter:forward ipv4: ip p across\n");
}

TEST(Plan, TakesTheNetdevChainsOfSeveralAtTheirOwnHook) {
  EXPECT_EQ(planned(office, "tc:ingress@eth0"), "tc:ingress@eth0: netdev n early, netdev n late\n");
  EXPECT_EQ(planned(office, "tc:ingress@eth1"), "tc:ingress@eth1: netdev n early\n");
  EXPECT_EQ(planned(office, "tc:ingress"), "tc:ingress: netdev n early, netdev n late\n");
  EXPECT_EQ(planned(office, "tc:egress@eth1"), "tc:egress@eth1: netdev n leaving\n");
  EXPECT_EQ(planned(office, "netfilter:forward"), "netfilter:forward ipv4: ip p across\n");
}

TEST(Plan, AsksWhichOfSeveralElsewhere) {
  EXPECT_EQ(planned(office, "xdp@eth0"),
            "which base chain decides at xdp@eth0? Choose with --chain: netdev/n/early, "
            "netdev/n/leaving, inet/i/first, ip/p/across, netdev/n/late");
  EXPECT_EQ(planned(office, "tc:egress@eth7").substr(0, 48),
            "which base chain decides at tc:egress@eth7? Choo");
  EXPECT_EQ(planned(office, "xdp@eth7", {"netdev/n/late", "netdev/n/early"}),
            "xdp@eth7: netdev n late, netdev n early\n");
}

TEST(Plan, RefusesHooksThatCannotServeAChain) {
  const std::string families = R"(table bridge b
table arp a
chain bridge b pre hook prerouting priority 0 policy accept
chain bridge b across hook forward priority 0 policy accept
chain bridge b out hook output priority 0 policy accept
chain arp a in hook input priority 0 policy accept
chain arp a out hook output priority 0 policy accept
)";
  EXPECT_EQ(planned(families, "tc:ingress@p1", {"bridge/b/pre"}), "tc:ingress@p1: bridge b pre\n");
  EXPECT_EQ(planned(families, "tc:egress@p1", {"bridge/b/across", "bridge/b/out"}),
            "tc:egress@p1: bridge b across, bridge b out\n");
  EXPECT_EQ(planned(families, "xdp@p1", {"arp/a/in"}), "xdp@p1: arp a in\n");
  EXPECT_EQ(planned(families, "xdp@p1", {"bridge/b/across"}),
            "chain bridge b across of hook forward cannot run at xdp@p1, expected tc:ingress or "
            "tc:egress");
  EXPECT_EQ(
      planned(families, "tc:egress@p1", {"bridge/b/pre"}),
      "chain bridge b pre of hook prerouting cannot run at tc:egress@p1, expected tc:ingress");
  EXPECT_EQ(planned(families, "tc:ingress@p1", {"arp/a/out"}),
            "chain arp a out of hook output cannot run at tc:ingress@p1, expected tc:egress");
  EXPECT_EQ(
      planned(families, "cgroup:ingress", {"arp/a/in"}),
      "chain arp a in of hook input cannot run at cgroup:ingress, expected tc:ingress or xdp");
  EXPECT_EQ(planned(families),
            "chain bridge b pre names no hook that weir can take: with --hook and --chain it can "
            "run at tc:ingress@DEVICE");
}

TEST(Plan, RefusesChainsThatReadPacketsInDifferentWays) {
  EXPECT_EQ(planned(office, "xdp", {"netdev/n/late", "ip/p/across"}),
            "chains netdev n late and ip p across cannot run in one program at xdp: they read "
            "packets in different ways");
  EXPECT_EQ(planned(office, "tc:ingress", {"ip/p/across", "inet/i/first"}),
            "chains ip p across and inet i first cannot run in one program at tc:ingress: they "
            "read packets in different ways");
}

TEST(Plan, TakesIpChainsWhereTheUserSays) {
  const std::string one = "table inet t chain inet t c hook forward priority 0 policy accept";
  for (const char* hook : {"xdp@eth0", "tc:ingress@eth0", "tc:egress@eth0", "cgroup:ingress@/c",
                           "cgroup:egress@/c", "socket"}) {
    EXPECT_EQ(planned(one, hook), std::string(hook) + ": inet t c\n");
  }
}

TEST(Plan, RunsTheYoungestOfOnePriorityFirst) {
  const std::string netdev =
      "table netdev n\n"
      "chain netdev n older hook ingress priority 0 policy accept devices eth0\n"
      "chain netdev n younger hook ingress priority 0 policy accept devices eth0\n"
      "chain netdev n first hook ingress priority -1 policy accept devices eth0\n";
  for (const char* hook : {"", "tc:ingress@eth0"}) {
    EXPECT_EQ(planned(netdev, hook),
              "tc:ingress@eth0: netdev n first, netdev n younger, netdev n older\n");
  }
  EXPECT_EQ(planned(netdev, "xdp@eth0", {"netdev/n/older", "netdev/n/younger"}),
            "xdp@eth0: netdev n older, netdev n younger\n")
      << "as the user says";
  EXPECT_EQ(planned("table inet i table ip p table ip6 q\n"
                    "chain inet i both hook input priority 0 policy accept\n"
                    "chain ip p four hook input priority 0 policy accept\n"
                    "chain ip6 q six hook input priority 1 policy accept\n"
                    "chain ip p other hook forward priority 0 policy accept\n"
                    "chain ip p youngest hook input priority 0 policy accept\n"),
            "netfilter:input ipv4: ip p youngest, ip p four, inet i both\n"
            "netfilter:input ipv6: inet i both\n"
            "netfilter:forward ipv4: ip p other\n"
            "netfilter:input ipv6: ip6 q six\n");
}

}  // namespace
}  // namespace weir::driver
