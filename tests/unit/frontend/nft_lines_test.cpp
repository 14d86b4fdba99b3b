// SPDX-License-Identifier: BSD-2-Clause
//
// Rules know their line, or that they do not know it.
#include <gtest/gtest.h>

#include <fstream>

#include "frontend/nft/source_lines.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

// "chain: line line", a line for each chain; 0 is not known.
std::string lines(const std::string& script) {
  const imr::Ruleset ruleset = read(script);
  std::string out;
  for (const imr::Chain& chain : ruleset.chains) {
    out += chain.name + ":";
    for (const imr::RuleId rule : chain.rules) {
      out += " " + std::to_string(ruleset[rule].origin.location.line);
    }
    out += "\n";
  }
  return out;
}

TEST(Lines, OfRulesInBlocks) {
  EXPECT_EQ(lines("table ip t {\n"
                  "  chain a {\n"
                  "    type filter hook input priority 0; policy drop;\n"
                  "    # tcp dport 1 accept\n"
                  "    tcp dport 2 accept; tcp dport 3 accept\n"
                  "\n"
                  "    tcp dport {\n"
                  "      4,\n"
                  "      5\n"
                  "    } drop comment \"a { ; # b\"\n"
                  "    tcp dport \\\n"
                  "      6 accept\n"
                  "    drop\n"
                  "  }\n"
                  "  chain b { accept; }\n"
                  "}\n"),
            "a: 5 5 7 11 13\nb: 15\n");
}

TEST(Lines, OfCommands) {
  EXPECT_EQ(lines("add table ip t\n"
                  "add chain ip t c { type filter hook input priority 0; }\n"
                  "add rule ip t c accept; add rule t c drop\n"
                  "add ip t c counter\n"
                  "rule ip t c continue\n"),
            "c: 3 3 4 5\n");
}

TEST(Lines, OfBlocksAndCommandsTogether) {
  EXPECT_EQ(lines("define ports = { 1,\n"
                  "  2 }\n"
                  "flush ruleset\n"
                  "table inet t {\n"
                  "  set s {\n"
                  "    type ipv4_addr\n"
                  "    elements = { 1.1.1.1,\n"
                  "      2.2.2.2 }\n"
                  "  }\n"
                  "  chain c {\n"
                  "    tcp dport $ports accept\n"
                  "  }\n"
                  "}\n"
                  "add rule inet t c drop\n"
                  "table inet t {\n"
                  "  chain c {\n"
                  "    accept\n"
                  "  }\n"
                  "}\n"),
            "c: 11 14 17\n");
}

TEST(Lines, StartAfreshAfterAFlush) {
  EXPECT_EQ(lines("table ip t {\n  chain c { accept; }\n}\n"
                  "flush table ip t\n"
                  "add rule ip t c drop\n"),
            "c: 5\n");
  EXPECT_EQ(lines("table ip t {\n  chain c { accept; }\n  chain d { accept; }\n}\n"
                  "flush chain ip t c\n"
                  "add rule ip t c drop\n"),
            "c: 6\nd: 3\n");
}

TEST(Lines, AreUnknownAfterInsertions) {
  EXPECT_EQ(lines("table ip t {\n  chain c { accept; }\n  chain d { accept; }\n}\n"
                  "insert rule ip t c drop\n"),
            "c: 0 0\nd: 3\n");
  EXPECT_EQ(lines("table ip t {\n  chain c { accept; }\n}\n"
                  "add rule ip t c index 0 drop\n"),
            "c: 0 0\n");
}

TEST(Lines, AreUnknownWithIncludes) {
  const std::string path = testing::TempDir() + "weir_lines.nft";
  std::ofstream(path) << "add rule ip t c accept\n";
  EXPECT_EQ(lines("table ip t {\n  chain c { drop; }\n}\ninclude \"" + path + "\"\n"), "c: 0 0\n");
}

TEST(Lines, AreUnknownWhereTheCountDoesNotFit) {
  EXPECT_EQ(
      lines("table ip t {\n  chain c { jump { accept; drop; }\n  accept\n  }\n}\n").substr(0, 7),
      "c: 2 3\n");
}

TEST(Lines, OfScriptsThatEndAnywhere) {
  const std::string script =
      "define a = { 1 }\nflush chain ip t c\nadd rule ip t c accept comment \"x\"\n"
      "insert rule ip t c drop; delete rule ip t c handle 1\n"
      "table ip t { chain c { type filter hook input priority 0; drop; }\n}\nadd";
  for (std::size_t size = 0; size <= script.size(); ++size) {
    for (const auto& [chain, places] : scan_script(script.substr(0, size)).places) {
      EXPECT_FALSE(chain.table.empty());
      for (const RulePlace& place : places) EXPECT_LE(place.line, 6U);
    }
  }
}

TEST(Lines, ComeWithColumns) {
  const imr::Ruleset ruleset = read("table ip t {\n  chain c {\n\taccept; drop\n  }\n}\n");
  ASSERT_EQ(ruleset.rules.size(), 2U);
  EXPECT_EQ(ruleset.rules[0].origin.location, (SourceLocation{"test.nft", 3, 2}));
  EXPECT_EQ(ruleset.rules[1].origin.location, (SourceLocation{"test.nft", 3, 10}));
}

}  // namespace
}  // namespace weir::frontend::nft::test
