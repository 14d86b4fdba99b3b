// SPDX-License-Identifier: BSD-2-Clause
//
// Scripts of many rules, which are read in parts: what comes of them is what comes of the whole,
// rule by rule and handle by handle.
#include <gtest/gtest.h>

#include <functional>

#include "frontend/nft/division.h"
#include "frontend/nft/source_lines.h"
#include "imr/print.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

// Enough for three parts.
constexpr std::size_t many = 3 * least_rules_of_part + 17;

std::size_t parts(const std::string& script) {
  const ScannedScript scanned = scan_script(script);
  return Division(script, scanned.extents).parts();
}

std::string address(std::size_t i) {
  return "10." + std::to_string(i >> 16 & 255) + "." + std::to_string(i >> 8 & 255) + "." +
         std::to_string(i & 255);
}

// `count` rules, each on a line of its own.
std::string rules(std::size_t count, const std::function<std::string(std::size_t)>& rule) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += "    " + rule(i) + "\n";
  return out;
}

std::string plain(std::size_t i) {
  return "ip saddr " + address(i) + " tcp dport " + std::to_string(i % 60000 + 1) +
         (i % 3 == 0 ? " counter" : "") + " accept";
}

// Reads the script both ways.
void expect_same(const std::string& script, const Options& options = {}) {
  ASSERT_GT(parts(script), 1U);
  Options whole = options;
  whole.divide = false;
  const std::string wanted = imr::print(read(script, whole));
  const std::string got = imr::print(read(script, options));
  if (wanted == got) return;
  std::size_t at = 0;
  while (at < wanted.size() && at < got.size() && wanted[at] == got[at]) ++at;
  at = wanted.rfind('\n', at) + 1;
  FAIL() << "expected\n" << wanted.substr(at, 500) << "\ngot\n" << got.substr(at, 500);
}

TEST(LongScripts, KeepOrderHandlesAndLines) {
  constexpr std::size_t count = 20000;
  const std::string script = "table ip t {\n  chain c {\n    type filter hook input priority 0\n" +
                             rules(count, plain) + "  }\n}\n";
  ASSERT_GT(parts(script), 1U);
  const imr::Ruleset ruleset = read(script);
  ASSERT_EQ(ruleset.rules.size(), count);
  ASSERT_EQ(ruleset.chains.at(0).rules.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    const imr::Rule& rule = ruleset[ruleset.chains[0].rules[i]];
    ASSERT_EQ(rule.origin.handle, i + 2);  // the chain has the first
    ASSERT_EQ(rule.origin.location,
              (SourceLocation{"test.nft", static_cast<std::uint32_t>(i) + 4, 5}));
    ASSERT_TRUE(rule.origin.text.str().starts_with("ip saddr " + address(i) + " "))
        << rule.origin.text;
  }
}

TEST(LongScripts, OfSeveralTablesAndChains) {
  const std::string script =
      "flush ruleset\n"
      "define far = 10.9.0.0/16\n"
      "table inet a {\n"
      "  set known { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }\n"
      "  map to { type ipv4_addr : verdict; elements = { 192.0.2.1 : jump low } }\n"
      "  counter named { }\n"
      "  chain low {\n" +
      rules(many / 4, plain) +
      "  }\n"
      "  chain high { accept; drop; }\n"
      "  chain base {\n    type filter hook forward priority 0; policy drop;\n"
      "    # ip saddr 1.1.1.1 accept\n"
      "    define port = 77\n" +
      rules(many / 2,
            [](std::size_t i) -> std::string {
              switch (i % 60) {
                case 0:
                  return "ip saddr { " + address(i) +
                         ", 10.200.0.1-10.200.0.9 } tcp dport $port drop";
                case 1:
                  return "tcp dport vmap { " + std::to_string(i % 60000 + 1) +
                         " : jump low, 80 : accept } # either";
                case 2:
                  return "ip saddr @known ip daddr $far counter packets 3 bytes 180 goto high";
                case 3:
                  return "meta mark set tcp dport map { 1 : " + std::to_string(i) +
                         " }; udp sport {\n 5,\n 6 } accept comment \"a; } #\"";
                default:
                  return plain(i);
              }
            }) +
      "  }\n"
      "}\n"
      "table ip6 b {\n  chain c {\n    type filter hook input priority 0\n" +
      rules(many / 2,
            [](std::size_t i) {
              return "ip6 saddr 2001:db8::" + std::to_string(i % 9999) +
                     (i % 40 == 0 ? " tcp sport { 1, 2 } drop" : " drop");
            }) +
      "  }\n}\n";
  expect_same(script);
}

