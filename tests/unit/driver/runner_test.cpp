// SPDX-License-Identifier: BSD-2-Clause
//
// The engines behind one face: what each base chain adds to the outcome, what a native rule
// answers, what an engine cannot do.
#include "driver/runner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "imr/parse.h"
#include "packet/builder.h"

namespace weir::driver {
namespace {

using Verdict = imr::Outcome::Verdict;

// Two base chains at forward. The second one in the text runs first.
constexpr const char* two_chains = R"(table inet filter
chain inet filter late hook forward priority 10 policy accept
  rule #0 handle 10 "late"
    counter #0 packets 0 bytes 0
chain inet filter early hook forward priority -10 policy accept
  rule #1 handle 20 "port 22"
    match meta l4proto == 0x06
    match payload transport 2 2 == 0x0016
    counter #1 packets 5 bytes 500
    drop
  rule #2 handle 21 "port 23"
    match meta l4proto == 0x06
    match payload transport 2 2 == 0x0017
    accept
)";

constexpr const char* with_native = R"(table inet filter
chain inet filter only hook forward priority 0 policy accept
  rule #0 handle 10 "port 22" statements 3
    match meta l4proto == 0x06
    match payload transport 2 2 == 0x0016
    native "limit rate 1/second" because "it keeps state"
  rule #1 handle 11 "all"
    drop
)";

struct World {
  imr::Ruleset ruleset;
  Compilation compilation;
};

World compiled(const char* text, const Hook& hook = {}) {
  auto ruleset = imr::parse_ruleset(text, "test");
  if (!ruleset) throw std::runtime_error(ruleset.error().text());
  const auto attachments = plan(*ruleset, hook, {});
  if (!attachments) throw std::runtime_error(attachments.error().text());
  auto compilation = compile(with_stand_ins(*ruleset), *attachments, {.trace = true});
  if (!compilation) throw std::runtime_error(compilation.error().text());
  return {std::move(*ruleset), std::move(*compilation)};
}

packet::Packet tcp_to(std::uint16_t port) {
  return packet::build({.transport = packet::Tcp{.destination_port = port}});
}

std::vector<std::uint64_t> handles(const imr::Ruleset& ruleset,
                                   const std::vector<imr::RuleId>& rules) {
  std::vector<std::uint64_t> out;
  for (const imr::RuleId id : rules) out.push_back(ruleset[id].origin.handle);
  return out;
}

class Engines : public testing::TestWithParam<EngineKind> {};

TEST_P(Engines, WalkBaseChainsInOrderUntilOneDrops) {
  const World world = compiled(two_chains);
  auto runner = Runner::create(GetParam(), world.ruleset, world.compilation);
  ASSERT_TRUE(runner) << runner.error().text();

  const auto dropped = runner->run(tcp_to(22));
  EXPECT_EQ(dropped->verdict, Verdict::drop);
  EXPECT_EQ(handles(world.ruleset, dropped->matched), (std::vector<std::uint64_t>{20}));
  EXPECT_EQ(dropped->decided_by, imr::RuleId(1));

  const auto passed = runner->run(tcp_to(23));
  EXPECT_EQ(passed->verdict, Verdict::accept);
  EXPECT_EQ(handles(world.ruleset, passed->matched), (std::vector<std::uint64_t>{21, 10}));
  EXPECT_FALSE(passed->decided_by) << "the last chain's policy decided";

  const auto counters = runner->counters();
  ASSERT_TRUE(counters);
  EXPECT_EQ(*counters, (std::vector<CounterTotal>{{1, 40}, {1, 40}}));
}

TEST_P(Engines, LetOtherProtocolsPassNetfilterHooks) {
  const World world = compiled(two_chains);
  auto runner = Runner::create(GetParam(), world.ruleset, world.compilation);
  ASSERT_TRUE(runner) << runner.error().text();
  const auto outcome = runner->run(packet::build({.network = packet::Arp{}}));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->verdict, Verdict::accept);
  EXPECT_TRUE(outcome->matched.empty());
}

TEST_P(Engines, AnswerNativeWhereARuleMustStayWithTheKernel) {
  const World world = compiled(with_native);
  auto runner = Runner::create(GetParam(), world.ruleset, world.compilation);
  ASSERT_TRUE(runner) << runner.error().text();
  const auto native = runner->run(tcp_to(22));
  EXPECT_EQ(native->verdict, Verdict::native);
  EXPECT_EQ(native->decided_by, imr::RuleId(0));
  EXPECT_TRUE(native->matched.empty());
  EXPECT_EQ(runner->run(tcp_to(80))->verdict, Verdict::drop);
}

