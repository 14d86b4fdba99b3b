// SPDX-License-Identifier: BSD-2-Clause
//
// Which chains run behind reassembly, and what becomes of them on kernels whose links cannot.
#include "driver/reassembly.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "imr/parse.h"

namespace weir::driver {
namespace {

using testing::ElementsAre;

imr::Ruleset parsed(const std::string& text) {
  auto ruleset = imr::parse_ruleset(text, "test");
  if (!ruleset) throw std::runtime_error(ruleset.error().text());
  return std::move(*ruleset);
}

std::vector<Attachment> planned(const imr::Ruleset& ruleset) {
  auto attachments = plan(ruleset, Hook{}, {});
  if (!attachments) throw std::runtime_error(attachments.error().text());
  return std::move(*attachments);
}

// The rules of "forward" are `rules`, which follow upon rule 0; a chain that nothing reaches has
// that one, which switches tracking on.
std::string with_tracking(const std::string& rules) {
  return "table inet filter\n"
         "chain inet filter unreached\n"
         "  rule #0 handle 90 \"ct state new accept\"\n"
         "    match ct state == 0x08000000\n"
         "    accept\n"
         "chain inet filter forward hook forward priority 0 policy accept\n" +
         rules;
}

constexpr const char* by_address =
    "  rule #1 handle 4 \"ip saddr 10.0.0.1 drop\"\n"
    "    match meta nfproto == 0x02\n"
    "    match payload network 12 4 == 0x0a000001\n"
    "    drop\n";
constexpr const char* by_port =
    "  rule #2 handle 5 \"udp dport 53 drop\"\n"
    "    match meta l4proto == 0x11\n"
    "    match payload transport 2 2 == 0x0035\n"
    "    drop\n";
constexpr const char* by_length =
    "  rule #3 handle 6 \"meta length > 1500 drop\"\n"
    "    match meta length > 0xdc050000\n"
    "    drop\n";
constexpr const char* counting =
    "  rule #4 handle 7 \"counter\"\n"
    "    counter #0 packets 0 bytes 0\n";

TEST(Reassembly, ComesWithAnyRuleThatTracksConnections) {
  const imr::Ruleset tracking = parsed(with_tracking(std::string(by_address) + by_port));
  const imr::Ruleset plain = parsed(
      "table inet filter\n"
      "chain inet filter forward hook forward priority 0 policy accept\n"
      "  rule #0 handle 5 \"udp dport 53 drop\"\n"
      "    match meta l4proto == 0x11\n"
      "    match payload transport 2 2 == 0x0035\n"
      "    drop\n");
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
    EXPECT_TRUE(runs_behind_reassembly(tracking, nfproto, 0));
    EXPECT_TRUE(runs_behind_reassembly(tracking, nfproto, -399));
    EXPECT_FALSE(runs_behind_reassembly(tracking, nfproto, -400)) << "where it is done itself";
    EXPECT_FALSE(runs_behind_reassembly(plain, nfproto, 0));
  }
  for (const Attachment& attachment : planned(tracking)) EXPECT_TRUE(attachment.defragments);
  for (const Attachment& attachment : planned(plain)) EXPECT_FALSE(attachment.defragments);
}

TEST(Reassembly, IsGivenUpWhereNoRuleCouldTell) {
  const imr::Ruleset ruleset = parsed(with_tracking(by_address));
  auto attachments = planned(ruleset);
  ASSERT_EQ(attachments.size(), 2u);
  const Status done = do_without_reassembly(ruleset, attachments);
  ASSERT_TRUE(done) << done.error().text();
  for (const Attachment& attachment : attachments) EXPECT_FALSE(attachment.defragments);
}

TEST(Reassembly, IsNotGivenUpWhereARuleLooksForOptions) {
  for (const std::string item : {"ipv6 0 present", "tcp 2 present", "ipv4 148 present"}) {
    const imr::Ruleset ruleset = parsed(with_tracking(
        "  rule #1 handle 4 \"drop\"\n    match extension " + item + " == 0x01\n    drop\n"));
    auto attachments = planned(ruleset);
    EXPECT_FALSE(do_without_reassembly(ruleset, attachments)) << item;
  }
}

TEST(Reassembly, OfKernelsWithoutItTheRulesAreNamed) {
  const imr::Ruleset ruleset =
      parsed(with_tracking(std::string(by_address) + by_port + by_length + counting));
  auto attachments = planned(ruleset);
  const Status done = do_without_reassembly(ruleset, attachments);
  ASSERT_FALSE(done) << "ports, lengths and counters are others in fragments";
  EXPECT_EQ(done.error().kind, ErrorKind::system);
  EXPECT_EQ(done.error().message,
            "this kernel has no netfilter links behind reassembly (6.6), and rules that ran behind "
            "it would see single fragments");
  EXPECT_THAT(done.error().notes,
              ElementsAre("inet filter forward handle 5 'udp dport 53 drop', for ipv4",
                          "inet filter forward handle 6 'meta length > 1500 drop', for ipv4",
                          "inet filter forward handle 7 'counter', for ipv4",
                          "inet filter forward handle 5 'udp dport 53 drop', for ipv6",
                          "inet filter forward handle 6 'meta length > 1500 drop', for ipv6",
                          "inet filter forward handle 7 'counter', for ipv6"));
}

}  // namespace
}  // namespace weir::driver
