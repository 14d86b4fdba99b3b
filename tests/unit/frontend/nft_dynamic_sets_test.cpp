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
            "3600000, 0x0a000002 expires 180000 timeout 300000 }");
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

// Intervals lead to their ends, and these to what is kept.
TEST(NftDynamicSets, OfIntervalsAreTwo) {
  const imr::Ruleset ruleset = of_table(
      "  set nets { type ipv4_addr; flags interval,timeout; elements = { 10.0.0.0/24 timeout 1h, "
      "10.0.1.1 } }\n"
      "  set ports { type inet_service; flags interval; counter; elements = { 80-90 } }\n"
      "  set both { type ipv4_addr . inet_service; flags interval; counter; elements = { "
      "10.0.0.0/8 . 80-90 } }\n"
      "  map zones { type ipv4_addr : mark; flags interval,timeout; elements = { 10.0.0.0/8 "
      "timeout "
      "1h : 7 } }\n"
      "  chain c {\n    ip saddr @nets\n    tcp dport != @ports\n    ip saddr . tcp dport @both\n"
      "    meta mark set ip saddr map @zones\n  }\n");
  EXPECT_EQ(
      set_text(ruleset, "\"nets ranges\""),
      "map ip t \"nets ranges\" ipv4_addr 4 to \"ipv4_addr . ipv4_addr\" 8 interval anonymous "
      "{ 0x0a000000-0x0a0000ff : 0x0a0000000a0000ff, 0x0a000101 : 0x0a0001010a000101 }");
  EXPECT_EQ(set_text(ruleset, "nets"),
            "set ip t nets ipv4_addr 8 fields 4 4 dynamic ranges timeouts 0 size 1024 { "
            "0x0a0000000a0000ff expires 3600000, 0x0a0001010a000101 }");
  EXPECT_EQ(
      set_text(ruleset, "\"ports ranges\""),
      "map ip t \"ports ranges\" inet_service 2 to \"inet_service . inet_service\" 8 interval "
      "anonymous { 0x0050-0x005a : 0x00500000005a0000, * : 0xffff000000000000 }");
  EXPECT_EQ(
      set_text(ruleset, "ports"),
      "set ip t ports inet_service 8 fields 2 2 dynamic ranges size 1024 each counter packets 0 "
      "bytes 0 { 0x00500000005a0000 }");
  EXPECT_EQ(set_text(ruleset, "both"),
            "set ip t both \"ipv4_addr . inet_service\" 16 fields 4 2 4 2 dynamic ranges size 1024 "
            "each counter packets 0 bytes 0 { 0x0a000000005000000affffff005a0000 }");
  EXPECT_EQ(set_text(ruleset, "zones"),
            "map ip t zones ipv4_addr 8 fields 4 4 to mark 4 dynamic ranges timeouts 0 size 1024 { "
            "0x0a0000000affffff : 0x07000000 expires 3600000 }");
  EXPECT_EQ(
      statements(ruleset),
      "match lookup(payload network 12 4 later-fragments, @\"nets ranges\") in @nets\n\n"
      "match meta l4proto == 0x06\n"
      "match lookup(payload transport 2 2 later-fragments, @\"ports ranges\") not in @ports\n\n"
      "match meta l4proto == 0x06\n"
      "match lookup(concat(payload network 12 4 later-fragments, payload transport 2 2 "
      "later-fragments), @\"both ranges\") in @both\n\n"
      "write meta mark lookup(lookup(payload network 12 4 later-fragments, @\"zones ranges\"), "
      "@zones)\n");
}

// Who looks up the data runs the statements.
TEST(NftDynamicSets, OfDataHaveStatements) {
  const imr::Ruleset ruleset = of_table(
      "  map m { type ipv4_addr : mark; flags dynamic; counter; elements = { 10.0.0.1 : 1 } }\n"
      "  chain c {\n    update @m { ip daddr counter : 3 }\n    meta mark set ip saddr map @m\n  "
      "}\n");
  EXPECT_EQ(set_text(ruleset, "m"),
            "map ip t m ipv4_addr 4 to mark 4 dynamic size 65535 each counter packets 0 bytes 0 { "
            "0x0a000001 : 0x01000000 }");
  EXPECT_EQ(statements(ruleset),
            "update payload network 16 4 later-fragments : 0x03000000 @m\n\n"
            "match payload network 12 4 later-fragments in @m\n"
            "write meta mark lookup(payload network 12 4 later-fragments, @m)\n");
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
  EXPECT_EQ(reason("  set i { type ipv4_addr . inet_service; flags interval; counter; elements = { "
                   "10.0.0.2-10.0.0.9 . 80, 10.0.0.0/8 . 80-81 } }\n",
                   "    ip saddr . tcp dport @i\n"),
            "elements that overlap have no time and no state in a program");
  EXPECT_EQ(reason("", "    ip saddr { 10.0.0.1 counter, 10.0.0.2 counter } drop\n"),
            "elements with statements in a set that says nothing of them");
  EXPECT_EQ(reason("", "    ip saddr { 10.0.0.0/8 counter, 11.0.0.0/8 counter } drop\n"),
            "elements with statements in a set that says nothing of them");
  std::string type = "mark";
  std::string key = "meta mark";
  for (int i = 1; i < 9; ++i) {
    type += " . mark";
    key += " . meta mark";
  }
  EXPECT_EQ(
      reason("  set l { type " + type + "; flags interval,timeout; }\n", "    " + key + " @l\n"),
      "intervals of more than 32 bytes have no time and no state in a program");
  EXPECT_EQ(reason("  map v { type ipv4_addr : verdict; timeout 5m; }\n", "    ip saddr vmap @v\n"),
            "elements of maps to verdicts have no time and no state in a program");
  EXPECT_EQ(
      reason("  map m { typeof numgen random mod 4 : meta mark; counter; elements = { 1 : 2 } }\n",
             "    meta mark set numgen random mod 4 map @m\n"),
      "a number is drawn for a map whose elements have statements");
}

}  // namespace
}  // namespace weir::frontend::nft::test
