// SPDX-License-Identifier: BSD-2-Clause
//
// Chains, verdicts and verdict maps: the program goes where the rules say, and comes back there.
#include <gtest/gtest.h>

#include <cstdlib>

#include "packet/builder.h"
#include "unit/backend/support.h"
#include "unit/passes/unit_generator.h"

namespace weir::test {
namespace {

const std::string head =
    "unit netfilter:forward ipv4 roots ip t c\n"
    "table ip t\n";

packet::Packet marked(std::uint32_t mark) {
  packet::Packet packet = packet::build({.network = packet::Ipv4{}, .transport = packet::Tcp{}});
  packet.mark = mark;
  return packet;
}

// Runs packets of mark 0 to `marks` and compares with the evaluator; what became of each.
std::vector<std::string> outcomes(const std::string& text, std::uint32_t marks) {
  const imr::Unit unit = parse_unit(text);
  Compiled program = compile(text);
  Compiled plain = compile(text, {.flow_passes = false});
  Compiled optimized = compile(text, {.imr_passes = true});
  Compiled parts = compile(text, {.small_parts = true});
  Compiled plain_parts = compile(text, {.flow_passes = false, .small_parts = true});
  std::vector<std::string> all;
  for (std::uint32_t mark = 0; mark <= marks; ++mark) {
    all.push_back(told(program, marked(mark)));
    EXPECT_EQ(all.back(), meant(unit, marked(mark))) << "mark " << mark;
    EXPECT_EQ(told(plain, marked(mark)), all.back()) << "mark " << mark << ", no flow passes";
    EXPECT_EQ(told(optimized, marked(mark)), all.back()) << "mark " << mark << ", IMR passes";
    EXPECT_EQ(told(parts, marked(mark)), all.back()) << "mark " << mark << ", in parts";
    EXPECT_EQ(told(plain_parts, marked(mark)), all.back())
        << "mark " << mark << ", no flow passes, in parts";
  }
  return all;
}

using Outcomes = std::vector<std::string>;

TEST(Chains, SharedOnesReturnToTheRuleBehindTheirJump) {
  EXPECT_EQ(outcomes(head + "chain ip t c hook forward priority 0 policy drop\n"
                            "rule match meta mark == 0x00000000 jump shared\n"
                            "rule match meta mark < 0x02000000 jump shared\n"
                            "rule match meta mark == 0x01000000 accept\n"
                            "rule jump shared\n"
                            "chain ip t shared\n"
                            "rule match meta mark == 0x03000000 accept\n"
                            "rule counter\n",
                     3),
            (Outcomes{"drop by policy, matched #0 #5 #1 #5 #3 #5", "accept by #2, matched #1 #5 #2",
                      "drop by policy, matched #3 #5", "accept by #4, matched #3 #4"}));
}

// An inner shared chain entered from several outer ones, and from the base chain.
TEST(Chains, NestedSharedOnesReturnEachToItsOwnCaller) {
  EXPECT_EQ(outcomes(head + "chain ip t c hook forward priority 0 policy accept\n"
                            "rule match meta mark == 0x00000000 jump outer\n"
                            "rule match meta mark == 0x01000000 jump inner\n"
                            "rule match meta mark == 0x02000000 goto outer\n"
                            "rule jump outer\n"
                            "rule drop\n"
                            "chain ip t outer\n"
                            "rule jump inner\n"
                            "rule match meta mark >= 0x02000000 jump inner\n"
                            "rule counter\n"
                            "chain ip t inner\n"
                            "rule match meta mark == 0x03000000 return\n"
                            "rule counter\n",
                     3),
            (Outcomes{"drop by #4, matched #0 #5 #9 #7 #3 #5 #9 #7 #4",
                      "drop by #4, matched #1 #9 #3 #5 #9 #7 #4",
                      "accept by policy, matched #2 #5 #9 #6 #9 #7",
                      "drop by #4, matched #3 #5 #8 #6 #8 #7 #4"}));
}

TEST(Chains, GotoReturnsToTheCallersCaller) {
  EXPECT_EQ(outcomes(head + "chain ip t c hook forward priority 0 policy drop\n"
                            "rule jump a\n"
                            "rule match meta mark == 0x01000000 accept\n"
                            "rule return\n"
                            "rule accept\n"
                            "chain ip t a\n"
                            "rule match meta mark <= 0x01000000 goto b\n"
                            "rule match meta mark == 0x02000000 accept\n"
                            "chain ip t b\n"
                            "rule return\n"
                            "rule accept\n",
                     3),
            (Outcomes{"drop by policy, matched #0 #4 #6 #2", "accept by #1, matched #0 #4 #6 #1",
                      "accept by #5, matched #0 #5", "drop by policy, matched #0 #2"}));
}

TEST(Chains, MapsGoOnBehindContinueAndEndTheRuleWithoutTheKey) {
  EXPECT_EQ(
      outcomes(head + "map ip t m mark 4 { 0x00000000 : continue, 0x01000000 : accept,\n"
                      "  0x02000000 : jump sub, 0x03000000 : goto sub, 0x04000000 : drop,\n"
                      "  0x05000000 : return }\n"
                      "chain ip t c hook forward priority 0 policy accept\n"
                      "rule vmap meta mark @m counter\n"
                      "rule match meta mark <= 0x02000000 drop\n"
                      "chain ip t sub\n"
                      "rule counter\n",
               6),
      (Outcomes{"drop by #1, matched #0 #1", "accept by #0, matched #0",
                "drop by #1, matched #0 #2 #1", "accept by policy, matched #0 #2",
                "drop by #0, matched #0", "accept by policy, matched #0", "accept by policy"}));
}

TEST(Chains, CatchAllOfAMapAnswersForAllOtherKeys) {
  EXPECT_EQ(outcomes(head + "map ip t m mark 4 { 0x01000000 : continue, * : jump sub }\n"
                            "chain ip t c hook forward priority 0 policy accept\n"
                            "rule vmap meta mark @m drop\n"
                            "chain ip t sub\n"
                            "rule match meta mark == 0x02000000 accept\n",
                     2),
            (Outcomes{"accept by policy, matched #0", "drop by #0, matched #0",
                      "accept by #1, matched #0 #1"}));
}

// Behind a map whose verdicts all end the rule, nothing is reached, chains included.
TEST(Chains, JumpsThatNothingReachesAreNoSites) {
  EXPECT_EQ(
      outcomes(head + "map ip t m mark 4 { 0x00000000 : accept, 0x01000000 : drop }\n"
                      "chain ip t c hook forward priority 0 policy accept\n"
                      "rule vmap meta mark @m jump sub\n"
                      "rule vmap meta mark @m jump sub\n"
                      "rule drop jump sub\n"
                      "chain ip t sub\n"
                      "rule accept\n",
               2),
      (Outcomes{"accept by #0, matched #0", "drop by #0, matched #0", "drop by #2, matched #2"}));
}

TEST(Chains, EveryBaseChainDecidesUntilOneDrops) {
  EXPECT_EQ(outcomes("unit netfilter:forward ipv4 roots ip t a, ip t b\n"
                     "table ip t\n"
                     "chain ip t a hook forward priority 0 policy accept\n"
                     "rule match meta mark == 0x00000000 accept\n"
                     "rule match meta mark == 0x01000000 drop\n"
                     "chain ip t b hook forward priority 1 policy drop\n"
                     "rule match meta mark == 0x02000000 accept\n",
                     2),
            (Outcomes{"drop by policy, matched #0", "drop by #1, matched #1",
                      "accept by #2, matched #2"}));
}

TEST(Chains, CountersCountWhatPassesThem) {
  Compiled program = compile(head +
                             "chain ip t c hook forward priority 0 policy accept\n"
                             "rule counter match meta mark == 0x01000000 counter jump sub\n"
                             "rule jump sub\n"
                             "chain ip t sub\n"
                             "rule counter\n");
  for (const std::uint32_t mark : {0U, 1U, 1U}) (void)program.run(marked(mark));
  EXPECT_EQ(program.packets(0), 3U);
  EXPECT_EQ(program.packets(1), 2U);
  EXPECT_EQ(program.packets(2), 5U);
}

// A list of thousands of rules, where nothing meets for long, is compiled and checked in time.
TEST(Backend, LongListsOfPlainRulesAreCheckedAndRun) {
  std::string text = head + "chain ip t c hook forward priority 0 policy accept\n";
  for (unsigned i = 0; i < 4000; ++i) {
    text +=
        "rule match payload network 12 4 == " + to_hex(big_endian_bytes(0x0a000000 + 3 * i, 4)) +
        " counter drop\n";
  }
  Compiled program = compile(text);  // without the pass that finds runs
  EXPECT_GT(program.object().programs.front().insns.size(), 40000U);
  const auto from = [&](const packet::Ipv4Address& source) {
    return told(program, packet::build({.network = packet::Ipv4{.source = source}}));
  };
  EXPECT_EQ(from({10, 0, 0, 0}), "drop by #0, matched #0");
  EXPECT_EQ(from({10, 0, 0x2e, 0xdd}), "drop by #3999, matched #3999");  // 3 * 3999 = 0x2edd
  EXPECT_EQ(from({10, 0, 0x2e, 0xde}), "accept by policy");
}

std::size_t wish(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

// Random units, with and without passes, do in the engine what they mean. WEIR_SEED in the
// environment varies a run, WEIR_UNITS makes it longer.
TEST(Backend, ProgramsDoWhatUnitsMean) {
  Random random(wish("WEIR_SEED", 1));
  const std::size_t units = wish("WEIR_UNITS", 60);
  for (std::size_t i = 0; i < units; ++i) {
    const UnitOptions shape{.at_xdp = i % 4 >= 2,
                            .nfproto = i % 2 == 0 ? Nfproto::ipv4 : Nfproto::ipv6};
    const std::string text = random_unit(shape, random);
    const imr::Unit unit = parse_unit(text);
    const CompileOptions options{
        .imr_passes = i % 3 == 0, .flow_passes = i % 5 != 0, .untrusted_memory = i % 7 != 0};
    Result<Compiled> program = Compiled::make({unit}, options);
    ASSERT_TRUE(program.has_value()) << program.error().text() << "\n" << text;
    for (const packet::Packet& packet : packets_for(unit, 60, random)) {
      ASSERT_EQ(told(*program, packet), meant(unit, packet))
          << "packet " << to_hex(packet.bytes) << " mark " << packet.mark << " iif "
          << packet.in.index << "\n"
          << text;
    }
  }
}

}  // namespace
}  // namespace weir::test
