// SPDX-License-Identifier: BSD-2-Clause
//
// Each IMR pass, and all of them in order, leaves the meaning of random units alone: verdict,
// deciding rule, matched rules and counters, as the reference evaluator has them. WEIR_SEED in the
// environment varies a run, WEIR_UNITS makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <variant>

#include "imr/evaluator.h"
#include "imr/parse.h"
#include "imr/print.h"
#include "imr/verify.h"
#include "passes/imr_break.h"
#include "passes/imr_find_runs.h"
#include "passes/imr_tools.h"
#include "passes/pipeline.h"
#include "unit/passes/unit_generator.h"

namespace weir::test {
namespace {

constexpr std::size_t packets_per_unit = 60;

std::size_t wish(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

std::string to_string(const imr::Outcome& outcome) {
  static constexpr std::array verdicts = {"accept", "drop", "native"};
  std::string text = verdicts.at(static_cast<std::size_t>(outcome.verdict));
  text += outcome.decided_by ? " by #" + std::to_string(outcome.decided_by->value) : " by policy";
  text += ", matched";
  for (const imr::RuleId rule : outcome.matched) text += " #" + std::to_string(rule.value);
  text += ", counted";
  for (const imr::CounterId counter : outcome.counted) {
    text += " #" + std::to_string(counter.value);
  }
  return text + " bytes " + std::to_string(outcome.counted_bytes);
}

// The first packet that two units answer differently; empty when there is none.
std::string difference(const imr::Unit& before, const imr::Unit& after,
                       const std::vector<packet::Packet>& packets) {
  for (const packet::Packet& packet : packets) {
    const imr::Outcome expected = imr::evaluate(before, packet);
    const imr::Outcome found = imr::evaluate(after, packet);
    if (found == expected) continue;
    return "expected " + to_string(expected) + "\nfound    " + to_string(found) + "\npacket " +
           to_hex(packet.bytes) + "\n---- before\n" + imr::print(before) + "---- after\n" +
           imr::print(after);
  }
  return "";
}

imr::Unit parsed(const std::string& text) {
  Result<imr::Unit> unit = imr::parse_unit(text, "generated");
  invariant(unit.has_value(), unit ? "" : unit.error().text() + "\n" + text);
  imr::verify(*unit);
  return std::move(*unit);
}

struct Tally {
  std::size_t changed = 0;    // units that the pass made another text of
  std::size_t different = 0;  // units that then meant something else
  std::string example;        // of the last of them
};

// Runs `transform` over many random units and compares what they mean before and after.
template <typename Transform>
Tally judge(const Transform& transform) {
  Tally tally;
  Random random(wish("WEIR_SEED", 1));
  const std::size_t units = wish("WEIR_UNITS", 240);
  for (std::size_t i = 0; i < units; ++i) {
    const UnitOptions options{.at_xdp = i % 4 >= 2,
                              .nfproto = i % 2 == 0 ? Nfproto::ipv4 : Nfproto::ipv6};
    const imr::Unit before = parsed(random_unit(options, random));
    imr::Unit after = before;
    transform(after);
    imr::verify(after);
    if (imr::print(before) != imr::print(after)) ++tally.changed;
    const std::string found =
        difference(before, after, packets_for(before, packets_per_unit, random));
    if (found.empty()) continue;
    ++tally.different;
    tally.example = found;
  }
  return tally;
}

class ImrPass : public testing::TestWithParam<std::string> {};

TEST_P(ImrPass, LeavesTheMeaningAlone) {
  const auto pass = std::ranges::find(passes::imr_passes(), GetParam(), &passes::ImrPass::name);
  // Random chains are too short for runs that pay.
  const auto all_runs = [](imr::Unit& unit) { passes::imr_find_runs(unit, {.all = true}); };
  const Tally tally = pass->name == passes::find_runs ? judge(all_runs) : judge(pass->run);
  EXPECT_EQ(tally.different, 0U) << tally.example;
  EXPECT_GT(tally.changed, 5U) << "the units hold nothing for this pass to do";
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const passes::ImrPass& pass : passes::imr_passes()) names.emplace_back(pass.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Random, ImrPass, testing::ValuesIn(pass_names()));

// The rules of a chain of this many rules that the base chain leads to, and those of the base
// chain, that are in a run.
std::pair<std::size_t, std::size_t> in_runs(const std::string& base) {
  std::string text = "table inet t\nchain inet t base hook forward priority 0 policy accept\n" +
                     base + "chain inet t list\n";
  for (unsigned i = 0; i < 500; ++i) {
    text += "  rule match payload network 12 4 == " + to_hex(big_endian_bytes(0x0a000000 + i, 4)) +
            " match payload network 16 4 == " + to_hex(big_endian_bytes(0x0a010000 + i % 7, 4)) +
            (i % 2 == 0 ? " drop\n" : " accept\n");
  }
  auto parsed = imr::parse_ruleset(text, "test");
  if (!parsed) throw std::runtime_error(parsed.error().text());
  imr::Unit unit{.ruleset = std::move(*parsed),
                 .roots = {imr::ChainId(0)},
                 .nfproto = Nfproto::ipv4,
                 .hook = *parse_hook("netfilter:forward")};
  passes::imr_find_runs(unit, {.matched = false});
  const imr::Ruleset& ruleset = unit.ruleset;
  const auto count = [&](std::size_t chain) {
    return static_cast<std::size_t>(
        std::ranges::count_if(ruleset[imr::ChainId(chain)].rules,
                              [&](imr::RuleId rule) { return ruleset[rule].run != 0; }));
  };
  return {count(1), count(0)};
}

TEST(ImrFindRuns, LeaveAListByItselfWhereAllPacketsGo) {
  EXPECT_EQ(in_runs("  rule match ct state == 0x02000000 accept\n  rule jump list\n"),
            std::pair(std::size_t{500}, std::size_t{0}));
  EXPECT_EQ(in_runs("  rule match meta l4proto == 0x06 jump list\n"),
            std::pair(std::size_t{500}, std::size_t{1}));
}

TEST(ImrPipeline, LeavesTheMeaningAlone) {
  const Tally tally = judge([](imr::Unit& unit) {
    for (const passes::ImrPass& pass : passes::imr_passes()) {
      pass.run(unit);
      imr::verify(unit);
    }
  });
  EXPECT_EQ(tally.different, 0U) << tally.example;
}

TEST(ImrBreak, IsNoticedByTheJudge) {
  EXPECT_GT(judge(passes::imr_break).different, 20U);
}

// Mistakes that a pass could make, for the judge to notice.

// Runs `wrong` on every rule of the unit, with its place in its chain.
template <typename Wrong>
std::size_t noticed(const Wrong& wrong) {
  const Tally tally = judge([&](imr::Unit& unit) {
    for (const imr::ChainId chain : passes::unit_chains(unit)) {
      for (std::size_t i = 0; i < unit.ruleset[chain].rules.size(); ++i) {
        wrong(unit.ruleset, unit.ruleset[chain], i);
      }
    }
  });
  return tally.different;
}

imr::Payload* payload(imr::Ruleset& ruleset, const imr::Statement& statement) {
  const auto* match = std::get_if<imr::Match>(&statement);
  return match == nullptr ? nullptr : std::get_if<imr::Payload>(&ruleset.exprs[match->lhs.index()]);
}

const imr::Verdict* verdict(const imr::Statement& statement) {
  const auto* found = std::get_if<imr::VerdictStatement>(&statement);
  return found == nullptr ? nullptr : &found->verdict;
}

TEST(WrongImrPasses, ThatMergeLoadsWhichDifferInLaterFragmentsAreNoticed) {
  EXPECT_GT(noticed([](imr::Ruleset& ruleset, const imr::Chain& chain, std::size_t index) {
              const auto& statements = ruleset[chain.rules[index]].statements;
              for (std::size_t i = 0; i + 1 < statements.size(); ++i) {
                imr::Payload* first = payload(ruleset, statements[i]);
                imr::Payload* second = payload(ruleset, statements[i + 1]);
                if (first == nullptr || second == nullptr || first->base != second->base) continue;
                first->in_later_fragments = second->in_later_fragments =
                    first->in_later_fragments || second->in_later_fragments;
              }
            }),
            0U);
}

// The rules behind one that `ends` are lost.
template <typename Ends>
std::size_t noticed_without_rules_behind(const Ends& ends) {
  return noticed([&](imr::Ruleset& ruleset, imr::Chain& chain, std::size_t index) {
    if (ends(ruleset[chain.rules[index]].statements)) chain.rules.resize(index + 1);
  });
}

TEST(WrongImrPasses, ThatTakeARuleForTheEndOfItsChainAreNoticed) {
  using Kind = imr::Verdict::Kind;
  using Statements = SharedList<imr::Statement>;
  const auto ends_in = [](const Statements& statements, Kind kind) {
    const imr::Verdict* last = statements.empty() ? nullptr : verdict(statements.back());
    return last != nullptr && last->kind == kind;
  };
  EXPECT_GT(noticed_without_rules_behind([&](const Statements& statements) {
              return statements.size() == 1 && ends_in(statements, Kind::jump);
            }),
            0U)
      << "a jump";
  EXPECT_GT(noticed_without_rules_behind([&](const Statements& statements) {
              return statements.size() > 1 && ends_in(statements, Kind::go_to);
            }),
            0U)
      << "a goto behind a test";
  EXPECT_GT(noticed_without_rules_behind([&](const Statements& statements) {
              return statements.size() == 1 && ends_in(statements, Kind::continue_);
            }),
            0U)
      << "continue";
}

// 16 chains below one another, each of which jumps to the next ten times: 10^15 ways down.
TEST(ImrPipeline, EndsWhereChainsJumpOften) {
  std::string text =
      "unit netfilter:forward ipv4 roots ip t c0\ntable ip t\n"
      "chain ip t c0 hook forward priority 0 policy accept\n";
  for (int chain = 0; chain < 16; ++chain) {
    if (chain != 0) text += "chain ip t c" + std::to_string(chain) + "\n";
    for (int rule = 0; rule < 10; ++rule) {
      text += "rule match meta mark == 0x0" + std::to_string(rule) + "000000";
      text += chain == 15 ? " drop\n" : " jump c" + std::to_string(chain + 1) + "\n";
    }
  }
  imr::Unit unit = parsed(text);
  for (const passes::ImrPass& pass : passes::imr_passes()) pass.run(unit);
  imr::verify(unit);
}

}  // namespace
}  // namespace weir::test