TEST(LongScripts, OfCommands) {
  std::string script =
      "add table ip t\nadd chain ip t c { type filter hook input priority 0; }\n"
      "add chain ip t d\nadd set ip t s { type inet_service; }\nadd element ip t s { 1, 2 }\n";
  for (const char* chain : {" ip t c ", " t d "}) {
    script += rules(many / 2, [&](std::size_t i) {
      return (i % 2 == 0 ? "add rule" : "rule") + std::string(chain) + plain(i) +
             (i % 5 == 0 ? ";" : "");
    });
  }
  expect_same(script, {.interface_index = {},
                       .commands = {"add element ip t s { 3 }", "delete element ip t s { 1 }"}});
}

// The interfaces that rules of different parts name are the same in all.
TEST(LongScripts, FindTheirInterfaces) {
  const std::string script =
      "table ip t {\n  chain c {\n    type filter hook input priority 0\n" +
      rules(many,
            [](std::size_t i) {
              if (i % 1000 != 500) return plain(i);
              return "iif \"there" + std::to_string(i / 4000) + "\" " + plain(i);
            }) +
      "  }\n}\n";
  expect_same(script, {.interface_index = [](const std::string&) { return std::nullopt; }});
}

TEST(LongScripts, NameTheLineOfAnError) {
  const std::string script =
      "table ip t {\n  chain c {\n" +
      rules(many, [](std::size_t i) { return i == many - 5 ? "ip saddr nonsense/3" : plain(i); }) +
      "  }\n}\n";
  ASSERT_GT(parts(script), 1U);
  EXPECT_EQ(refuse(script).location.line, many - 5 + 3);
}

// Each part is right for itself.
TEST(LongScripts, ThatJumpInACircle) {
  const auto chain = [](const std::string& name, const std::string& to) {
    return "  chain " + name + " {\n" + rules(many / 2, plain) + "    jump " + to + "\n  }\n";
  };
  const std::string base = "  chain base { type filter hook input priority 0; jump a; }\n";
  const std::string script = "table ip t {\n" + chain("a", "b") + chain("b", "a") + base + "}\n";
  ASSERT_GT(parts(script), 1U);
  EXPECT_NE(refuse(script).text().find("Too many links"), std::string::npos)
      << refuse(script).text();
}

// What makes rules depend on one another, or on where they stand.
TEST(LongScripts, ThatAreNotDivided) {
  const auto script = [](const std::string& in_chain, const std::string& behind) {
    return "table ip t {\n  set s { type ipv4_addr; flags dynamic; }\n  chain c {\n" +
           rules(many, plain) + "    " + in_chain + "\n  }\n}\n" + behind + "\n";
  };
  EXPECT_GT(parts(script("", "")), 1U);
  EXPECT_GT(parts(script("", "table ip6 t { chain c { accept; }; }")), 1U);
  EXPECT_EQ(parts(script("add @s { ip saddr }", "")), 1U);
  EXPECT_EQ(parts(script("jump { accept; }", "")), 1U);
  EXPECT_EQ(parts(script("meter m { ip saddr limit rate 1/second } drop", "")), 1U);
  EXPECT_EQ(parts(script("", "insert rule ip t c drop")), 1U);
  EXPECT_EQ(parts(script("", "add rule ip t c index 3 drop")), 1U);
  EXPECT_EQ(parts(script("", "delete rule ip t c handle 3")), 1U);
  EXPECT_EQ(parts(script("", "flush chain ip t c")), 1U);
  EXPECT_EQ(parts(script("", "include \"other.nft\"")), 1U);
  EXPECT_EQ(parts(script("", "add set ip t r { type ipv4_addr; }")), 1U);
  EXPECT_EQ(parts(script("", "add chain ip t d")), 1U);
  EXPECT_EQ(parts(script("", "table ip t { chain d { accept; }; }")), 1U);
  EXPECT_EQ(parts(script("", "add rule ip t d drop; add rule ip t c drop")), 1U);
}

}  // namespace
}  // namespace weir::frontend::nft::test
