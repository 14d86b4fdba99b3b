// SPDX-License-Identifier: BSD-2-Clause
//
// Long scripts with commands behind them that change single rules: what comes of them in parts is
// what nft makes of the whole.
#include "frontend/nft/amend.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "frontend/nft/divided.h"
#include "frontend/nft/division.h"
#include "imr/imr.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

// Enough for three parts.
constexpr std::size_t many = 3 * least_rules_of_part + 57;

std::string rule(std::size_t i) {
  return "    ip saddr 10.0." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) +
         " tcp dport " + std::to_string(i + 1) + (i % 3 == 0 ? " counter" : "") + " accept\n";
}

std::string rules(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    out += i % 50 == 0 ? "    tcp dport { 7, " + std::to_string(i + 8) + " } accept\n" : rule(i);
  }
  return out;
}

// Rules that come and go by nft's commands: order, handles, texts and counters are those that nft
// itself comes to. Names of sets that have none may differ, and what nobody uses any more.
std::vector<std::string> rules_of(const imr::Ruleset& ruleset) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    for (const imr::RuleId id : ruleset[imr::ChainId(i)].rules) {
      const imr::Rule& rule = ruleset[id];
      EXPECT_EQ(rule.chain, imr::ChainId(i));
      std::string& line =
          out.emplace_back(imr::qualified_name(ruleset, rule.chain) + " " +
                           std::to_string(rule.origin.handle) + ": " + rule.origin.text);
      for (const imr::Statement& statement : rule.statements) {
        line += " /" + std::to_string(statement.index());
        if (const auto* counter = std::get_if<imr::Counter>(&statement)) {
          const imr::CounterState& state = ruleset.counters.at(counter->counter.index());
          EXPECT_EQ(state.rule, id);
          line += " " + std::to_string(state.packets);
        }
        if (const auto* set = std::get_if<imr::MatchSet>(&statement)) {
          for (const imr::Element& element : ruleset[set->set].elements) {
            line += " " + to_hex(element.key);
          }
        }
      }
    }
  }
  return out;
}

TEST(ChangedScripts, AreWhatNftMakesOfThem) {
  const std::string script =
      "table ip t {\n  set s { type ipv4_addr; elements = { 10.1.1.1 }; }\n"
      "  chain c {\n    type filter hook input priority 0\n" +
      rules(many - 40) + "  }\n  chain d {\n" + rules(50) + "  }\n  chain e {\n  }\n}\n" +
      "table ip6 without {\n  chain c {\n    type filter hook input priority 0\n  }\n}\n";
  const ScannedScript scanned = scan_script(script);
  const Division division(script, scanned.extents);
  ASSERT_GT(division.parts(), 1U);
  std::mt19937 random(7);
  const auto any = [&](std::size_t count) { return random() % count; };
  std::vector<std::string> commands = {"add element ip t s { 10.1.1.2 }"};
  std::map<std::string, std::vector<std::uint64_t>> handles;  // by "ip t c"
  const imr::Ruleset before = read(script);
  for (const imr::Rule& rule : before.rules) {
    handles[imr::qualified_name(before, rule.chain)].push_back(rule.origin.handle);
  }
  const std::vector<std::string> statements = {
      "ip saddr @s counter packets 9 bytes 1 drop", "tcp dport { 1, 2, 3 } accept",
      "udp sport . udp dport { 1 . 2 } counter drop comment \"{ ; # handle 7\"", "jump e",
      "counter"};
  for (int i = 0; i < 48; ++i) {
    std::string chain = std::array{"ip t c", "ip t d", "ip t e", "ip6 without c"}.at(any(4));
    std::vector<std::uint64_t>& there = handles[chain];
    std::string text = statements[any(chain == "ip6 without c" || chain == "ip t e" ? 2 : 5)];
    if (chain == "ip6 without c") text = i % 2 == 0 ? "counter" : "tcp dport { 4, 5 } drop";
    const std::string handle = there.empty() ? "" : std::to_string(there[any(there.size())]);
    std::string command;
    switch (there.empty() ? any(2) : any(8)) {
      case 0:
        command = "add rule " + chain + " " + text;
        break;
      case 1:
        command = "insert rule " + chain + "  " + text;
        break;
      case 2:
        command = "add rule " + chain + " handle " + handle + " " + text;
        break;
      case 3:
        command = "insert rule " + chain + " position " + handle + " " + text;
        break;
      case 4:
        command = "add rule " + chain + " index " + std::to_string(any(there.size())) + " " + text;
        break;
      case 5:
        command =
            "insert rule " + chain + " index " + std::to_string(any(there.size())) + " " + text;
        break;
      case 6:
        command = "replace rule " + chain + " handle " + handle + " " + text;
        break;
      default:
        command = "delete rule " + chain + " handle " + handle;
        break;
    }
    if (command.find(" rule ip t ") != std::string::npos && any(2) == 0) {
      command.erase(command.find("ip "), 3);  // the family that nft takes where there is none
    }
    commands.push_back(command);
    if (i % 16 != 15) {
      // Handles that are gone stay away from the next commands.
      if (command.starts_with("delete")) std::erase(there, std::stoull(handle));
      continue;
    }
    const imr::Ruleset whole =
        read(script, {.interface_index = {}, .commands = commands, .divide = false});
    const auto divided =
        read_divided(division, scanned, "test.nft", {.interface_index = {}, .commands = commands});
    ASSERT_TRUE(divided) << command;
    EXPECT_EQ(rules_of(*divided), rules_of(whole));
    EXPECT_EQ(divided->sets.front().elements.size(), 2U);
    handles.clear();
    for (const imr::Rule& rule : whole.rules) {
      handles[imr::qualified_name(whole, rule.chain)].push_back(rule.origin.handle);
    }
  }
}

