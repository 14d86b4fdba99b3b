// SPDX-License-Identifier: BSD-2-Clause
//
// Long lists of rules, as they are generated to be measured: evaluator, interpreter and the kernel
// agree on packets from the inside of the rules, on packets directed at their edges, and on which
// rule decides and counts.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bench/rule_sets.h"
#include "bench/traces.h"
#include "differential/judge.h"
#include "differential/subject.h"

namespace weir::differential {
namespace {

// What becomes of the rules of a list.
enum class Shape : std::uint8_t {
  flat,      // every third one counts
  accounts,  // two of three count and go on
  tree,      // each leads to a chain of its own, through chains by protocol
  marks,     // three of four count, mark the packet and go on
  sets,      // four of five look into sets of hosts, of ports, of both
  tails,     // two of three log, limit, or look at what packets change
};

struct Case {
  bench::ListKind kind;
  std::size_t rules;
  const char* hook;
  Shape shape = Shape::flat;
};

std::string_view to_string(Shape shape) {
  switch (shape) {
    case Shape::flat:
      return "flat";
    case Shape::accounts:
      return "accounts";
    case Shape::tree:
      return "tree";
    case Shape::marks:
      return "marks";
    case Shape::sets:
      return "sets";
    case Shape::tails:
      return "tails";
  }
  throw InvariantError("shape out of range");
}

std::string chain(const std::string& name, const std::string& rules) {
  return "  chain " + name + " {\n" + rules + "  }\n";
}

constexpr const char* base_chain = "    type filter hook forward priority 0; policy drop;\n";

std::string tree_of(const std::vector<bench::ListRule>& list) {
  std::string chains;
  std::string jumps;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string tests_and_verdict = bench::to_nft(list[i]);
    const std::size_t verdict = tests_and_verdict.rfind(' ');
    const std::string tests =
        verdict == std::string::npos ? "" : tests_and_verdict.substr(0, verdict);
    const std::string name = "c" + std::to_string(i);
    std::string rules = "    ip ttl < 64 counter return\n    tcp dport { 22, 80-443 } counter\n";
    if (i % 2 == 0) rules += "    ip length 0-100 " + std::string(i % 4 ? "drop" : "accept") + "\n";
    chains += chain(name, rules);
    jumps += "    " + tests + (i % 5 ? " counter jump " : " goto ") + name + "\n";
  }
  return chains + chain("tcps", jumps) +
         chain("base", std::string(base_chain) +
                           "    ip protocol vmap { tcp : jump tcps, 2-5 : accept }\n"
                           "    counter accept\n");
}

std::string in_words(const bench::Ipv4Prefix& prefix) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += (out.empty() ? "" : ".") + std::to_string(prefix.address >> shift & 0xffU);
  }
  return prefix.length == 32 ? out : out + "/" + std::to_string(prefix.length);
}

// What packets of many of the rules have is in them.
std::string sets_of(const std::vector<bench::ListRule>& list) {
  std::string hosts;
  std::string ports = "22, 80, 443";
  std::string services;
  for (std::size_t i = 0; i < list.size(); i += 3) {
    if (list[i].destination.length != 0) {
      hosts += (hosts.empty() ? "" : ", ") + in_words(list[i].destination);
    }
    const std::uint16_t port = list[i].destination_port.first;
    if (i % 4 == 0) ports += ", " + std::to_string(port);
    if (list[i].source.length != 32) continue;
    services +=
        (services.empty() ? "" : ", ") + in_words(list[i].source) + " . " + std::to_string(port);
  }
  return "  set hosts { type ipv4_addr; flags interval; auto-merge; elements = { " + hosts +
         " }; }\n  set ports { type inet_service; elements = { " + ports +
         " }; }\n  set services { type ipv4_addr . inet_service; elements = { " + services +
         " }; }\n";
}

std::string membership(std::size_t rule) {
  switch (rule % 5) {
    case 0:
      return "ip daddr @hosts ";
    case 1:
      return "ip daddr != @hosts ";
    case 2:
      return "tcp dport " + std::string(rule % 2 == 0 ? "" : "!= ") + "@ports ";
    case 3:
      return "ip saddr . tcp dport " + std::string(rule % 2 == 0 ? "" : "!= ") + "@services ";
    default:
      return "";
  }
}

// Limits that fill too slowly for a test to see.
std::string tail(std::size_t rule) {
  const std::string number = std::to_string(rule);
  switch (rule % 9) {
    case 1:
      return " log prefix \"rule " + number + "\"";
    case 2:
      return " limit rate 3/week burst 2 packets counter";
    case 3:
      return " counter quota over 150 bytes";
    case 4:
      return " counter limit rate over 2/week burst 1 packets log group 3 snaplen 20";
    case 5:
      return " update @seen { ip saddr timeout 1d } counter";
    case 6:
      return " ip daddr @seen log prefix \"seen\" log prefix \"again\" group 1";
    case 7:
      return " limit rate 3/week burst 1 packets limit rate " + std::to_string(rule % 3 + 1) +
             "/week burst 5 packets";
    case 8:
      return " limit name \"shared\" counter counter name \"those\"";
    default:
      return "";
  }
}
const std::string state_of_tails =
    "  set seen { type ipv4_addr; size 65536; flags dynamic,timeout; }\n"
    "  limit shared { rate 40/week burst 20 packets }\n"
    "  counter those { }\n";

