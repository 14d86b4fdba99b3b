// SPDX-License-Identifier: BSD-2-Clause
//
// Sets that rules change, with timeouts, and with statements in their elements.
#include <gtest/gtest.h>

#include "imr/print.h"
#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

imr::Ruleset of_table(const std::string& body) {
  return read("table ip t {\n" + body + "}\n");
}

// The set of that name as the IMR prints it.
std::string set_text(const imr::Ruleset& ruleset, const std::string& name) {
  const std::string text = imr::print(ruleset);
  for (const char* kind : {"set ", "map "}) {
    const std::size_t at = text.find(kind + ("ip t " + name + " "));
    if (at == std::string::npos) continue;
    std::string out = text.substr(at, text.find('}', at) + 1 - at);
    for (std::size_t line = 0; (line = out.find("\n   ")) != std::string::npos;) {
      out.erase(line, 4);
    }
    return out;
  }
  return "none";
}

TEST(NftDynamicSets, SayHowManyAndHowLong) {
  const imr::Ruleset ruleset = of_table(R"(
  set a { type ipv4_addr; flags dynamic; timeout 1m; size 1000; }
  set b { type ipv4_addr . inet_service; flags dynamic; }
  set c { type ipv4_addr; timeout 1h; elements = { 10.0.0.1, 10.0.0.2 timeout 5m expires 3m } }
  set d { type ipv4_addr; flags timeout; elements = { 10.0.0.1 } }
  map m { type ipv4_addr : mark; flags dynamic; timeout 20s; }
  chain c {
    add @a { ip saddr }
    update @a { ip saddr timeout 30s }
    delete @a { ip daddr }
    add @b { ip saddr . tcp dport }
    update @m { ip saddr : 0x12 }
    ip saddr @c
  }
)");
  EXPECT_EQ(set_text(ruleset, "a"), "set ip t a ipv4_addr 4 dynamic timeouts 60000 size 1000 { }");
  EXPECT_EQ(set_text(ruleset, "b"),
            "set ip t b \"ipv4_addr . inet_service\" 8 fields 4 2 dynamic size 65535 { }");
  EXPECT_EQ(set_text(ruleset, "c"),
            "set ip t c ipv4_addr 4 dynamic timeouts 3600000 size 1024 { 0x0a000001 expires "
            "3600000, 0x0a000002 expires 180000 }");
  EXPECT_EQ(set_text(ruleset, "d"),
            "set ip t d ipv4_addr 4 dynamic timeouts 0 size 1024 { 0x0a000001 }");
  EXPECT_EQ(set_text(ruleset, "m"),
            "map ip t m ipv4_addr 4 to mark 4 dynamic timeouts 20000 size 65535 { }");
  EXPECT_EQ(statements(ruleset),
            "add payload network 12 4 later-fragments @a\n\n"
            "update payload network 12 4 later-fragments @a timeout 30000\n\n"
            "delete payload network 16 4 later-fragments @a\n\n"
            "match meta l4proto == 0x06\n"
            "add concat(payload network 12 4 later-fragments, payload transport 2 2 "
            "later-fragments) @b\n\n"
            "update payload network 12 4 later-fragments : 0x12000000 @m\n\n"
            "match payload network 12 4 later-fragments in @c\n");
}

TEST(NftDynamicSets, GiveElementsStatements) {
  const imr::Ruleset ruleset = of_table(R"(
  set a { type ipv4_addr; flags dynamic; }
  set b { type ipv4_addr; flags dynamic,timeout
    counter
    elements = { 10.0.0.9 timeout 1m, 10.0.0.8 } }
  set c { type ipv4_addr; counter; elements = { 10.0.0.1, 10.0.0.2 }
  }
  set d { type ipv4_addr; flags dynamic
    elements = { 10.0.0.9 limit rate 2/minute, 10.0.0.8 limit rate 2/minute } }
  chain c {
    update @a { ip saddr limit rate over 10/second } drop
    add @a { ip daddr limit rate over 10/second } accept
    add @b { ip saddr }
    ip saddr @c
    add @d { ip saddr limit rate 2/minute }
  }
)");
  EXPECT_EQ(set_text(ruleset, "a"),
            "set ip t a ipv4_addr 4 dynamic size 65535 each over limit 10 packets each 1 burst 5 "
            "{ }");
  EXPECT_EQ(set_text(ruleset, "b"),
            "set ip t b ipv4_addr 4 dynamic timeouts 0 size 65535 each counter packets 0 bytes 0 "
            "{ 0x0a000008, 0x0a000009 expires 60000 }");
  EXPECT_EQ(set_text(ruleset, "c"),
            "set ip t c ipv4_addr 4 dynamic size 1024 each counter packets 0 bytes 0 { 0x0a000001, "
            "0x0a000002 }");
  EXPECT_EQ(set_text(ruleset, "d"),
            "set ip t d ipv4_addr 4 dynamic size 65535 each limit 2 packets each 60 burst 5 { "
            "0x0a000008, 0x0a000009 }");
  EXPECT_EQ(statements(ruleset),
            "update payload network 12 4 later-fragments @a\ndrop\n\n"
            "add payload network 16 4 later-fragments @a\naccept\n\n"
            "add payload network 12 4 later-fragments @b\n\n"
            "match payload network 12 4 later-fragments in @c\n\n"
            "add payload network 12 4 later-fragments @d\n");
}

// Why the last rule of the table stays with the kernel.
std::string reason(const std::string& sets, const std::string& rules) {
  const imr::Ruleset ruleset = of_table(sets + "  chain c {\n" + rules + "  }\n");
  const auto& statements = ruleset.rules[ruleset.rules.size() - 1].statements;
  const auto* native = std::get_if<imr::Native>(&statements.back());
  return native == nullptr ? "none" : native->reason.str();
}

TEST(NftDynamicSets, StayWithTheKernelByName) {
  const std::string plain = "  set s { type ipv4_addr; flags dynamic; }\n";
  const std::string different =
      "elements of one set have different statements, which a program cannot tell apart";
  EXPECT_EQ(reason(plain, "    add @s { ip saddr }\n    add @s { ip saddr counter }\n"), different);
  EXPECT_EQ(reason(plain,
                   "    add @s { ip saddr limit rate 1/second }\n"
                   "    add @s { ip saddr limit rate 2/second }\n"),
            different);
  EXPECT_EQ(reason(plain, "    add @s { ip saddr ct count over 3 }\n"),
            "elements with 'connlimit' stay with the kernel");
  EXPECT_EQ(reason("  set i { type ipv4_addr; flags interval,timeout; timeout 5m; elements = { "
                   "10.0.0.0/8 } }\n",
                   "    ip saddr @i\n"),
            "elements of sets with intervals have no time and no state in a program");
  EXPECT_EQ(reason("  map v { type ipv4_addr : verdict; timeout 5m; }\n", "    ip saddr vmap @v\n"),
            "elements of maps to verdicts have no time and no state in a program");
  EXPECT_EQ(reason("  map m { type ipv4_addr : mark; flags dynamic; }\n",
                   "    add @m { ip saddr counter : 1 }\n"),
            "a map to data whose elements have statements");
}

}  // namespace
}  // namespace weir::frontend::nft::test
