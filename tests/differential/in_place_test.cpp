// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that come, go and are replaced by stores into the maps of a program: at every moment a
// packet is judged as the evaluator judges it by the rules before the change or by those behind it,
// and counted where they count.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/rule_sets.h"
#include "bench/traces.h"
#include "differential/list_text.h"
#include "driver/compile.h"
#include "driver/in_place.h"
#include "driver/runner.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "imr/parse.h"

namespace weir::differential {
namespace {

constexpr std::size_t at_first = 400;  // rules
constexpr std::size_t spare = 60;      // that may come

packet::Packet packet_of(const bench::FiveTuple& one) {
  packet::Packet out{.bytes = bench::to_packet(one), .network_offset = 14};
  out.bytes.insert(out.bytes.begin(), {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0});
  out.ethertype = 0x0800;
  return out;
}

class Policy {
 public:
  explicit Policy(std::uint64_t seed) : random_(seed) {
    const auto kind = static_cast<bench::ListKind>(seed % 4);
    const auto list = bench::make_list(kind, at_first + spare, seed);
    // Those that may come are like any others; they wait in a chain that nothing leads to.
    std::string text = "table ip t\nchain ip t c hook prerouting priority 0 policy accept\n";
    std::string others = "chain ip t others\n";
    for (std::size_t i = 0; i < list.size(); ++i) {
      const bool waits = i % ((at_first + spare) / spare) == 1;
      (waits ? others : text) += imr_of(list[i], i);
    }
    auto parsed = imr::parse_ruleset(text + others, "list");
    if (!parsed) throw std::runtime_error(parsed.error().text());
    ruleset_ = std::move(*parsed);
    for (std::size_t i = 0; i < ruleset_.chains.size(); ++i) {
      (ruleset_.chains[i].name == "c" ? chain_ : others_) = imr::ChainId(i);
    }
    for (const bench::FiveTuple& one : bench::make_trace(list, 400, seed)) {
      packets_.push_back(packet_of(one));
    }
  }

  const imr::Ruleset& ruleset() const { return ruleset_; }

  // Some rule of the chain goes, or one of the others comes, or both; or its like takes its place.
  imr::RuleEdit edit() {
    imr::RuleEdit out{.chain = chain_, .removed = {}, .added = {}};
    std::vector<imr::RuleId>& rules = ruleset_[chain_].rules;
    std::vector<imr::RuleId>& others = ruleset_[others_].rules;
    const std::size_t what = random_() % 4;
    std::size_t at = random_() % (rules.size() + 1);
    if (at < 3) at = 0;
    if (what > 0 || others.empty()) {
      at = std::min(at, rules.size() - 1);
      out.removed = rules[at];
      rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (what == 3) {
      // By one that tests the same: both are in one place of the tables for a while.
      const imr::Ruleset& now = ruleset_;
      out.added = imr::RuleId(now.rules.size());
      ruleset_.rules.push_back(now[*out.removed]);
      rules.insert(rules.begin() + static_cast<std::ptrdiff_t>(at), *out.added);
    } else if (what < 2 && !others.empty()) {
      out.added = others.back();
      others.pop_back();
      rules.insert(rules.begin() + static_cast<std::ptrdiff_t>(at), *out.added);
      ruleset_[*out.added].chain = chain_;
    }
    return out;
  }

  const std::vector<packet::Packet>& packets() const { return packets_; }
  std::mt19937_64& random() { return random_; }

 private:
  std::mt19937_64 random_;
  imr::Ruleset ruleset_;
  imr::ChainId chain_;
  imr::ChainId others_;
  std::vector<packet::Packet> packets_;
};

// What the program in the engine counts, and whether it accepts, beside what the evaluator does.
class Pair {
 public:
  Pair(const driver::Compilation& compilation, engine::Engine& engine)
      : compilation_(compilation), engine_(engine) {}

