// SPDX-License-Identifier: BSD-2-Clause
//
// The constants of a ruleset, with what stands around the place undone.
#include "imr/constants.h"

#include <gtest/gtest.h>

#include <string>

#include "imr/parse.h"

namespace weir::imr {
namespace {

std::string listed(const Constants& constants) {
  std::string out;
  for (const PacketConstant& c : constants.packet) {
    out += "#" + std::to_string(c.rule.value) + " " + std::string(to_string(c.base)) + " " +
           std::to_string(c.offset) + " " + std::to_string(c.length) + " " + to_hex(c.value) + "\n";
  }
  for (const ExtensionConstant& c : constants.extension) {
    const Extension& e = c.extension;
    out += "#" + std::to_string(c.rule.value) + " " + std::string(to_string(e.kind)) + " " +
           std::to_string(e.type) + " " + std::to_string(e.offset) + " " +
           std::to_string(e.length) + " " + to_hex(c.value) + "\n";
  }
  for (const MetaConstant& c : constants.meta) {
    out += "#" + std::to_string(c.rule.value) + " meta " + std::string(to_string(c.key)) + " " +
           to_hex(c.value) + "\n";
  }
  for (const CtConstant& c : constants.ct) {
    out += "#" + std::to_string(c.rule.value) + " ct " + to_hex(c.value) + "\n";
  }
  for (const NexthopConstant& c : constants.next_hop) {
    out += "#" + std::to_string(c.rule.value) + " nexthop " + to_hex(c.value) + "\n";
  }
  return out;
}

std::string constants_of(const std::string& rules) {
  const auto ruleset = parse_ruleset(
      "table ip t set ip t s x 2 interval { 0x0001-0x0009, 0x0020 }\n"
      "map ip t m x 2 { 0x0016 : accept, * : drop }\n"
      "map ip t d x 2 to mark 4 { 0x0017 : 0x01000000 }\nchain ip t c\n" +
          rules,
      "test");
  EXPECT_TRUE(ruleset) << ruleset.error().text();
  return ruleset ? listed(constants(*ruleset)) : std::string();
}

TEST(ImrConstants, UndoTheOperationsAroundAPlace) {
  EXPECT_EQ(constants_of("rule match payload network 12 4 == 0x0a000001"),
            "#0 network 12 4 0x0a000001\n");
  EXPECT_EQ(constants_of("rule match (payload network 12 4 & 0xffff0000 ^ 0x01000000) == "
                         "0x0a010000"),
            "#0 network 12 4 0x0b010000\n");
  EXPECT_EQ(constants_of("rule match swap2(payload network 2 4) >= 0x01020304"),
            "#0 network 2 4 0x02010403\n");
  EXPECT_EQ(constants_of("rule match (payload network 2 4 << 8) == 0x00010203"),
            "#0 network 2 4 0x01020300\n");
  EXPECT_EQ(constants_of("rule match (payload network 2 8 >> 16) == 0x0304000007080102"),
            "#0 network 2 8 0x0102030400000708\n");
  EXPECT_EQ(constants_of("rule match (payload network 8 2 << 4) == 0x10000000"),
            "#0 network 8 2 0x0100\n");
}

TEST(ImrConstants, HoldWhatIsAskedOfItemsOfLists) {
  EXPECT_EQ(constants_of("rule match (extension ipv6 44 2 2 & 0xfff8) == 0x0008 "
                         "match extension tcp 2 present == 0x01"),
            "#0 ipv6 44 2 2 0x0008\n#0 tcp 2 0 1 0x01\n");
}

TEST(ImrConstants, HoldBothEndsOfRangesAndElements) {
  EXPECT_EQ(constants_of("rule match payload transport 2 2 not in [0x0400, 0x0800]"),
            "#0 transport 2 2 0x0400\n#0 transport 2 2 0x0800\n");
  EXPECT_EQ(constants_of("rule match payload transport 2 2 in @s"),
            "#0 transport 2 2 0x0001\n#0 transport 2 2 0x0009\n#0 transport 2 2 0x0020\n");
  EXPECT_EQ(constants_of("rule accept rule vmap payload transport 0 2 @m"),
            "#1 transport 0 2 0x0016\n");
}

TEST(ImrConstants, TakeConcatenationsApartAndLookIntoMaps) {
  EXPECT_EQ(constants_of("rule match concat(payload transport 0 2, payload network 9 1) == "
                         "0x0102000003000000"),
            "#0 transport 0 2 0x0102\n#0 network 9 1 0x03\n");
  EXPECT_EQ(constants_of("rule write meta mark (lookup(payload transport 2 2, @d) << 8)"),
            "#0 transport 2 2 0x0017\n");
  EXPECT_EQ(constants_of("rule match lookup(payload transport 2 2, @d) == 0x01000000"),
            "#0 transport 2 2 0x0017\n");
}

TEST(ImrConstants, PadWhatIsComparedInPart) {
  EXPECT_EQ(constants_of("rule match meta iifname == 0x657468"),
            "#0 meta iifname 0x65746800000000000000000000000000\n");
}

TEST(ImrConstants, HoldTheMaskOfNoneOfTheseBits) {
  EXPECT_EQ(constants_of("rule match (ct state & 0x06000000) != 0x00000000"),
            "#0 ct 0x00000000\n#0 ct 0x06000000\n");
}

TEST(ImrConstants, NamedFieldsStandWhereTheTableSays) {
  EXPECT_EQ(constants_of("rule match field \"udp dport\" == 0x0035"),
            "#0 transport 2 2 0x0035\n#0 meta l4proto 0x11\n");
}

TEST(ImrConstants, OfNextHopsAreDestinationsToo) {
  EXPECT_EQ(constants_of("rule match (nexthop(payload network 16 4) & 0xffff0000) == 0x0a010000"),
            "#0 network 16 4 0x0a010000\n#0 nexthop 0x0a010000\n");
}

TEST(ImrConstants, UnitsCountWhatTheyReach) {
  const auto unit = parse_unit(
      "unit netfilter:forward ipv4 roots ip t f\n"
      "table ip t\n"
      "chain ip t f hook forward priority 0 policy drop\n"
      "  rule match meta mark == 0x01000000 jump sub\n"
      "  rule match meta mark == 0x02000000 goto sub\n"
      "chain ip t sub\n  rule match meta l4proto == 0x06\n"
      "chain ip t other\n  rule match meta l4proto == 0x11\n",
      "test");
  ASSERT_TRUE(unit) << unit.error().text();
  EXPECT_EQ(listed(constants(*unit)),
            "#0 meta mark 0x01000000\n#1 meta mark 0x02000000\n#2 meta l4proto 0x06\n");
}

}  // namespace
}  // namespace weir::imr
