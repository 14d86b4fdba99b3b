// SPDX-License-Identifier: BSD-2-Clause
//
// What `weir check` finds about rules, before the evaluator: over generated rulesets whose rules
// overlap a lot, no packet may match a rule that never matches or that is shadowed, nor tell
// whether a redundant rule is there. The packets do tell most of the rules that nothing is found
// about.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <string>
#include <string_view>

#include "differential/subject.h"
#include "driver/findings.h"
#include "imr/evaluator.h"

namespace weir::differential {
namespace {

using driver::Finding;
using Random = std::mt19937_64;

constexpr std::array addresses = {
    "ip saddr 10.0.0.0/8",
    "ip saddr 10.1.0.0/16",
    "ip saddr 10.1.2.3",
    "ip saddr != 10.1.0.0/16",
    "ip saddr 10.0.0.0/12",
    "ip saddr 10.0.255.0-10.1.2.255",
    "ip saddr @hosts",
    "ip daddr { 10.2.0.0/16, 10.3.0.1 }",
    "ip daddr 10.2.3.0/24",
    "ip saddr 10.1.2.3 ip daddr 10.2.3.4",
    "ip6 saddr 2001:db8::/32",
    "ip6 saddr 2001:db8:1::/48",
    "ip6 saddr 2001:db8:1::1",
    "meta nfproto ipv4",
    "meta nfproto ipv6",
    "ip daddr 10.2.3.4 ip daddr 10.2.3.5",
    "ip saddr & 255.0.0.255 == 10.0.0.3",
};
constexpr std::array ports = {
    "tcp dport 22",
    "tcp dport 1-1024",
    "tcp dport { 22, 80, 443 }",
    "tcp dport != 22",
    "tcp dport > 500",
    "tcp dport < 501",
    "th dport 22",
    "udp dport 53",
    "udp dport 1-100",
    "meta l4proto tcp",
    "meta l4proto udp",
    "meta l4proto { tcp, udp }",
    "tcp flags & (syn | ack) == syn",
    "tcp dport . tcp sport { 22 . 1-1024, 80 . 53 }",
};
constexpr std::array shapes = {
    "ip frag-off & 0x1fff != 0", "ip ttl < 10", "ip ttl 5",        "ip version 4",
    "ip6 hoplimit < 10",         "icmp type 8", "icmpv6 type 128",
};
constexpr std::array facts = {
    "ct state new",
    "ct state established,related",
    "ct state != new",
    "ct state { new, established }",
    "meta mark 1",
    "meta mark & 3 == 1",
    "meta mark < 4",
    "iifname \"eth*\"",
    "iifname \"eth0\"",
    "iif != 0",
    "meta pkttype host",
    "meta mark set 1",
    "meta mark set meta mark | 1",
};

template <typename Pool>
std::string draw(const Pool& pool, Random& random) {
  return pool[random() % pool.size()];
}

std::string end_of(const std::vector<std::string>& chains, Random& random) {
  constexpr std::array plain = {" accept", " accept", " accept", " drop", " drop", " return", ""};
  const std::size_t kind = random() % 10;
  if (kind < 7 || chains.empty()) return draw(plain, random);
  const std::string chain = chains[random() % chains.size()];
  if (kind == 7) return " jump " + chain;
  if (kind == 8) return " goto " + chain;
  return " tcp dport vmap { 22 : accept, 23-500 : jump " + chain + ", 600 : drop }";
}

std::string rule(const std::vector<std::string>& chains, bool with_facts, Random& random) {
  std::string out;
  const auto add = [&](const auto& pool, unsigned one_in) {
    if (random() % one_in == 0) out += " " + draw(pool, random);
  };
  if (with_facts) add(facts, 5);
  const std::string end = end_of(chains, random);
  if (random() % 12 == 0) {
    out += " " + draw(shapes, random);
  } else {
    add(addresses, 2);
    // nft refuses two protocols in one rule.
    if (!end.contains("vmap")) add(ports, 2);
  }
  if (random() % 5 == 0) out += " counter";
  out += end;
  return out.empty() ? " accept" : out;
}

std::string script(bool with_facts, Random& random) {
  std::string out = "table inet t {\n set hosts { type ipv4_addr; elements = { 10.1.2.3 }; }\n";
  std::vector<std::string> chains;
  const auto chain = [&](const std::string& name, const std::string& head, std::size_t rules) {
    out += " chain " + name + " {\n" + head;
    for (std::size_t i = 0; i < rules; ++i) out += " " + rule(chains, with_facts, random) + "\n";
    out += " }\n";
  };
  for (std::size_t i = random() % 3; i > 0; --i) {
    const std::string name = "c" + std::to_string(i);
    chain(name, "", 1 + random() % 5);
    chains.push_back(name);
  }
  const std::string policy = random() % 2 == 0 ? "accept" : "drop";
  chain("base", "  type filter hook forward priority 0; policy " + policy + ";\n",
        2 + random() % 14);
  return out + "}\n";
}

bool meets(const imr::Unit& unit, const packet::Packet& packet) {
  if (unit.hook.kind != Hook::Kind::netfilter) return true;
  return packet.ethertype == (unit.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd);
}

imr::Unit without(const imr::Unit& unit, imr::RuleId rule) {
  imr::Unit out = unit;
  std::erase(out.ruleset[unit.ruleset[rule].chain].rules, rule);
  return out;
}

bool has_part_in(const imr::Ruleset& ruleset, const imr::Outcome& outcome, imr::RuleId rule) {
  return std::ranges::find(outcome.matched, rule) != outcome.matched.end() ||
         std::ranges::any_of(outcome.counted, [&](imr::CounterId counter) {
           return ruleset.counters[counter.index()].rule == rule;
         });
}

// Whether the packet tells that the rule is not what the finding says.
bool contradicts(Finding::Kind kind, const imr::Unit& unit, const imr::Unit& shorter,
                 imr::RuleId rule, const packet::Packet& packet) {
  const imr::Outcome with = imr::evaluate(unit, packet);
  if (kind != Finding::Kind::redundant) return has_part_in(unit.ruleset, with, rule);
  const imr::Outcome less = imr::evaluate(shorter, packet);
  return with.verdict != less.verdict || with.counted != less.counted || with.mark != less.mark;
}

struct Tally {
  std::map<Finding::Kind, std::size_t> found;
  std::size_t by = 0;
  std::size_t rules = 0;
  std::size_t told = 0;  // rules without a finding that some packet needs
};

void judge(const std::string& text, const RulesetAtHook& subject,
           const std::vector<packet::Packet>& packets, Tally& tally) {
  std::map<imr::RuleId, Finding> findings;
  for (Finding& finding : driver::find_findings(subject.ruleset, subject.attachments)) {
    ++tally.found[finding.kind];
    tally.by += finding.by ? 1 : 0;
    findings.emplace(finding.rule, std::move(finding));
  }
  std::vector<imr::Unit> units;
  for (const driver::Attachment& attachment : subject.attachments) {
    for (imr::Unit& unit : driver::units_of(subject.ruleset, attachment)) {
      units.push_back(std::move(unit));
    }
  }
  for (std::size_t i = 0; i < subject.ruleset.rules.size(); ++i) {
    const imr::RuleId rule(i);
    const auto found = findings.find(rule);
    const auto kind = found == findings.end() ? Finding::Kind::redundant : found->second.kind;
    std::vector<imr::Unit> shorter;
    for (const imr::Unit& unit : units) shorter.push_back(without(unit, rule));
    const auto told = [&](const packet::Packet& packet) {
      for (std::size_t u = 0; u < units.size(); ++u) {
        if (!meets(units[u], packet)) continue;
        if (contradicts(kind, units[u], shorter[u], rule, packet)) return true;
      }
      return false;
    };
    const auto packet = std::ranges::find_if(packets, told);
    ++tally.rules;
    if (found == findings.end()) {
      tally.told += packet == packets.end() ? 0 : 1;
      continue;
    }
    EXPECT_EQ(packet, packets.end())
        << "in\n"
        << text << "\nit is said of '" << subject.ruleset[rule].origin.text << "' (handle "
        << subject.ruleset[rule].origin.handle << ") that it is " << to_string(kind) << ": "
        << found->second.text << "\nbut not so for the packet "
        << (packet == packets.end() ? "" : to_hex(packet->bytes)) << " with mark "
        << (packet == packets.end() ? 0 : packet->mark);
  }
}

class Findings : public testing::TestWithParam<const char*> {};

TEST_P(Findings, NoPacketSaysOtherwise) {
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  const Hook hook = *parse_hook(GetParam());
  const bool with_facts = hook.kind == Hook::Kind::netfilter;
  Random random(20);
  Tally tally;
  std::size_t refused = 0;
  for (int round = 0; round < 500 && !HasFailure(); ++round) {
    const std::string text = script(with_facts, random);
    const auto subject = read_at_hook(*scratch, text, hook);
    if (!subject) {
      ++refused;
      std::cout << subject.error().text() << "\n";
      continue;
    }
    judge(text, *subject, packets_for(*subject, 300, with_facts, random), tally);
  }
  std::cout << GetParam() << ": of " << tally.rules << " rules, "
            << tally.found[Finding::Kind::never_matches] << " never match, "
            << tally.found[Finding::Kind::shadowed] << " are shadowed (" << tally.by
            << " by one rule alone), " << tally.found[Finding::Kind::redundant]
            << " redundant; packets tell " << tally.told << " of the others\n";
  EXPECT_LT(refused, 25U) << "nft refuses too many scripts";
  EXPECT_GT(tally.found[Finding::Kind::never_matches], 20U);
  EXPECT_GT(tally.found[Finding::Kind::shadowed], 20U);
  EXPECT_GT(tally.found[Finding::Kind::redundant], 20U);
  EXPECT_GT(tally.by, 10U);
  std::size_t others = tally.rules;
  for (const auto& [kind, number] : tally.found) others -= number;
  EXPECT_GT(tally.told, others / 2) << "the packets would not notice a wrong finding";
}

INSTANTIATE_TEST_SUITE_P(Hooks, Findings, testing::Values("netfilter:forward", "xdp"),
                         [](const auto& hook) {
                           return std::string(hook.param) == "xdp" ? "xdp" : "netfilter";
                         });

}  // namespace
}  // namespace weir::differential
