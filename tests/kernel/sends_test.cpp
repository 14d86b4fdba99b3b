// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that send packets, or copies of them, out by another device: what comes out there, with
// which mark, and what goes on, is what nft's chain at the device sends, and the evaluator says.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "driver/runner.h"
#include "frontend/nft/nft.h"
#include "kernel/netdev_case.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::size_t frames_a_script = 300;

constexpr std::array forwards = {
    "counter fwd to \"away0\"",
    "meta l4proto tcp counter fwd to \"away0\"",
    "ip ttl set 9 counter\n  ip6 hoplimit set 9 counter\n  udp dport 0-65535 counter fwd to "
    "\"away0\"\n  counter jump other",
    "counter fwd to meta l4proto map { tcp : \"away0\", udp : \"away0\" }\n  counter",
};
constexpr std::array copies = {
    "counter dup to \"away0\" counter",
    "dup to \"away0\" meta l4proto tcp counter drop",
    "dup to \"away0\" ip ttl set 9 dup to \"away0\" counter\n  counter accept",
    "meta mark set 7 dup to \"away0\" meta mark set 8 counter fwd to \"away0\"",
    "counter dup to meta l4proto map { tcp : \"away0\", udp : \"away0\" } counter\n  ip saddr "
    "10.0.0.0/8 counter drop",
    "tcp dport 0-32767 dup to \"away0\" counter reject with tcp reset\n  counter jump other",
};

std::string script_of(const std::string& rules, bool ingress) {
  return "table netdev t {\n chain other {\n  meta l4proto icmp counter fwd to \"away0\"\n }\n "
         "chain c {\n  type filter hook " +
         std::string(ingress ? "ingress" : "egress") +
         " device \"eth0\" priority 0; policy accept;\n  " + rules + "\n }\n}\n";
}

class Sends : public testing::TestWithParam<const char*> {
 protected:
  void judge(const std::string& rules) {
    const Hook hook = *parse_hook(GetParam());
    if (hook.kind == Hook::Kind::tc_egress && rules.find("reject") != std::string::npos) return;
    const std::string script = script_of(rules, hook.kind != Hook::Kind::tc_egress);
    SCOPED_TRACE(script);
    std::mt19937_64 random(rules.size());
    const auto subject = case_.read(scratch_, script);
    ASSERT_TRUE(subject) << subject.error().text();
    const std::vector<Frame> frames = case_.frames(*subject, frames_a_script, random);
    for (const bool generic : {false, true}) {
      if (generic && hook.kind != Hook::Kind::xdp) continue;
      const NetdevReport report = case_.run(*subject, script, frames, generic);
      ASSERT_TRUE(report.text.empty()) << report.text;
      EXPECT_GT(report.sent_away, frames.size() / 20) << "few frames were sent away";
    }
  }

  NetdevCase case_{parse_hook(GetParam())->kind};
  frontend::nft::ScratchNamespace scratch_{expect(frontend::nft::ScratchNamespace::create())};
};

TEST_P(Sends, AreThoseOfNft) {
  for (const char* const rules : forwards) {
    judge(rules);
    if (HasFatalFailure()) return;
  }
  if (std::string_view(GetParam()) == "xdp") return;
  for (const char* const rules : copies) {
    judge(rules);
    if (HasFatalFailure()) return;
  }
}

std::string name_of(const testing::TestParamInfo<const char*>& info) {
  std::string out = info.param;
  std::ranges::replace(out, ':', '_');
  return out;
}
INSTANTIATE_TEST_SUITE_P(Hooks, Sends, testing::Values("tc:ingress", "tc:egress", "xdp"), name_of);

// What somebody tries on a file of packets reaches no device.
TEST(TestRuns, SendNothing) {
  NetdevWorld world(isa::Direction::ingress, 1500);
  const Inside inside = world.enter();
  const imr::Ruleset ruleset = expect(
      frontend::nft::read_script(script_of("dup to \"away0\" fwd to \"away0\"", true), "test.nft"));
  const auto attachments = expect(driver::plan(ruleset, std::nullopt, {}));
  const auto compilation = expect(driver::compile(ruleset, attachments, {}));
  auto runner = expect(driver::Runner::create(driver::EngineKind::kernel, ruleset, compilation));
  const packet::Packet packet =
      packet::build({.link = packet::Ethernet{}, .transport = packet::Udp{}});
  EXPECT_TRUE(expect(runner.run(packet)).sent.has_value());
  EXPECT_TRUE(world.sent_away().empty());
}

// A veth device takes frames while the other end of its pair has an XDP program.
TEST(XdpFeatures, TellWhoTakesFrames) {
  NetdevWorld with_takers(isa::Direction::ingress, 1500);
  NetdevWorld without(isa::Direction::egress, 1500);
  EXPECT_EQ(with_takers.takes_xdp_frames("away0"), std::optional(true));
  EXPECT_EQ(without.takes_xdp_frames("away0"), std::optional(false));
}

}  // namespace
}  // namespace weir::test
