// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that change sets: nft's chain at a device, weir's program there and the evaluator see the
// same frames, and come to the same verdicts and counts. Times are so long and rates so low that
// none matters, and no set that may get full has elements deleted, whose room the kernel frees
// later.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "differential/random.h"
#include "frontend/nft/nft.h"
#include "kernel/netdev_case.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::size_t scripts = 35;
constexpr std::size_t rules_a_script = 10;
constexpr std::size_t frames_a_script = 80;

constexpr const char* sets = R"(
 set seen { type ipv4_addr; flags dynamic; timeout 1h; }
 set few { type inet_service; flags dynamic; size 3; }
 set pairs { type ipv4_addr . inet_service; flags dynamic; }
 set rates { type ipv4_addr; flags dynamic; }
 set over { type inet_service; flags dynamic,timeout; }
 set bytes { type ipv4_addr; flags dynamic; }
 set quotas { type inet_service; flags dynamic; }
 set counted { type ipv4_addr; flags dynamic,timeout; timeout 5h
  counter
 }
 set timed { type ipv4_addr; timeout 1h; elements = { 10.0.0.2, 10.0.0.3 timeout 5h expires 3h } }
 set kept { type ipv4_addr; flags dynamic; elements = { 10.0.0.1, 10.0.0.4 } }
 set six { type ipv6_addr . ether_addr; flags dynamic; timeout 1d; }
 set both { type ipv4_addr; flags dynamic; }
 map marks { type ipv4_addr : mark; flags dynamic; timeout 10h; }
 map counted_marks { type ipv4_addr : mark; flags dynamic
  limit rate over 1/week burst 5 packets
  elements = { 10.0.0.1 : 0x3, 10.0.0.4 : 0x4 }
 }
 set nets { type ipv4_addr; flags interval
  limit rate over 9 bytes/week burst 300 bytes
  elements = { 10.0.0.1-10.0.0.2, 10.0.0.4 }
 }
 set hours { type inet_service; flags interval,timeout; timeout 1h; elements = { 1-2, 4 timeout 5h } }
 set nets6 { type ipv6_addr; flags interval,timeout; elements = { 2001::/127 timeout 1d } }
 set areas { type ipv4_addr . inet_service; flags interval,timeout
  limit rate 1/week burst 4 packets
  elements = { 10.0.0.1-10.0.0.3 . 2-3, 10.0.0.4/31 . 1-5 timeout 3h }
 }
 map zones { type ipv4_addr : mark; flags interval,timeout; timeout 10h
  elements = { 10.0.0.0/30 : 0x7, 10.0.0.4 timeout 9h : 0x9 } }
)";
constexpr std::array rules = {
    "ip saddr @seen",
    "add @seen { ip saddr }",
    "ip daddr != @seen",
    "update @seen { ip daddr timeout 2h }",
    "delete @seen { ip saddr }",
    "add @few { th dport }",
    "th dport @few",
    "th sport @few",
    "udp dport 4 add @few { udp dport } drop",
    "add @pairs { ip saddr . th dport }",
    "ip saddr . th sport @pairs",
    "delete @pairs { ip saddr . th sport }",
    "update @rates { ip saddr limit rate 1/week burst 3 packets }",
    "ip daddr @rates",
    "update @over { th dport timeout 9h limit rate over 1/week burst 5 packets } drop",
    "th dport @over",
    "add @bytes { ip daddr limit rate over 10 bytes/week burst 400 bytes }",
    "add @quotas { th sport quota 500 bytes }",
    "th sport @quotas",
    "update @counted { ip saddr }",
    "ip saddr @counted",
    "ip saddr @timed",
    "delete @timed { ip saddr }",
    "update @timed { ip daddr timeout 5h }",
    "ip saddr @kept",
    "delete @kept { ip daddr }",
    "add @kept { ip saddr }",
    "update @six { ip6 saddr . ether saddr }",
    "ip6 daddr . ether saddr @six",
    "add @both { ip saddr limit rate 1/week burst 2 packets quota 300 bytes }",
    "ip daddr @both",
    "add @marks { ip saddr : 0x7 }",
    "update @marks { ip daddr : 0x8 }",
    "meta l4proto tcp jump other",
    "ip saddr @nets",
    "ip daddr != @nets",
    "ip daddr @nets drop",
    "th dport @hours",
    "th sport != @hours",
    "ip6 saddr @nets6",
    "ip saddr . th dport @areas",
    "ip daddr . th sport != @areas",
};
// Which XDP has no place for.
constexpr std::array mark_rules = {
    "meta mark set ip saddr map @marks",
    "meta mark set ip daddr map @zones",
    "meta mark set ip saddr map @counted_marks",
    "update @counted_marks { ip daddr limit rate over 1/week burst 5 packets : 0x5 }",
    "add @marks { ip saddr : meta mark }",
};