TEST_P(Engines, WantFramesAtXdp) {
  const World world = compiled(with_native, {.kind = Hook::Kind::xdp});
  auto runner = Runner::create(GetParam(), world.ruleset, world.compilation);
  ASSERT_TRUE(runner) << runner.error().text();
  const auto refused = runner->run(tcp_to(80));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no Ethernet header"), std::string::npos)
      << refused.error().message;
  const auto frame = runner->run(packet::build(
      {.link = packet::Ethernet{}, .transport = packet::Tcp{.destination_port = 80}}));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->verdict, Verdict::drop);
}

INSTANTIATE_TEST_SUITE_P(Userspace, Engines,
                         testing::Values(EngineKind::evaluator, EngineKind::interpreter));

constexpr const char* marking = R"(table inet filter
chain inet filter only hook forward priority 0 policy accept
  rule #0 handle 10 "port 22"
    match meta l4proto == 0x06
    match payload transport 2 2 == 0x0016
    write meta mark 0x07000000
  rule #1 handle 11 "marked 7"
    match meta mark == 0x07000000
    counter #0 packets 0 bytes 0
)";

// With a rule about a device, the kernel's answer comes from an attached program.
TEST(Runner, TellsTheMarkThatEachEngineLeaves) {
  const std::string of_device =
      std::string(marking) + "  rule #2 handle 12 \"device\"\n    match meta iif == 0x09000000\n";
  packet::Packet packet =
      packet::build({.link = packet::Ethernet{}, .transport = packet::Tcp{.destination_port = 22}});
  packet.in = {.index = 9, .name = "in9"};
  for (const std::string& text : {std::string(marking), of_device}) {
    const World world = compiled(text.c_str(), {.kind = Hook::Kind::tc_ingress});
    for (const EngineKind kind :
         {EngineKind::evaluator, EngineKind::interpreter, EngineKind::kernel}) {
      if (kind == EngineKind::kernel && ::geteuid() != 0) continue;
      auto runner = Runner::create(kind, world.ruleset, world.compilation);
      ASSERT_TRUE(runner) << runner.error().text();
      const auto outcome = runner->run(packet);
      ASSERT_TRUE(outcome) << outcome.error().text();
      EXPECT_EQ(outcome->mark, 7u) << to_string(kind) << "\n" << text;
      EXPECT_EQ(runner->counters(), (std::vector<CounterTotal>{{1, 40}})) << to_string(kind);
    }
  }
}

// A test run takes the link header off what socket filters get; counters count it all the same.
TEST(Runner, RunsSocketFiltersInTheKernel) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs the right to load programs";
  constexpr const char* text = R"(table inet filter
chain inet filter only hook forward priority 0 policy accept
  rule #0 handle 10 "port 22"
    match meta l4proto == 0x06
    match payload transport 2 2 == 0x0016
    counter #0 packets 0 bytes 0
    drop
  rule #1 handle 11 "all"
    counter #1 packets 0 bytes 0
)";
  const World world = compiled(text, {.kind = Hook::Kind::socket});
  for (const EngineKind kind : {EngineKind::evaluator, EngineKind::kernel}) {
    auto runner = Runner::create(kind, world.ruleset, world.compilation);
    ASSERT_TRUE(runner) << runner.error().text();
    for (const std::uint16_t port : {std::uint16_t{22}, std::uint16_t{23}}) {
      const auto outcome = runner->run(packet::build(
          {.link = packet::Ethernet{}, .transport = packet::Tcp{.destination_port = port}}));
      ASSERT_TRUE(outcome) << outcome.error().text();
      EXPECT_EQ(outcome->verdict, port == 22 ? Verdict::drop : Verdict::accept) << to_string(kind);
    }
    EXPECT_EQ(runner->counters(), (std::vector<CounterTotal>{{1, 54}, {1, 54}})) << to_string(kind);
  }
}

TEST(Runner, CompilesNothingThatIsNotStoodInFor) {
  const auto ruleset = imr::parse_ruleset(with_native, "test");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  const auto attachments = plan(*ruleset, std::nullopt, {});
  const auto compilation = compile(*ruleset, *attachments);
  ASSERT_FALSE(compilation) << "a native rule compiled";
  EXPECT_EQ(compilation.error().kind, ErrorKind::partial);
}

TEST(ParseEngine, KnowsItsEngines) {
  for (const EngineKind kind :
       {EngineKind::evaluator, EngineKind::interpreter, EngineKind::kernel}) {
    EXPECT_EQ(parse_engine(to_string(kind)), kind);
  }
  EXPECT_FALSE(parse_engine("jit"));
  EXPECT_FALSE(parse_engine(""));
}

}  // namespace
}  // namespace weir::driver