TEST(ChangedScripts, AreReadInOnePieceWhereCommandsAreNotSure) {
  const std::string script = "table ip t {\n  set s { type ipv4_addr; }\n  chain c {\n" +
                             rules(many) + "  }\n  chain d {\n  }\n}\n";
  const ScannedScript scanned = scan_script(script);
  const auto divided = [&](const std::vector<std::string>& commands) {
    return read_divided(Division(script, scanned.extents), scanned, "test.nft",
                        {.interface_index = {}, .commands = commands})
        .has_value();
  };
  EXPECT_TRUE(divided({"add rule t c accept"}));
  EXPECT_FALSE(divided({"delete rule t c handle 3 accept"}));
  EXPECT_FALSE(divided({"delete rule t c handle 999999"}));
  EXPECT_FALSE(divided({"add rule t c index 999999 accept"}));
  EXPECT_FALSE(divided({"add rule t c accept", "add element t s { 1.1.1.1 }"}));
  EXPECT_FALSE(divided({"add rule t c jump { accept; }"}));
  EXPECT_FALSE(divided({"add rule t nosuch accept"}));
  EXPECT_FALSE(divided({"add rule t c nonsense"}));
  EXPECT_FALSE(divided({"add rule t d jump c", "add rule t c jump d"})) << "a circle";
  EXPECT_FALSE(divided({"flush chain t c"}));
}

TEST(RuleCommands, AreReadAsNftReadsThem) {
  using Verb = RuleCommand::Verb;
  using Place = RuleCommand::Place;
  EXPECT_EQ(parse_rule_command("add rule t c  accept"),
            (RuleCommand{.verb = Verb::add, .table = "t", .chain = "c", .statements = "accept"}));
  EXPECT_EQ(parse_rule_command("insert rule inet t-1 c_2 position 7 tcp dport 1 drop"),
            (RuleCommand{.verb = Verb::insert,
                         .family = Family::inet,
                         .table = "t-1",
                         .chain = "c_2",
                         .place = Place::handle,
                         .number = 7,
                         .statements = "tcp dport 1 drop"}));
  EXPECT_EQ(parse_rule_command("delete rule ip6 t c handle 3"), (RuleCommand{.verb = Verb::remove,
                                                                             .family = Family::ip6,
                                                                             .table = "t",
                                                                             .chain = "c",
                                                                             .place = Place::handle,
                                                                             .number = 3}));
  for (const char* command :
       {"", "add", "add rule", "add rule t", "add rule t c", "add set t c x",
        "create rule t c accept", "add rule \"t\" c accept", "add rule t $c accept",
        "delete rule t c", "delete rule t c index 3", "delete rule t c handle 3 accept",
        "replace rule t c accept", "replace rule t c handle 3", "add rule t c handle x accept",
        "add rule t c handle -1 accept", "add rule t c handle", "add rule t c index 0x1 accept"}) {
    EXPECT_FALSE(parse_rule_command(command)) << command;
  }
}

}  // namespace
}  // namespace weir::frontend::nft::test