std::string script_of(const std::string& hook, bool marks, differential::Random& random) {
  std::string chain;
  for (std::size_t i = 0; i < rules_a_script; ++i) {
    const bool mark = marks && random.one_in(8);
    const std::string rule = mark ? random.pick(mark_rules) : random.pick(rules);
    const bool ends = rule.ends_with("drop") || rule.ends_with("other");
    chain += "  " + (ends ? "counter " + rule : rule + " counter") + "\n";
  }
  return std::string("table netdev t {") + sets +
         " chain other {\n  add @seen { ip saddr } counter\n  ip daddr @seen counter\n }\n" +
         " chain c {\n  type filter hook " + hook +
         " device \"eth0\" priority 0; policy accept;\n" + chain + " }\n}\n";
}

Frame random_frame(differential::Random& random) {
  packet::Recipe recipe{.link = packet::Ethernet{}};
  if (random.one_in(6)) {
    packet::Ipv6 header{.source = {0x20, 1}, .destination = {0x20, 1}};
    header.source[15] = static_cast<std::uint8_t>(1 + random.below(3));
    header.destination[15] = static_cast<std::uint8_t>(1 + random.below(3));
    recipe.network = header;
  } else {
    packet::Ipv4 header{.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 1}};
    header.source[3] = static_cast<std::uint8_t>(1 + random.below(5));
    header.destination[3] = static_cast<std::uint8_t>(1 + random.below(5));
    recipe.network = header;
  }
  const auto port = [&] { return static_cast<std::uint16_t>(1 + random.below(5)); };
  if (random.one_in(2)) {
    recipe.transport = packet::Tcp{.source_port = port(), .destination_port = port()};
  } else {
    recipe.transport = packet::Udp{.source_port = port(), .destination_port = port()};
  }
  recipe.payload.resize(random.below(60));
  return {.packet = packet::build(recipe)};
}

class DynamicSets : public testing::TestWithParam<const char*> {};

TEST_P(DynamicSets, AreThoseOfNft) {
  const Hook hook = *parse_hook(GetParam());
  NetdevCase one(hook.kind);
  auto scratch = expect(frontend::nft::ScratchNamespace::create());
  std::mt19937_64 bits(5);
  differential::Random random(bits);
  std::uint64_t counted = 0;
  std::size_t dropped = 0;
  for (std::size_t i = 0; i < scripts; ++i) {
    const std::string script = script_of(hook.kind == Hook::Kind::tc_egress ? "egress" : "ingress",
                                         hook.kind != Hook::Kind::xdp, random);
    SCOPED_TRACE(script);
    std::vector<Frame> frames;
    while (frames.size() < frames_a_script) frames.push_back(random_frame(random));
    const auto subject = one.read(scratch, script);
    ASSERT_TRUE(subject) << subject.error().text();
    const NetdevReport report = one.run(*subject, script, frames, i % 2 == 0);
    ASSERT_TRUE(report.text.empty()) << report.text;
    EXPECT_LT(report.not_delivered, frames.size() / 2);
    counted += report.counted;
    dropped += report.dropped;
  }
  EXPECT_GT(counted, 2000U);
  EXPECT_GT(dropped, 50U);
}

INSTANTIATE_TEST_SUITE_P(Hooks, DynamicSets, testing::Values("tc:ingress", "tc:egress", "xdp"),
                         [](const auto& hook) {
                           std::string out = hook.param;
                           std::ranges::replace(out, ':', '_');
                           return out;
                         });

}  // namespace
}  // namespace weir::test
