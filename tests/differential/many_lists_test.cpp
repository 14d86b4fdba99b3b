// SPDX-License-Identifier: BSD-2-Clause
//
// Two hundred generated lists of 100 to 20,000 rules, each searched by another structure, on
// packets from the inside of the rules and directed at their edges: evaluator, interpreter and the
// kernel's test run agree on verdicts, counters and the rules that matched. The lists are written
// as IMR: nft would take most of the time to load them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bench/rule_sets.h"
#include "bench/traces.h"
#include "classify/structure.h"
#include "differential/judge.h"
#include "differential/list_text.h"
#include "differential/subject.h"
#include "imr/parse.h"
#include "imr/verify.h"

namespace weir::differential {
namespace {

constexpr std::size_t lists = 200;
constexpr std::size_t shards = 4;

class ManyLists : public testing::TestWithParam<std::size_t> {};

TEST_P(ManyLists, MeanTheSameHoweverTheyAreSearched) {
  std::size_t searched = 0;
  for (std::size_t i = GetParam(); i < lists; i += shards) {
    std::mt19937_64 random(i);
    const auto kind = static_cast<bench::ListKind>(i % 4);
    // Of all magnitudes alike.
    const double share = static_cast<double>(random() % 1000) / 1000;
    const auto size = static_cast<std::size_t>(100 * std::pow(200, share));
    const auto list = bench::make_list(kind, size, i);
    std::string text = "table ip t\nchain ip t c hook prerouting priority 0 policy " +
                       std::string(random() % 2 == 0 ? "accept\n" : "drop\n");
    for (std::size_t rule = 0; rule < list.size(); ++rule) {
      text += imr_of(list[rule], rule, i % 9 == 4);
    }
    auto ruleset = imr::parse_ruleset(text, "list");
    ASSERT_TRUE(ruleset) << ruleset.error().text();
    imr::verify(*ruleset);
    const Hook hook = *parse_hook(random() % 2 == 0 ? "netfilter:prerouting" : "xdp");
    auto attachments = driver::plan(*ruleset, hook, {});
    ASSERT_TRUE(attachments) << attachments.error().text();
    const RulesetAtHook subject{std::move(*ruleset), hook, std::move(*attachments)};

    std::vector<packet::Packet> packets = packets_for(subject, 40, false, random);
    const packet::Packet like = packets.front();
    for (const bench::FiveTuple& one : bench::make_trace(list, 80, i)) {
      packet::Packet packet = like;
      packet.bytes = bench::to_packet(one);
      packet.ethertype = 0x0800;
      packet.network_offset = 0;
      if (hook.kind == Hook::Kind::xdp) {
        packet.bytes.insert(packet.bytes.begin(), {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0});
        packet.network_offset = 14;
      }
      packets.push_back(std::move(packet));
    }
    JudgeOptions options;
    options.kernel = ::geteuid() == 0;
    options.compiler.trace = i % 3 == 0;
    options.compiler.updatable_rules = i % 2 == 0;  // which only makes room for other rules
    if (i / shards % 4 != 0) options.compiler.classifier = classify::all_kinds[i / shards % 4 - 1];
    const auto compiled = driver::compile(subject.ruleset, subject.attachments, options.compiler);
    ASSERT_TRUE(compiled || options.compiler.classifier) << compiled.error().text();
    // Where the structure that is asked for would be too large, most of the list is left as it is,
    // which may then be too long.
    constexpr std::size_t most_instructions = 200'000;
    const bool searches =
        compiled && !compiled->runs.empty() &&
        std::ranges::all_of(compiled->object.programs, [](const isa::Program& program) {
          return program.insns.size() < most_instructions;
        });
    if (!searches) options.compiler.classifier = std::nullopt;
    searched += searches ? 1 : 0;
    Tally tally;
    const auto mismatch = judge(subject, packets, options, tally);
    ASSERT_FALSE(mismatch) << "list " << i << ", " << bench::to_string(kind) << " of " << size
                           << ": " << mismatch->what;
    EXPECT_GT(tally.matched, 0U) << "list " << i;
  }
  EXPECT_GT(searched, lists / shards / 2);
}

// Rows that fill a table up to a power of two were taken for a class, in which no rule was.
TEST(BitVectors, KnowTheHighestNumber) {
  auto ruleset = imr::parse_ruleset(
      "table ip6 t\nchain ip6 t c hook input priority 0 policy drop\n"
      "  rule match payload network 24 16 in [0x20010db8000000000000000000000000,"
      " 0x20010db800000000ffffffffffffffff] counter accept\n"
      "  rule match payload network 24 16 == 0x20010db8000000000000000000000001 drop\n"
      "  rule match payload network 24 16 == 0x20010db8000000000000000000000003 drop\n",
      "list");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  const Hook hook = *parse_hook("netfilter:input");
  auto attachments = driver::plan(*ruleset, hook, {});
  ASSERT_TRUE(attachments) << attachments.error().text();
  const RulesetAtHook subject{std::move(*ruleset), hook, std::move(*attachments)};
  std::mt19937_64 random(1);
  std::vector<packet::Packet> packets = packets_for(subject, 1, false, random);
  packets.front().bytes.assign(40, 0);
  packets.front().bytes[0] = 0x60;
  packets.front().ethertype = 0x86dd;
  const Bytes highest = {0x20, 0x01, 0x0d, 0xb8, 0,   0,   0,   0,
                         255,  255,  255,  255,  255, 255, 255, 255};
  std::ranges::copy(highest, packets.front().bytes.begin() + 24);
  JudgeOptions options;
  options.kernel = false;
  options.compiler.all_runs = true;
  options.compiler.classifier = classify::Kind::bit_vectors;
  Tally tally;
  const auto mismatch = judge(subject, packets, options, tally);
  ASSERT_FALSE(mismatch) << mismatch->what;
  EXPECT_EQ(tally.matched, 1U);
}

INSTANTIATE_TEST_SUITE_P(Shards, ManyLists, testing::Range(std::size_t{0}, shards));

}  // namespace
}  // namespace weir::differential
