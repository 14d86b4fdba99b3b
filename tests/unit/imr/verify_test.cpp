// SPDX-License-Identifier: BSD-2-Clause
//
// Every rule of the verifier, broken once.
#include "imr/verify.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "imr/parse.h"

namespace weir::imr {
namespace {

constexpr const char* good = R"(unit netfilter:forward ipv4 roots ip t base
table ip t
table ip u
set ip t s x 2 interval { 0x0001-0x0009, 0x0020 }
map ip t m x 2 { 0x0016 : jump sub, * : drop }
set ip t c "x . y" 8 fields 4 2 interval { 0x0a00000100100000-0x0a0000ff00200000, 0x0a00000500180000 }
map ip t d x 2 to mark 4 { 0x0016 : 0x01000000, * : 0x02000000 }
chain ip t base hook forward priority 0 policy drop
  rule #0
    match (payload network 12 4 & 0xff000000) == 0x0a000000
    counter #0
    jump sub
  rule #1
    match payload transport 2 2 in @s
    vmap payload transport 2 2 @m
chain ip t sub
  rule #2
    match (payload network 12 4 << 3) in [0x0a, 0x0b]
    match swap2(meta protocol) == 0x0008
    native "log" because "no"
  rule #3
    match concat(payload network 12 4, payload transport 2 2) in @c
    write meta mark lookup(payload transport 2 2, @d)
    match nexthop(payload network 16 4) == 0x0a000001
chain ip u other
)";

Unit good_unit() {
  auto unit = parse_unit(good, "good");
  if (!unit) throw InvariantError(unit.error().text());
  return *unit;
}

TEST(ImrVerify, AcceptsWhatIsRight) {
  EXPECT_EQ(find_violation(good_unit()), std::nullopt);
  EXPECT_NO_THROW(verify(good_unit()));
  EXPECT_NO_THROW(verify(good_unit().ruleset));
}

TEST(ImrVerify, ThrowsTheBrokenRule) {
  Unit unit = good_unit();
  unit.ruleset.chains[0].name = "sub";
  try {
    verify(unit);
    FAIL() << "expected an InvariantError";
  } catch (const InvariantError& error) {
    EXPECT_STREQ(error.what(), "two chains of one table named sub");
  }
}

struct Break {
  const char* violation;
  std::function<void(Unit&)> change;
};
void PrintTo(const Break& b, std::ostream* out) {
  *out << b.violation;
}

template <typename T>
T& statement(Unit& unit, std::size_t rule, std::size_t index) {
  return std::get<T>(unit.ruleset[RuleId(rule)].statements.edit().at(index));
}

// In the place of the write of a mark, with its value of 4 bytes.
template <typename T>
void write_packet(Unit& unit, T write) {
  write.value = statement<MetaWrite>(unit, 3, 1).value;
  unit.ruleset[RuleId(3)].statements.edit().at(1) = write;
}

template <typename T>
T& first_expr(Unit& unit) {
  for (Expr& expr : unit.ruleset.exprs) {
    if (auto* found = std::get_if<T>(&expr)) return *found;
  }
  throw InvariantError("the good unit has no such expression");
}

class ImrVerifyBroken : public testing::TestWithParam<Break> {};

TEST_P(ImrVerifyBroken, IsNamed) {
  Unit unit = good_unit();
  GetParam().change(unit);
  const auto violation = find_violation(unit);
  ASSERT_TRUE(violation) << "expected: " << GetParam().violation;
  EXPECT_EQ(*violation, GetParam().violation);
}

INSTANTIATE_TEST_SUITE_P(
    Rulesets, ImrVerifyBroken,
    testing::Values(
        Break{"two tables named t", [](Unit& u) { u.ruleset.tables[1].name = "t"; }},
        Break{"table id out of range", [](Unit& u) { u.ruleset.chains[0].table = TableId(9); }},
        Break{"two sets of one table named s", [](Unit& u) { u.ruleset.sets[1].name = "s"; }},
        Break{"interface name of other than 1 to 15 bytes: sixteencharacter",
              [](Unit& u) { u.ruleset.interfaces.push_back({"sixteencharacter", 1}); }},
        Break{"expression 0: payload of other than 1 to 64 bytes",
              [](Unit& u) { first_expr<Payload>(u).length = 65; }},
        Break{"expression 0: payload of other than 1 to 64 bytes",
              [](Unit& u) { first_expr<Payload>(u).length = 0; }},
        Break{"expression 0: extension of other than 1 to 64 bytes",
              [](Unit& u) { u.ruleset.exprs[0] = Extension{.length = 0}; }},
        Break{"expression 0: extension of other than 1 to 64 bytes",
              [](Unit& u) { u.ruleset.exprs[0] = Extension{.length = 65}; }},
        Break{"expression 0: presence of other than a whole extension",
              [](Unit& u) { u.ruleset.exprs[0] = Extension{.offset = 1, .presence = true}; }},
        Break{"expression 0: presence of other than a whole extension",
              [](Unit& u) { u.ruleset.exprs[0] = Extension{.length = 2, .presence = true}; }},
        Break{"expression 0: IPv4 option that is not looked for",
              [](Unit& u) {
                u.ruleset.exprs[0] = Extension{.kind = ExtensionKind::ipv4, .type = 68};
              }},
        Break{"expression 1: source is not older than the expression",
              [](Unit& u) { first_expr<MaskXor>(u).source = ExprId(1); }},
        Break{"expression 1: mask, flip and source differ in size",
              [](Unit& u) { first_expr<MaskXor>(u).mask.push_back(0); }},
        Break{"expression 1: mask, flip and source differ in size",
              [](Unit& u) { first_expr<MaskXor>(u).flip.pop_back(); }},
        Break{"expression 5: shift by other than 1 to 31 bits",
              [](Unit& u) { first_expr<Shift>(u).bits = 32; }},
        Break{"expression 5: shift of other than whole words",
              [](Unit& u) { std::get<Payload>(u.ruleset.exprs[4]).length = 6; }},
        Break{"expression 7: swap of other than 2, 4 or 8",
              [](Unit& u) { first_expr<ByteSwap>(u).unit = 3; }},
        Break{"expression 7: swap of broken units",
              [](Unit& u) { first_expr<ByteSwap>(u).unit = 4; }},
        Break{"expression 10: concatenation of nothing",
              [](Unit& u) { first_expr<Concat>(u).parts.clear(); }},
        Break{"expression 10: source is not older than the expression",
              [](Unit& u) { first_expr<Concat>(u).parts[1] = ExprId(10); }},
        Break{"expression 10: concatenation of more than 64 bytes",
              [](Unit& u) { first_expr<Concat>(u).parts.assign(17, ExprId(9)); }},
        Break{"expression 14: next hop of other than 4 or 16 bytes",
              [](Unit& u) { first_expr<Nexthop>(u).source = ExprId(9); }},
        Break{"expression 12: map id out of range",
              [](Unit& u) { first_expr<MapLookup>(u).map = SetId(9); }},
        Break{"expression 12: lookup of a value in a set without values",
              [](Unit& u) { first_expr<MapLookup>(u).map = SetId(1); }},
        Break{"expression 12: map key longer than the value",
              [](Unit& u) { u.ruleset.sets[3].key_size = 3; }},
        Break{"expression 12: translated use of a map that stays with the kernel",
              [](Unit& u) { u.ruleset.sets[3].native_reason = "dynamic"; }},
        Break{"expression 15: unknown header field 'no such'",
              [](Unit& u) { u.ruleset.add(HeaderField{"no such"}); }},
        Break{"expression 15: immediate of other than 1 to 64 bytes",
              [](Unit& u) { u.ruleset.add(Immediate{Bytes(65)}); }}));

INSTANTIATE_TEST_SUITE_P(
    Sets, ImrVerifyBroken,
    testing::Values(
        Break{"ip t @s: key of other than 1 to 64 bytes",
              [](Unit& u) { u.ruleset.sets[0].key_size = 0; }},
        Break{"ip t @s: element whose key has not the key size",
              [](Unit& u) { u.ruleset.sets[0].elements.edit()[0].last.pop_back(); }},
        Break{"ip t @s: interval that ends before it begins",
              [](Unit& u) { u.ruleset.sets[0].elements.edit()[0].last = Bytes{0, 0}; }},
        Break{"ip t @s: interval in a set without intervals",
              [](Unit& u) { u.ruleset.sets[0].interval = false; }},
        Break{"ip t @s: elements out of order or overlapping",
              [](Unit& u) { u.ruleset.sets[0].elements.edit()[1].key = Bytes{0, 9}; }},
        Break{"ip t @s: a verdict stands in the elements of verdict maps, and there only",
              [](Unit& u) { u.ruleset.sets[0].elements.edit()[1].verdict = Verdict{}; }},
        Break{"ip t @m: a verdict stands in the elements of verdict maps, and there only",
              [](Unit& u) { u.ruleset.sets[1].elements.edit()[0].verdict.reset(); }},
        Break{"ip t @m: catch-all with a key",
              [](Unit& u) { u.ruleset.sets[1].catch_all->key = Bytes{0, 0}; }},
        Break{"ip t @m: jump to a base chain",
              [](Unit& u) { u.ruleset.sets[1].elements.edit()[0].verdict->chain = ChainId(0); }},
        Break{"ip t @c: interval that ends before it begins",
              [](Unit& u) { u.ruleset.sets[2].elements.edit()[0].last[5] = 1; }},
        Break{"ip t @c: element with bytes between fields",
              [](Unit& u) { u.ruleset.sets[2].elements.edit()[0].last[7] = 1; }},
        Break{"ip t @c: element whose key has not the key size",
              [](Unit& u) { u.ruleset.sets[2].elements.edit()[1].key.pop_back(); }},
        Break{"ip t @c: fields that do not make up the key",
              [](Unit& u) { u.ruleset.sets[2].field_sizes = {4, 2, 1}; }},
        Break{"ip t @c: concatenation of fewer than two fields",
              [](Unit& u) { u.ruleset.sets[2].field_sizes = {8}; }},
        Break{"ip t @c: field of no bytes",
              [](Unit& u) { u.ruleset.sets[2].field_sizes = {8, 0}; }},
        Break{"ip t @c: an element's data has not the data size",
              [](Unit& u) { u.ruleset.sets[2].elements.edit()[1].data = {1}; }},
        Break{"ip t @d: an element's data has not the data size",
              [](Unit& u) { u.ruleset.sets[3].catch_all->data.pop_back(); }},
        Break{"ip t @d: data of more than 64 bytes",
              [](Unit& u) { u.ruleset.sets[3].data_size = 65; }},
        Break{"ip t @m: map to verdicts and to data",
              [](Unit& u) { u.ruleset.sets[1].data_size = 4; }}));

INSTANTIATE_TEST_SUITE_P(
    Rules, ImrVerifyBroken,
    testing::Values(
        Break{"counter's rule id out of range",
              [](Unit& u) { u.ruleset.counters.edit()[0].rule = RuleId(9); }},
        Break{"ip t base: rule id out of range",
              [](Unit& u) { u.ruleset.chains[0].rules.push_back(RuleId(9)); }},
        Break{"ip t sub: rule #0 is listed twice",
              [](Unit& u) { u.ruleset.chains[1].rules.push_back(RuleId(0)); }},
        Break{"ip u other rule #0: rule of another table",
              [](Unit& u) { u.ruleset[RuleId(0)].chain = ChainId(2); }},
        Break{"ip t base rule #1: copied rule id out of range",
              [](Unit& u) { u.ruleset[RuleId(1)].copy_of = RuleId(9); }},
        Break{"ip t base rule #1: copy of a copy",
              [](Unit& u) {
                u.ruleset[RuleId(1)].copy_of = RuleId(0);
                u.ruleset[RuleId(0)].copy_of = RuleId(2);
                std::swap(u.ruleset.chains[0].rules[0], u.ruleset.chains[0].rules[1]);
              }},
        Break{"ip t sub rule #2: native statement before the last",
              [](Unit& u) { u.ruleset[RuleId(2)].statements.push_back(VerdictStatement{}); }},
        Break{"ip t base rule #0: expression id out of range",
              [](Unit& u) { statement<Match>(u, 0, 0).lhs = ExprId(99); }},
        Break{"ip t base rule #0: comparison with no bytes, or more than the value has",
              [](Unit& u) { statement<Match>(u, 0, 0).rhs = Bytes(5); }},
        Break{"ip t base rule #0: comparison with no bytes, or more than the value has",
              [](Unit& u) { statement<Match>(u, 0, 0).rhs = {}; }},
        Break{"ip t sub rule #2: ends of a range differ in size",
              [](Unit& u) { statement<MatchRange>(u, 2, 0).to = Bytes(2); }},
        Break{"ip t sub rule #2: range of no bytes, or more than the value has",
              [](Unit& u) { statement<MatchRange>(u, 2, 0).from = Bytes(5); }},
        Break{"ip t base rule #0: counter id out of range",
              [](Unit& u) { statement<Counter>(u, 0, 1).counter = CounterId(1); }},
        Break{"ip t base rule #1: set id out of range",
              [](Unit& u) { statement<MatchSet>(u, 1, 0).set = SetId(7); }},
        Break{"ip t base rule #1: set of another table",
              [](Unit& u) { u.ruleset.sets[0].table = TableId(1); }},
        Break{"ip t base rule #1: set key longer than the value",
              [](Unit& u) { statement<MatchSet>(u, 1, 0).key = u.ruleset.add(Immediate{{1}}); }},
        Break{"ip t base rule #1: vmap wants a verdict map",
              [](Unit& u) { statement<VerdictMap>(u, 1, 1).map = SetId(0); }},
        Break{"ip t sub rule #3: map of another table",
              [](Unit& u) { u.ruleset.sets[3].table = TableId(1); }},
        Break{"ip t sub rule #3: write of a meta key that cannot be written",
              [](Unit& u) { statement<MetaWrite>(u, 3, 1).key = MetaKey::length; }},
        Break{"ip t sub rule #3: write of a value of another size",
              [](Unit& u) { statement<MetaWrite>(u, 3, 1).value = ExprId(9); }},
        Break{"ip t sub rule #3: write of no bytes, or of more than the value has",
              [](Unit& u) { write_packet(u, PayloadWrite{.length = 5}); }},
        Break{"ip t sub rule #3: write of no bytes, or of more than the value has",
              [](Unit& u) { write_packet(u, PayloadWrite{.length = 0}); }},
        Break{
            "ip t sub rule #3: write behind the transport header",
            [](Unit& u) { write_packet(u, PayloadWrite{.base = HeaderBase::inner, .length = 2}); }},
        Break{"ip t sub rule #3: write of a pseudo header outside of the network header",
              [](Unit& u) {
                write_packet(
                    u, PayloadWrite{
                           .base = HeaderBase::transport, .length = 2, .pseudo_header = true});
              }},
        Break{"ip t sub rule #3: write of more of the link header than its addresses",
              [](Unit& u) {
                write_packet(u, PayloadWrite{.base = HeaderBase::link, .offset = 11, .length = 2});
              }},
        Break{"ip t sub rule #3: write of other than 2 or 4 bytes of an option, or of more than "
              "the value has",
              [](Unit& u) { write_packet(u, OptionWrite{.type = 3, .length = 1, .value = {}}); }},
        Break{"ip t sub rule #3: write of other than 2 or 4 bytes of an option, or of more than "
              "the value has",
              [](Unit& u) {
                write_packet(u, OptionWrite{.type = 3, .length = 4, .value = {}});
                statement<OptionWrite>(u, 3, 1).value = u.ruleset.add(Immediate{{1, 2}});
              }},
        Break{"ip t sub rule #3: write of an option's type or length",
              [](Unit& u) { write_packet(u, OptionWrite{.type = 3, .offset = 1, .value = {}}); }},
        Break{"ip t base rule #1: translated use of a set that stays with the kernel",
              [](Unit& u) { u.ruleset.sets[0].native_reason = "dynamic"; }}));

INSTANTIATE_TEST_SUITE_P(
    Walks, ImrVerifyBroken,
    testing::Values(
        Break{"ip t base rule #0: target chain id out of range",
              [](Unit& u) { statement<VerdictStatement>(u, 0, 2).verdict.chain = ChainId(9); }},
        Break{"ip t base rule #0: jump to another table",
              [](Unit& u) { statement<VerdictStatement>(u, 0, 2).verdict.chain = ChainId(2); }},
        Break{"ip t base rule #0: jump to a base chain",
              [](Unit& u) { statement<VerdictStatement>(u, 0, 2).verdict.chain = ChainId(0); }},
        Break{"ip t sub: jumps in a circle",
              [](Unit& u) {
                u.ruleset[RuleId(2)].statements = {
                    VerdictStatement{{.kind = Verdict::Kind::go_to, .chain = ChainId(1)}}};
              }},
        Break{"root id out of range", [](Unit& u) { u.roots = {ChainId(9)}; }},
        Break{"ip t sub: root is not a base chain", [](Unit& u) { u.roots = {ChainId(1)}; }},
        Break{"ip t base: root of a family that never sees the unit's packets",
              [](Unit& u) { u.nfproto = Nfproto::ipv6; }}));

// base, c1, c2, ...: each jumps to the next.
std::string chain_of_jumps(int chains) {
  std::string text = "table ip t\nchain ip t base hook forward priority 0 policy drop\n";
  for (int i = 1; i < chains; ++i) {
    const std::string name = "c" + std::to_string(i);
    text += "rule jump " + name + "\nchain ip t " + name + "\n";
  }
  return text;
}

TEST(ImrVerify, SixteenChainsBelowOneAnotherAreTheMost) {
  EXPECT_TRUE(parse_ruleset(chain_of_jumps(16), "f"));
  const auto deeper = parse_ruleset(chain_of_jumps(17), "f");
  ASSERT_FALSE(deeper);
  EXPECT_EQ(deeper.error().text(), "f: ip t base: jumps more than 16 chains deep");
}

std::string refusal(const std::string& statements) {
  const auto parsed = parse_ruleset("table ip t\nchain ip t c\nrule " + statements + "\n", "f");
  return parsed ? "none" : parsed.error().text();
}

TEST(ImrVerify, AnswersDropAndAreKnown) {
  EXPECT_EQ(refusal("answer icmp 3 drop"), "none");
  EXPECT_EQ(refusal("answer icmp 3"), "f: ip t c rule #0: answer without a drop behind it");
  EXPECT_EQ(refusal("answer reset accept"), "f: ip t c rule #0: answer without a drop behind it");
  EXPECT_EQ(refusal("answer icmpx 4 drop"),
            "f: ip t c rule #0: answer with a code that there is not");
  EXPECT_EQ(refusal("answer icmp 3 meter #0 quota 5 used 0 drop"),
            "f: ip t c rule #0: answers with a limit of other than packets");
}

TEST(ImrVerify, PacketsAreSentToDevicesAndDropped) {
  EXPECT_EQ(refusal("duplicate 0x01000000 forward meta iif drop"), "none");
  EXPECT_EQ(refusal("forward 0x01000000"), "f: ip t c rule #0: forward without a drop behind it");
  EXPECT_EQ(refusal("forward 0x0100 drop"),
            "f: ip t c rule #0: a device by a value of other than 4 bytes");
  EXPECT_EQ(refusal("duplicate meta iifname"),
            "f: ip t c rule #0: a device by a value of other than 4 bytes");
}

TEST(ImrVerify, ChoicesAreByPlacesAndOfOneKind) {
  EXPECT_EQ(refusal("choose meta mark of { counter, counter }"), "none");
  EXPECT_EQ(refusal("choose meta l4proto of { counter }"),
            "f: ip t c rule #0: choice by a value of other than 4 bytes");
  EXPECT_EQ(refusal("choose meta mark of { counter, meter quota 5 used 0 }"),
            "f: ip t c rule #0: choice of nothing, or of both counters and meters");
  EXPECT_EQ(refusal("choose meta mark of { meter sequence 5 }"),
            "f: ip t c rule #0: statement that takes from a sequence");
  EXPECT_EQ(refusal("choose meta mark of { limit }"),
            "f:3:28: found 'limit', expected counter or meter");
}

TEST(ImrVerify, ChainsThatNoPacketComesToMayJumpInACircle) {
  const std::string circle = "chain ip t a\nrule jump b\nchain ip t b\nrule jump a\n";
  EXPECT_TRUE(parse_ruleset("table ip t\n" + circle, "f"));
  const auto reached = parse_ruleset(
      "table ip t\nchain ip t base hook forward priority 0 policy drop\nrule jump a\n" + circle,
      "f");
  ASSERT_FALSE(reached);
  EXPECT_EQ(reached.error().text(), "f: ip t a: jumps in a circle");
}

}  // namespace
}  // namespace weir::imr
