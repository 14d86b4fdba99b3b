// SPDX-License-Identifier: BSD-2-Clause
//
// The whole rulesets of tests/rulesets: evaluator, engine and kernel agree on each base chain at
// each hook that it can run at, and tests/rulesets/hooks.md says what stays with the kernel there.
// With WEIR_UPDATE_GOLDEN=1 in the environment that page is written anew.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "differential/explore.h"
#include "differential/judge.h"
#include "differential/rulesets.h"
#include "driver/runner.h"
#include "imr/imr.h"
#include "kernel/kernel.h"

namespace weir::differential {
namespace {

constexpr const char* page = WEIR_SOURCE_DIR "/tests/rulesets/hooks.md";
constexpr std::array columns = {"netfilter",      "xdp",           "tc:ingress", "tc:egress",
                                "cgroup:ingress", "cgroup:egress", "socket"};

// Packets for each chain at each hook.
constexpr std::size_t for_the_engine = 1000;
constexpr std::size_t for_test_runs = 600;

frontend::nft::ScratchNamespace scratch_namespace() {
  auto scratch = frontend::nft::ScratchNamespace::create();
  EXPECT_TRUE(scratch) << scratch.error().text();
  return std::move(*scratch);
}

// What the chains of the attachments can reach.
std::set<std::size_t> rules_of(const ChainAtHook& place) {
  std::set<std::size_t> out;
  const imr::Ruleset& ruleset = place.subject.ruleset;
  for (const imr::ChainId chain :
       imr::reachable_chains(ruleset, place.subject.attachments.front().roots.front())) {
    for (const imr::RuleId rule : ruleset[chain].rules) out.insert(rule.index());
  }
  return out;
}

// Of a chain that stays native as a whole (NAT), nothing is left to judge.
bool is_judged(const ChainAtHook& place) {
  return place.compiled != nullptr && place.stay_native.size() < place.rules;
}

class Rulesets : public testing::TestWithParam<WholeRuleset> {
 protected:
  // Rules of a chain, and which of them packets met.
  struct Met {
    std::set<std::size_t> rules;
    std::set<std::size_t> met;
  };

  void judge_place(const ChainAtHook& place, std::size_t count, PacketFacts facts, bool in_kernel) {
    SCOPED_TRACE(place.chain + " at " + to_string(place.hook));
    std::mt19937_64 random(count);
    auto explored = explore(place.subject, *place.compiled, count, facts, random);
    ASSERT_TRUE(explored) << explored.error().text();
    JudgeOptions options{.compiler = {}, .interpreter = true, .kernel = in_kernel};
    // As weir apply compiles them, or with a trace of the rules that match.
    options.compiler.updatable_sets = options.compiler.updatable_rules = in_kernel;
    options.compiler.trace = !in_kernel;
    const auto mismatch = judge(place.subject, explored->packets, options, tally_);
    std::string about;
    if (mismatch && mismatch->packet) {
      about = "\n" + to_hex(explored->packets[*mismatch->packet].bytes);
    }
    ASSERT_FALSE(mismatch) << mismatch->what << about;
    Met& met = met_[place.chain];
    const std::set<std::size_t> rules = rules_of(place);
    met.rules.insert(rules.begin(), rules.end());
    met.met.insert(explored->reached.begin(), explored->reached.end());
  }

  // By its verifier, which does not run it. What test runs do not carry, tests/kernel has.
  static void accepted_by_the_kernel(const ChainAtHook& place) {
    SCOPED_TRACE(place.chain + " at " + to_string(place.hook));
    const auto compiled = driver::compile(place.subject.ruleset, place.subject.attachments,
                                          {.updatable_sets = true, .updatable_rules = true});
    ASSERT_TRUE(compiled) << compiled.error().text();
    const auto loaded = kernel::load(compiled->object);
    ASSERT_TRUE(loaded) << loaded.error().text();
  }

