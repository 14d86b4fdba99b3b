// SPDX-License-Identifier: BSD-2-Clause
//
// A list of 100,000 rules, from its text to the kernel: interpreter and kernel decide and count as
// a walk from rule to rule does, which knows nothing of nftables.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "bench/rule_sets.h"
#include "bench/traces.h"
#include "differential/judge.h"
#include "differential/subject.h"
#include "driver/runner.h"

namespace weir::differential {
namespace {

constexpr std::size_t rules = 100'000;
constexpr std::size_t map_bytes = 64U << 20U;  // that its maps may take

// Every third rule has a counter; it is the counter number i / 3.
std::string script_of(const std::vector<bench::ListRule>& list) {
  std::string out =
      "table ip t {\n  chain base {\n    type filter hook forward priority 0; policy drop;\n";
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string rule = bench::to_nft(list[i]);
    if (i % 3 == 0) rule.insert(rule.rfind(' '), " counter");
    out += "    " + rule + "\n";
  }
  return out + "  }\n}\n";
}

TEST(LongestList, MeansWhatItsRulesDo) {
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  const auto list = bench::make_list(bench::ListKind::acl, rules, 4);
  const auto subject = read_at_hook(*scratch, script_of(list), *parse_hook("netfilter:forward"));
  ASSERT_TRUE(subject) << subject.error().text();
  ASSERT_EQ(subject->ruleset.rules.size(), rules);
  const auto compilation = driver::compile(subject->ruleset, subject->attachments);
  ASSERT_TRUE(compilation) << compilation.error().text();
  std::size_t bytes = 0;
  for (const isa::MapSpec& map : compilation->object.maps) {
    bytes += std::size_t{map.max_entries} * (map.key_size + map.value_size);
  }
  EXPECT_LT(bytes, map_bytes);

  const auto trace = bench::make_trace(list, 3000, 9);
  std::vector<std::optional<std::size_t>> wanted;
  std::vector<driver::CounterTotal> totals(subject->ruleset.counters.size());
  for (const bench::FiveTuple& one : trace) {
    wanted.push_back(bench::first_match(list, one));
    if (!wanted.back() || *wanted.back() % 3 != 0) continue;
    driver::CounterTotal& total = totals.at(*wanted.back() / 3);
    ++total.packets;
    total.bytes += bench::to_packet(one).size();
  }
  for (const auto engine : {driver::EngineKind::interpreter, driver::EngineKind::kernel}) {
    if (engine == driver::EngineKind::kernel && ::geteuid() != 0) continue;
    auto runner = driver::Runner::create(engine, subject->ruleset, *compilation);
    ASSERT_TRUE(runner) << runner.error().text();
    for (std::size_t i = 0; i < trace.size(); ++i) {
      packet::Packet packet{.bytes = bench::to_packet(trace[i]), .network_offset = 0};
      packet.ethertype = 0x0800;
      const auto outcome = runner->run(packet);
      ASSERT_TRUE(outcome) << outcome.error().text();
      const bool accepted = wanted[i] && list[*wanted[i]].accept;
      EXPECT_EQ(outcome->verdict == imr::Outcome::Verdict::accept, accepted)
          << driver::to_string(engine) << ", packet " << i << ", "
          << (wanted[i] ? bench::to_nft(list[*wanted[i]]) : "no rule");
    }
    const auto counted = runner->counters();
    ASSERT_TRUE(counted) << counted.error().text();
    EXPECT_TRUE(*counted == totals) << driver::to_string(engine) << " counts other packets";
  }
}

}  // namespace
}  // namespace weir::differential