  void judge_alike(const imr::Ruleset& ruleset, const std::vector<packet::Packet>& packets,
                   std::size_t first, std::size_t step) {
    auto evaluator = driver::Runner::create(driver::EngineKind::evaluator, ruleset, compilation_);
    ASSERT_TRUE(evaluator) << evaluator.error().text();
    const std::vector<std::uint64_t> before = counts();
    for (std::size_t i = first; i < packets.size(); i += step) {
      const auto wanted = evaluator->run(packets[i]);
      ASSERT_TRUE(wanted) << wanted.error().text();
      const bool accepted = wanted->verdict == imr::Outcome::Verdict::accept;
      engine::Input input;
      input.bytes = packets[i].bytes;
      constexpr std::uint64_t pass = 2;  // XDP_PASS
      ASSERT_EQ(engine_.run(0, input) == pass, accepted)
          << "packet " << to_hex(packets[i].bytes) << ", decided by rule "
          << (wanted->decided_by ? std::to_string(wanted->decided_by->index()) : "none");
    }
    const std::vector<std::uint64_t> after = counts();
    const auto wanted = evaluator->counters();
    ASSERT_TRUE(wanted) << wanted.error().text();
    for (std::size_t i = 0; i < wanted->size(); ++i) {
      ASSERT_EQ(after[i] - before[i], (*wanted)[i].packets) << "counter " << i;
    }
  }

  void store(const std::vector<driver::MapStore>& stores) {
    for (const driver::MapStore& one : stores) {
      const std::span<std::uint8_t> value = engine_.map(one.map).block();
      ASSERT_EQ(one.offset % one.size, 0U);
      ASSERT_LE(one.offset + one.size, value.size());
      const Bytes bytes = native_bytes(one.value, one.size);
      std::ranges::copy(bytes, value.begin() + static_cast<std::ptrdiff_t>(one.offset));
    }
  }

 private:
  std::vector<std::uint64_t> counts() {
    const std::span<std::uint8_t> value = engine_.map(compilation_.counters).block();
    std::vector<std::uint64_t> out(value.size() / 16);
    for (std::size_t i = 0; i < out.size(); ++i) std::memcpy(&out[i], &value[16 * i], 8);
    return out;
  }

