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

#include "bench/rule_sets.h"
#include "bench/traces.h"
#include "differential/judge.h"
#include "differential/subject.h"

namespace weir::differential {
namespace {

struct Case {
  bench::ListKind kind;
  std::size_t rules;
  const char* hook;
};

// Every third rule has a counter.
std::string script_of(const std::vector<bench::ListRule>& list) {
  std::string out =
      "table inet t {\n  chain base {\n    type filter hook forward priority 0; policy drop;\n";
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string rule = bench::to_nft(list[i]);
    const std::size_t verdict = rule.rfind(' ');
    if (i % 3 == 0 && verdict != std::string::npos) rule.insert(verdict, " counter");
    out += "    " + rule + "\n";
  }
  return out + "  }\n}\n";
}

class LongLists : public testing::TestWithParam<Case> {};

TEST_P(LongLists, MeanWhatTheirRulesDo) {
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  const auto list = bench::make_list(GetParam().kind, GetParam().rules, 4);
  const auto subject = read_at_hook(*scratch, script_of(list), *parse_hook(GetParam().hook));
  ASSERT_TRUE(subject) << subject.error().text();
  std::mt19937_64 random(7);
  std::vector<packet::Packet> packets = packets_for(*subject, 100, false, random);
  const std::size_t directed = packets.size();
  const packet::Packet& like = packets.front();
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
  ASSERT_GT(directed, 0U);
  for (const bool trace : {false, true}) {
    JudgeOptions options;
    options.compiler.trace = trace;
    options.kernel = ::geteuid() == 0;
    Tally tally;
    const auto mismatch = judge(*subject, packets, options, tally);
    ASSERT_FALSE(mismatch) << (trace ? "traced: " : "") << mismatch->what;
    EXPECT_GT(tally.matched, packets.size() / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LongLists,
                         testing::Values(Case{bench::ListKind::acl, 1000, "netfilter:forward"},
                                         Case{bench::ListKind::fw, 1000, "netfilter:forward"},
                                         Case{bench::ListKind::ipc, 1000, "netfilter:forward"},
                                         Case{bench::ListKind::acl, 3000, "xdp"},
                                         Case{bench::ListKind::fw, 3000, "tc:ingress"},
                                         Case{bench::ListKind::ipc, 3000, "cgroup:egress"},
                                         Case{bench::ListKind::linear, 500, "xdp"},
                                         Case{bench::ListKind::fw, 10000, "netfilter:forward"}),
                         [](const auto& one) {
                           std::string hook = one.param.hook;
                           std::ranges::replace(hook, ':', '_');
                           return std::string(bench::to_string(one.param.kind)) +
                                  std::to_string(one.param.rules) + "_" + hook;
                         });

}  // namespace
}  // namespace weir::differential