std::string script_of(const std::vector<bench::ListRule>& list, Shape shape) {
  if (shape == Shape::tree) return "table inet t {\n" + tree_of(list) + "}\n";
  std::string rules = base_chain;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string rule = bench::to_nft(list[i]);
    if (shape == Shape::sets && list[i].protocol.value_or(6) == 6) rule = membership(i) + rule;
    const std::size_t verdict = rule.rfind(' ');
    if (verdict != std::string::npos) {
      if (shape == Shape::accounts && i % 3 != 0) {
        rule.replace(verdict, std::string::npos, " counter");
      } else if (shape == Shape::marks && i % 4 != 0) {
        rule.replace(verdict, std::string::npos, " counter meta mark set " + std::to_string(i));
      } else if (shape == Shape::tails && i % 10 == 0) {
        rule.replace(verdict, std::string::npos, tail(i));
      } else if (shape == Shape::tails) {
        rule.insert(verdict, tail(i));
      } else if (i % 3 == 0) {
        rule.insert(verdict, " counter");
      }
    }
    rules += "    " + rule + "\n";
  }
  const std::string sets = shape == Shape::sets    ? sets_of(list)
                           : shape == Shape::tails ? state_of_tails
                                                   : "";
  return "table inet t {\n" + sets + chain("base", rules) + "}\n";
}

bool is_searched(const RulesetAtHook& subject, const driver::Options& options) {
  const auto compiled = driver::compile(subject.ruleset, subject.attachments, options);
  if (!compiled) return false;
  const SharedList<imr::Rule>& rules = compiled->programs.front().optimized.front().ruleset.rules;
  return std::ranges::any_of(rules, [](const imr::Rule& rule) { return rule.run != 0; });
}

class LongLists : public testing::TestWithParam<Case> {};

TEST_P(LongLists, MeanWhatTheirRulesDo) {
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  const auto list = bench::make_list(GetParam().kind, GetParam().rules, 4);
  const auto subject =
      read_at_hook(*scratch, script_of(list, GetParam().shape), *parse_hook(GetParam().hook));
  ASSERT_TRUE(subject) << subject.error().text();
  std::mt19937_64 random(7);
  std::vector<packet::Packet> packets = packets_for(*subject, 100, false, random);
  ASSERT_FALSE(packets.empty());
  const packet::Packet like = packets.front();
  const bool frames = like.network_offset != 0;
  for (const bench::FiveTuple& one : bench::make_trace(list, 300, 9)) {
    const Bytes bytes = bench::to_packet(one);
    packet::Packet packet{.bytes = bytes, .network_offset = 0, .ethertype = 0x0800};
    if (frames) {
      packet.bytes.insert(packet.bytes.begin(), {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0});
      packet.network_offset = 14;
    }
    packet.in = like.in;
    packet.out = like.out;
    packets.push_back(std::move(packet));
  }
  std::vector<std::optional<classify::Kind>> classifiers = {std::nullopt};
  classifiers.insert(classifiers.end(), classify::all_kinds.begin(), classify::all_kinds.end());
  for (const auto& classifier : classifiers) {
    JudgeOptions options;
    options.compiler.classifier = classifier;
    options.kernel = ::geteuid() == 0;
    if (!is_searched(*subject, options.compiler)) {
      ASSERT_TRUE(classifier) << "the rules are tried one by one";
      continue;  // the structure that is asked for would be too large
    }
    options.compiler.trace = !classifier || GetParam().shape != Shape::flat;
    const std::string name(classifier ? to_string(*classifier) : "the fastest");
    Tally tally;
    const auto mismatch = judge(*subject, packets, options, tally);
    ASSERT_FALSE(mismatch) << name << ": " << mismatch->what;
    // Many tails let few through.
    const std::size_t share = GetParam().shape == Shape::tails ? 3 : 2;
    EXPECT_GT(tally.matched, packets.size() / share) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, LongLists,
    testing::Values(Case{bench::ListKind::acl, 1000, "netfilter:forward"},
                    Case{bench::ListKind::fw, 1000, "netfilter:forward"},
                    Case{bench::ListKind::ipc, 1000, "netfilter:forward"},
                    Case{bench::ListKind::acl, 3000, "xdp"},
                    Case{bench::ListKind::fw, 3000, "tc:ingress"},
                    Case{bench::ListKind::ipc, 3000, "cgroup:egress"},
                    Case{bench::ListKind::linear, 500, "xdp"},
                    Case{bench::ListKind::acl, 1000, "xdp", Shape::accounts},
                    Case{bench::ListKind::linear, 2000, "tc:ingress", Shape::accounts},
                    Case{bench::ListKind::acl, 1000, "tc:ingress", Shape::marks},
                    Case{bench::ListKind::fw, 1000, "tc:egress", Shape::marks},
                    Case{bench::ListKind::acl, 600, "netfilter:forward", Shape::sets},
                    Case{bench::ListKind::ipc, 1000, "xdp", Shape::sets},
                    Case{bench::ListKind::acl, 500, "netfilter:forward", Shape::tails},
                    Case{bench::ListKind::fw, 300, "tc:ingress", Shape::tails},
                    Case{bench::ListKind::ipc, 1000, "xdp", Shape::tails},
                    Case{bench::ListKind::acl, 1200, "netfilter:forward", Shape::tree},
                    Case{bench::ListKind::ipc, 1000, "xdp", Shape::tree},
                    Case{bench::ListKind::fw, 10000, "netfilter:forward"}),
    [](const auto& one) {
      std::string hook = one.param.hook;
      std::ranges::replace(hook, ':', '_');
      return std::string(bench::to_string(one.param.kind)) + std::to_string(one.param.rules) + "_" +
             hook + "_" + std::string(to_string(one.param.shape));
    });

}  // namespace
}  // namespace weir::differential