  frontend::nft::ScratchNamespace scratch_ = scratch_namespace();
  std::map<std::string, Met> met_;  // by chain
  Tally tally_;
};

TEST_P(Rulesets, MeanTheSameToAllJudges) {
  const auto as_written = chains_at_hooks(scratch_, GetParam().text);
  ASSERT_TRUE(as_written) << as_written.error().text();
  const auto tight = chains_at_hooks(scratch_, with_tight_limits(GetParam().text));
  ASSERT_TRUE(tight) << tight.error().text();
  for (const ChainAtHook& place : *as_written) {
    if (is_judged(place)) judge_place(place, for_the_engine, PacketFacts::drawn, false);
    if (HasFatalFailure()) return;
  }
  for (const ChainAtHook& place : *tight) {
    if (!is_judged(place)) continue;
    const auto reads = driver::scan_reads(place.subject.ruleset, place.subject.attachments);
    const bool root = ::geteuid() == 0;
    if (test_run_suffices(reads, place.hook) && place.hook.kind != Hook::Kind::socket) {
      judge_place(place, for_test_runs, PacketFacts::test_run, root);
    } else {
      judge_place(place, for_the_engine, PacketFacts::drawn, false);
      if (root) accepted_by_the_kernel(place);
    }
    if (HasFatalFailure()) return;
  }
  // A set that another base chain fills has no elements, and tags are not written over.
  for (const auto& [chain, met] : met_) {
    std::string missing;
    for (const std::size_t rule : met.rules) {
      if (!met.met.contains(rule))
        missing += "\n" + as_written->front().subject.ruleset.rules[rule].origin.text.str();
    }
    EXPECT_GE(met.met.size() * 4, met.rules.size() * 3)
        << "of " << chain << " no packet met" << missing;
  }
  std::cout << tally_.pairs << " packets, " << tally_.matched << " matched, " << tally_.dropped
            << " dropped, " << tally_.kernel_runs << " by the kernel too\n";
}

INSTANTIATE_TEST_SUITE_P(Files, Rulesets, testing::ValuesIn(whole_rulesets()), [](const auto& one) {
  std::string name = one.param.name;
  std::ranges::replace(name, '-', '_');
  return name;
});

std::string column_of(const Hook& hook) {
  return hook.kind == Hook::Kind::netfilter ? "netfilter" : to_string(hook);
}

// The rows of one ruleset; reasons are numbered over all.
std::string rows_of(const WholeRuleset& ruleset, const std::vector<ChainAtHook>& places,
                    std::vector<std::string>& reasons) {
  const auto number_of = [&](const std::string& reason) {
    const auto found = std::ranges::find(reasons, reason);
    const auto number = found - reasons.begin() + 1;
    if (found == reasons.end()) reasons.push_back(reason);
    return static_cast<std::size_t>(number);
  };
  std::map<std::string, std::map<std::string, std::string>> cells;
  std::map<std::string, std::size_t> rules;
  std::vector<std::string> chains;
  for (const ChainAtHook& place : places) {
    if (std::ranges::find(chains, place.chain) == chains.end()) chains.push_back(place.chain);
    rules[place.chain] = place.rules;
    std::set<std::size_t> numbers;
    for (const auto& [handle, reason] : place.stay_native) numbers.insert(number_of(reason));
    std::string why;
    for (const std::size_t number : numbers) {
      why += (why.empty() ? " (" : ", ") + std::to_string(number);
    }
    cells[place.chain][column_of(place.hook)] =
        place.stay_native.empty()
            ? "all"
            : std::to_string(place.rules - place.stay_native.size()) + why + ")";
  }
  std::string out;
  for (const std::string& chain : chains) {
    out += "| " + ruleset.name + " | " + chain + " | " + std::to_string(rules[chain]) + " |";
    for (const char* const column : columns) out += " " + cells[chain][column] + " |";
    out += "\n";
  }
  return out;
}

TEST(RulesetsPage, IsWhatTheCompilerDoes) {
  frontend::nft::ScratchNamespace scratch = scratch_namespace();
  std::string rows;
  std::vector<std::string> reasons;
  for (const WholeRuleset& ruleset : whole_rulesets()) {
    const auto places = chains_at_hooks(scratch, ruleset.text);
    ASSERT_TRUE(places) << ruleset.name << ": " << places.error().text();
    rows += rows_of(ruleset, *places, reasons);
  }
  std::string text =
      "# What becomes of the rulesets\n\n"
      "How many of the rules that each base chain reaches are translated in full, at its own hook\n"
      "and at others, and why the rest is not. A chain with such a rule stays with the kernel\n"
      "there. Generated by differential_rulesets_test; CI fails when this is not what the "
      "compiler\n"
      "does.\n\n| ruleset | chain | rules |";
  std::string line = "| --- | --- | --- |";
  for (const char* const column : columns) {
    text += std::string(" ") + column + " |";
    line += " --- |";
  }
  text += "\n" + line + "\n" + rows + "\n";
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    text += std::to_string(i + 1) + ". " + reasons[i] + "\n";
  }
  if (std::getenv("WEIR_UPDATE_GOLDEN") != nullptr) std::ofstream(page) << text;
  std::ifstream in(page);
  const std::string committed{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(committed, text)
      << "WEIR_UPDATE_GOLDEN=1 differential_rulesets_test writes the page anew";
}

}  // namespace
}  // namespace weir::differential
