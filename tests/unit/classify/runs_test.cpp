// SPDX-License-Identifier: BSD-2-Clause
//
// Which fields the key of a run has, and which ranges of them its rules ask for.
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "classify/runs.h"
#include "imr/parse.h"

namespace weir::classify {
namespace {

imr::Unit unit_of(const std::string& rules, Nfproto nfproto) {
  auto parsed = imr::parse_ruleset(
      "table inet t\n"
      "set inet t hosts x 4 { 0x0a000001 }\n"
      "set inet t ports x 2 interval { 0x0001-0x0400 }\n"
      "set inet t __set0 \"x . y\" 8 fields 4 2 anonymous { 0x0a00000100160000 }\n"
      "chain inet t c hook forward priority 0 policy accept\n" +
          rules,
      "test");
  if (!parsed) throw std::runtime_error(parsed.error().text());
  return {.ruleset = std::move(*parsed),
          .roots = {imr::ChainId(0)},
          .nfproto = nfproto,
          .hook = *parse_hook("netfilter:forward")};
}

std::string in_words(const imr::Ruleset& ruleset, imr::ExprId expr) {
  if (const auto* parts = std::get_if<imr::Concat>(&ruleset[expr])) {
    std::string out;
    for (const imr::ExprId part : parts->parts) {
      out += (out.empty() ? "" : " . ") + in_words(ruleset, part);
    }
    return out;
  }
  if (const auto* payload = std::get_if<imr::Payload>(&ruleset[expr])) {
    return std::string(to_string(payload->base)) + " " + std::to_string(payload->offset) + " " +
           std::to_string(payload->length);
  }
  return std::string(to_string(std::get<imr::Meta>(ruleset[expr]).key));
}

// "transport 0 2 (17 bits), ...", then "80-80 0-131071 ..." for each row.
std::string described(const imr::Unit& unit, const std::optional<Run>& run) {
  if (!run) return "no run";
  std::string out;
  for (const RunField& field : run->fields) {
    out += (out.empty() ? "" : ", ") + in_words(unit.ruleset, field.expr);
    if (field.set.valid()) out += " in @" + unit.ruleset[field.set].name;
    out += " (" + std::to_string(field.bits()) + " bits)";
  }
  out += "\n";
  for (std::size_t row = 0; row < run->list.size(); ++row) {
    for (const Range& range : run->list[row]) {
      out += (out.back() == '\n' ? "" : " ") + std::to_string(range.first) + "-" +
             std::to_string(range.last);
    }
    out += "\n";
  }
  return out;
}

std::string fields_of(const std::string& rules, Nfproto nfproto = Nfproto::ipv4) {
  const imr::Unit unit = unit_of(rules, nfproto);
  return described(unit, make_run(unit, unit.ruleset[imr::ChainId(0)].rules, false));
}

TEST(Runs, TellPortsThatStandTogetherByThoseThatStandAlone) {
  EXPECT_EQ(fields_of("  rule match payload transport 0 4 == 0x00010002 drop\n"
                      "  rule match payload transport 0 2 == 0x0003 drop\n"
                      "  rule match payload transport 2 2 in [0x0004, 0x0005] drop\n"),
            "transport 0 2 (17 bits), transport 2 2 (17 bits)\n"
            "1-1 2-2\n"
            "3-3 0-131071\n"
            "0-131071 4-5\n");
}

TEST(Runs, LeaveBytesTogetherOfWhichARuleAsksForARange) {
  EXPECT_EQ(fields_of("  rule match payload transport 0 4 in [0x00010002, 0x00020001] drop\n"
                      "  rule match payload transport 0 2 == 0x0003 drop\n"
                      "  rule match payload transport 2 2 == 0x0004 drop\n"),
            "transport 0 4 (33 bits), transport 0 2 (17 bits), transport 2 2 (17 bits)\n"
            "65538-131073 0-131071 0-131071\n"
            "0-8589934591 3-3 0-131071\n"
            "0-8589934591 0-131071 4-4\n");
}

TEST(Runs, LeaveBytesTogetherOfWhichNobodyAsksForAPart) {
  EXPECT_EQ(fields_of("  rule match payload transport 0 4 == 0x00010002 drop\n"
                      "  rule match payload transport 0 2 == 0x0003 drop\n"),
            "transport 0 4 (33 bits), transport 0 2 (17 bits)\n"
            "65538-65538 0-131071\n"
            "0-8589934591 3-3\n");
}

// nf_tables reads the one in later fragments, and not the other.
TEST(Runs, KeepWhatIsReadInLaterFragmentsApart) {
  EXPECT_EQ(fields_of("  rule match payload transport 0 4 == 0x00010002 drop\n"
                      "  rule match payload transport 0 2 later-fragments == 0x0003 drop\n"
                      "  rule match payload transport 2 2 later-fragments == 0x0004 drop\n")
                .substr(0, 13),
            "transport 0 4");
}

TEST(Runs, KnowTheProtocolOfIpv4ByBothNames) {
  const std::string rules =
      "  rule match meta l4proto == 0x06 drop\n"
      "  rule match payload network 9 1 == 0x11 drop\n";
  EXPECT_EQ(fields_of(rules),
            "l4proto (8 bits)\n"
            "6-6\n"
            "17-17\n");
  EXPECT_EQ(fields_of(rules, Nfproto::ipv6),
            "l4proto (9 bits), network 9 1 (8 bits)\n"
            "6-6 0-255\n"
            "0-511 17-17\n");
}

TEST(Runs, AskOnceWhetherASetOfANameHasAValue) {
  EXPECT_EQ(fields_of("  rule match payload network 12 4 in @hosts drop\n"
                      "  rule match payload network 12 4 not in @hosts accept\n"
                      "  rule match payload transport 2 2 in @ports drop\n"
                      "  rule match payload network 12 4 == 0x0a000001 drop\n"),
            "network 12 4 (32 bits), network 12 4 in @hosts (1 bits), "
            "transport 2 2 in @ports (2 bits)\n"
            "0-4294967295 1-1 0-3\n"
            "0-4294967295 0-0 0-3\n"
            "0-4294967295 0-1 1-1\n"
            "167772161-167772161 0-1 0-3\n");
}

TEST(Runs, AskOnceForAConcatenationThatIsNotInASet) {
  EXPECT_EQ(fields_of("  rule match concat(payload network 12 4, payload transport 2 2) "
                      "not in @__set0 drop\n"),
            "network 12 4 . transport 2 2 in @__set0 (2 bits)\n0-0\n");
}

// Packets without a route have none.
TEST(Runs, HaveRoomForPacketsWithoutANextHop) {
  const imr::Unit unit = unit_of(
      "  rule match payload transport 2 2 == 0x0001 drop\n"
      "  rule match nexthop(payload network 16 4) in @hosts drop\n",
      Nfproto::ipv4);
  const auto run = make_run(unit, unit.ruleset[imr::ChainId(0)].rules, false);
  ASSERT_TRUE(run);
  const auto found = std::ranges::find_if(run->fields, [&](const RunField& field) {
    return std::holds_alternative<imr::Nexthop>(unit.ruleset[field.expr]);
  });
  ASSERT_NE(found, run->fields.end());
  EXPECT_TRUE(found->may_be_absent);
}

TEST(Runs, HaveWideRangesInPieces) {
  EXPECT_EQ(fields_of("  rule match payload network 8 16 in "
                      "[0x00000000000000010000000000000005, 0x00000000000000030000000000000007] "
                      "drop\n"
                      "  rule match payload network 8 16 in "
                      "[0x00000000000000010000000000000005, 0x00000000000000010000000000000007] "
                      "drop\n"
                      "  rule match payload network 8 16 < 0x00000000000000010000000000000000 "
                      "drop\n",
                      Nfproto::ipv6),
            "network 8 16 (64 bits), network 8 16 (64 bits)\n"
            "1-1 5-18446744073709551615\n"
            "3-3 0-7\n"
            "2-2 0-18446744073709551615\n"
            "1-1 5-7\n"
            "0-0 0-18446744073709551615\n");
}

TEST(Runs, KeepWhoWritesAMarkFromWhoTestsIt) {
  const imr::Unit unit = unit_of(
      "  rule match meta iif == 0x01000000 write meta mark 0x01000000\n"
      "  rule match meta mark == 0x01000000 drop\n"
      "  rule match meta iif == 0x02000000 drop\n",
      Nfproto::ipv4);
  const std::vector<imr::RuleId>& rules = unit.ruleset[imr::ChainId(0)].rules;
  Company writers;
  EXPECT_TRUE(writers.takes(unit.ruleset, rules[0], {}));
  EXPECT_FALSE(writers.takes(unit.ruleset, rules[1], {}));
  EXPECT_TRUE(writers.takes(unit.ruleset, rules[2], {}));
  EXPECT_FALSE(make_run(unit, rules, false));
  const auto run = make_run(unit, std::span(rules).first(1), false);
  ASSERT_TRUE(run);
  ASSERT_EQ(run->actions.size(), 1U);
  EXPECT_EQ(run->actions.front().mark, 1U);  // as little-endian hosts read it
}

// "rule #1 from 1: code 0, may fail, else 2; ..." for each action.
std::string tails_of(const std::string& rules) {
  const imr::Unit unit = unit_of(rules, Nfproto::ipv4);
  const std::vector<imr::RuleId>& all = unit.ruleset[imr::ChainId(0)].rules;
  Suitability suitability(unit, {});
  Company company;
  std::string out;
  for (const imr::RuleId rule : all) {
    if (!suitability.suits(rule)) return "rule " + std::to_string(rule.value) + " does not suit";
    if (!company.takes(unit.ruleset, rule, suitability.tail(rule)))
      return "rule " + std::to_string(rule.value) + " is too much";
  }
  const auto run = make_run(unit, all, false);
  if (!run) return "no run";
  for (const RunAction& action : run->actions) {
    out += "rule " + std::to_string(action.rule.value);
    if (action.counter.valid()) out += " counter " + std::to_string(action.counter.value);
    if (action.tail) {
      out += " from " + std::to_string(action.tail->from) + ": code " + std::to_string(action.code);
      if (action.may_fail) out += ", or " + std::to_string(action.otherwise);
    }
    out += "\n";
  }
  return out;
}

const std::string limit_of = "limit 5 packets each 60 burst 5";

TEST(Runs, RunTailsBehindWhatTheySearch) {
  EXPECT_EQ(tails_of("  rule match payload network 12 4 == 0x0a000001 counter #0 log prefix \"a\" "
                     "level 4 flags 0 drop\n"
                     "  rule match payload network 12 4 == 0x0a000002 meter #0 " +
                     limit_of +
                     " counter #1 accept\n"
                     "  rule match payload network 12 4 == 0x0a000003 log prefix \"b\" level 5 "
                     "flags 0\n"
                     "  rule match payload network 12 4 == 0x0a000004 meter #1 " +
                     limit_of +
                     " counter #2 accept\n"
                     "  rule match payload network 12 4 == 0x0a000005 meter #2 over " +
                     limit_of + " drop\n"),
            "rule 0 counter 0 from 2: code 0\n"
            "rule 1 from 1: code 1, or 2\n"
            "rule 2 from 1: code 0\n"
            "rule 3 from 1: code 1, or 4\n"
            "rule 4 from 1: code 2, or 5\n");
}

TEST(Runs, HaveNoTailsThatAllPacketsMeet) {
  EXPECT_EQ(tails_of("  rule match meta iif == 0x01000000 meter #0 " + limit_of + " drop\n"),
            "rule 0 does not suit");
}

TEST(Runs, HaveNoTailsThatChangeThePacket) {
  EXPECT_EQ(tails_of("  rule match payload network 12 4 == 0x0a000001 write payload network 8 1 "
                     "checksum 10 0x40\n"),
            "rule 0 does not suit");
}

TEST(Runs, HaveCodeForFewTails) {
  std::string rules;
  for (std::size_t i = 0; i <= most_tails; ++i) {
    rules +=
        "  rule match payload network 12 4 == 0x0a000001 match payload network 16 4 == "
        "0x0a000002 log prefix \"\" group 1 snaplen " +
        std::to_string(i + 1) + " threshold 1 drop\n";
  }
  EXPECT_EQ(tails_of(rules), "rule " + std::to_string(most_tails) + " is too much");
}

TEST(Runs, TellMoreRulesByTheKeyOfAnother) {
  const imr::Unit unit = unit_of(
      "  rule match payload network 12 4 == 0x0a000001 drop\n"
      "  rule match payload network 12 2 == 0x0a01 accept\n"
      "  rule match payload network 16 4 == 0x0a000001 accept\n",
      Nfproto::ipv4);
  const std::vector<imr::RuleId>& rules = unit.ruleset[imr::ChainId(0)].rules;
  const auto run = make_run(unit, std::span(rules).first(1), false);
  ASSERT_TRUE(run);
  EXPECT_EQ(described(unit, make_run_like(*run, unit, std::span(rules).subspan(1, 1), false)),
            "network 12 4 (32 bits)\n"
            "167837696-167903231\n");
  EXPECT_EQ(described(unit, make_run_like(*run, unit, std::span(rules).subspan(2, 1), false)),
            "no run");
}

}  // namespace
}  // namespace weir::classify