  const driver::Compilation& compilation_;
  engine::Engine& engine_;
};

class InPlace : public testing::TestWithParam<std::uint64_t> {};

TEST_P(InPlace, JudgesByTheOldRulesOrByTheNewOnes) {
  Policy policy(GetParam());
  auto attachments = driver::plan(policy.ruleset(), *parse_hook("xdp"), {});
  ASSERT_TRUE(attachments) << attachments.error().text();
  driver::Options options;
  options.updatable_rules = true;
  options.classifier = classify::Kind::tuples;
  const imr::Ruleset first = policy.ruleset();
  auto compilation = driver::compile(first, *attachments, options);
  ASSERT_TRUE(compilation) << compilation.error().text();
  ASSERT_EQ(compilation->runs.size(), 1U);
  auto engine = engine::Engine::load(compilation->object);
  ASSERT_TRUE(engine) << engine.error().text();
  driver::InPlace in_place(*compilation);
  Pair pair(*compilation, *engine);
  std::size_t changed = 0;
  for (std::size_t step = 0; step < 50; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const imr::Ruleset before = policy.ruleset();
    const imr::RuleEdit edit = policy.edit();
    const auto change = in_place.change(policy.ruleset(), edit);
    if (!change) break;
    ++changed;
    pair.store(change->before);
    pair.judge_alike(before, policy.packets(), step % 7, 7);
    if (HasFatalFailure()) return;
    pair.store({change->turn});
    pair.judge_alike(policy.ruleset(), policy.packets(), step % 5, 5);
    if (HasFatalFailure()) return;
    pair.store(change->after);
    pair.judge_alike(policy.ruleset(), policy.packets(), step % 6, 6);
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(changed, 25U) << "changes that were made in place";
}

// Rules in text, searched in tables whether that is faster or not.
class InPlaceTables : public testing::Test {
 protected:
  void install(const std::string& text) {
    auto parsed = imr::parse_ruleset(text, "list");
    ASSERT_TRUE(parsed) << parsed.error().text();
    first_ = ruleset_ = std::move(*parsed);
    const auto attachments = driver::plan(first_, *parse_hook("xdp"), {});
    ASSERT_TRUE(attachments) << attachments.error().text();
    driver::Options options;
    options.updatable_rules = true;
    options.all_runs = true;
    options.classifier = classify::Kind::tuples;
    auto compilation = driver::compile(first_, *attachments, options);
    ASSERT_TRUE(compilation) << compilation.error().text();
    compilation_.emplace(std::move(*compilation));
    ASSERT_EQ(compilation_->runs.size(), 1U);
    auto engine = engine::Engine::load(compilation_->object);
    ASSERT_TRUE(engine) << engine.error().text();
    engine_.emplace(std::move(*engine));
    in_place_.emplace(*compilation_);
    pair_.emplace(*compilation_, *engine_);
  }

  imr::Ruleset ruleset_;  // as it is now
  imr::Ruleset first_;    // that was compiled
  std::optional<driver::Compilation> compilation_;
  std::optional<engine::Engine> engine_;
  std::optional<driver::InPlace> in_place_;
  std::optional<Pair> pair_;
};

// Ranges of ports that are no prefixes, which tables are told by their first bits alone.
TEST_F(InPlaceTables, LetRangesOfPortsGoFromWhereTheyStand) {
  std::string text = "table ip t\nchain ip t c hook prerouting priority 0 policy accept\n";
  std::vector<packet::Packet> packets;
  for (std::uint16_t i = 0; i < 100; ++i) {
    const auto first = static_cast<std::uint16_t>(1001 + 613 * i);
    text += imr_of(
        {.destination_port = {first, static_cast<std::uint16_t>(first + 6)}, .protocol = 6}, 3);
    const bench::FiveTuple inside{.source = 1,
                                  .destination = 2,
                                  .source_port = 3,
                                  .destination_port = static_cast<std::uint16_t>(first + 3),
                                  .protocol = 6};
    packets.push_back(packet_of(inside));
  }
  install(text);
  if (HasFatalFailure()) return;
  const imr::ChainId chain(0);
  while (ruleset_.chains.front().rules.size() > 1) {
    std::vector<imr::RuleId>& rules = ruleset_[chain].rules;
    const imr::RuleEdit edit{.chain = chain, .removed = rules.front(), .added = {}};
    rules.erase(rules.begin());
    const auto change = in_place_->change(ruleset_, edit);
    ASSERT_TRUE(change) << "rule " << edit.removed->value << " does not go in place";
    pair_->store(change->before);
    pair_->store({change->turn});
    pair_->store(change->after);
    pair_->judge_alike(ruleset_, packets, 0, 1);
    if (HasFatalFailure()) return;
  }
}

// A key tells whether a set has a value where rules ask for that; where none does, a rule that asks
// for it takes a key that does.
TEST_F(InPlaceTables, TakeRulesThatAskForSetsWhereOthersDo) {
  std::string text =
      "table ip t\n"
      "set ip t hosts x 4 { 0x00000001, 0x00000003 }\n"
      "set ip t others x 4 { 0x00000002 }\n"
      "chain ip t c hook prerouting priority 0 policy accept\n";
  std::vector<packet::Packet> packets;
  for (std::uint16_t i = 0; i < 60; ++i) {
    const std::string asked = i % 2 == 0 ? " in @hosts" : " not in @hosts";
    text += "  rule match payload network 12 4" + (i % 3 == 0 ? asked : " == 0x00000002") +
            " match meta l4proto == 0x06 match payload transport 2 2 == " +
            to_hex(big_endian_bytes(i, 2)) + " counter drop\n";
    for (const std::uint32_t source : {1, 2, 3, 4}) {
      packets.push_back(packet_of({.source = source,
                                   .destination = 2,
                                   .source_port = 3,
                                   .destination_port = i,
                                   .protocol = 6}));
    }
  }
  text +=
      "chain ip t waiting\n"
      "  rule match payload network 12 4 in @hosts counter drop\n"
      "  rule match payload network 12 4 in @others counter drop\n";
  install(text);
  if (HasFatalFailure()) return;
  pair_->judge_alike(ruleset_, packets, 0, 1);
  const imr::ChainId chain(0);
  const auto comes = [&](std::size_t number) {
    const imr::RuleId rule = std::as_const(ruleset_)[imr::ChainId(1)].rules.at(number);
    ruleset_[rule].chain = chain;
    std::vector<imr::RuleId>& rules = ruleset_[chain].rules;
    rules.insert(rules.begin() + 30, rule);
    return in_place_->change(ruleset_, {.chain = chain, .removed = {}, .added = rule});
  };
  const auto change = comes(0);
  ASSERT_TRUE(change) << "the rule does not come in place";
  pair_->store(change->before);
  pair_->store({change->turn});
  pair_->judge_alike(ruleset_, packets, 0, 1);
  EXPECT_FALSE(comes(1)) << "no field of the key tells what the rule asks for";
}

INSTANTIATE_TEST_SUITE_P(Lists, InPlace, testing::Range<std::uint64_t>(0, 24));

}  // namespace
}  // namespace weir::differential
