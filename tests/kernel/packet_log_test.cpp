// SPDX-License-Identifier: BSD-2-Clause
//
// What weir log reads of an installed policy.
#include "service/packet_log.h"

#include <sys/wait.h>

#include <chrono>
#include <ctime>

#include "kernel/rules_world.h"
#include "kernel/support/root_only.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using service::LoggedPacket;
using service::PacketLog;

constexpr std::chrono::milliseconds at_once(0);

class Log : public Rules {
 protected:
  PacketLog open() { return expect(PacketLog::open("p", paths_)); }
  static std::vector<LoggedPacket> read(PacketLog& log) { return expect(log.wait(at_once)); }
};

constexpr const char* logging_rules = R"(
table inet t {
  chain out {
    type filter hook output priority 0;
    udp dport 1500 log prefix "out: " level info
  }
  chain in {
    type filter hook input priority 0;
    udp dport 1500 log prefix "head: " group 3 snaplen 24 log prefix "all: " group 4 drop
    udp dport 1600 counter log
  }
})";

// The datagrams of arrives() have an IPv4 header of 20 bytes.
TEST_F(Log, TellsWhichRulesSawThePacket) {
  apply_policy(logging_rules);
  PacketLog log = open();
  const auto started = static_cast<std::uint64_t>(std::time(nullptr));
  EXPECT_FALSE(arrives(1500));
  EXPECT_TRUE(arrives(1700));
  const std::vector<LoggedPacket> seen = read(log);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].statement.prefix, "out: ");
  EXPECT_EQ(seen[0].statement.group, std::nullopt);
  EXPECT_EQ(seen[0].statement.level, 6);
  EXPECT_EQ(seen[0].rule.chain, "out");
  EXPECT_EQ(seen[0].iif, 0U);
  EXPECT_EQ(seen[0].oif, 1U) << "the loopback device";
  EXPECT_EQ(seen[1].statement.prefix, "head: ");
  EXPECT_EQ(seen[1].statement.group, 3);
  EXPECT_EQ(std::to_string(seen[1].rule.handle), handle_of("head: "));
  EXPECT_EQ(seen[1].iif, 1U);
  EXPECT_EQ(seen[1].bytes.size(), 24U);
  EXPECT_EQ(seen[2].statement.prefix, "all: ");
  EXPECT_EQ(seen[2].bytes.size(), seen[2].length);
  EXPECT_EQ(seen[2].network_offset, 0U);
  ASSERT_GE(seen[2].bytes.size(), 28U);
  EXPECT_EQ(load_big_endian(ByteView(seen[2].bytes).subspan(22, 2)), 1500U) << "destination port";
  for (const LoggedPacket& one : seen) {
    EXPECT_EQ(one.length, seen[0].length);
    EXPECT_GE(one.time_ns / 1'000'000'000 + 1, started);
    EXPECT_LE(one.time_ns / 1'000'000'000, static_cast<std::uint64_t>(std::time(nullptr)) + 1);
  }
  EXPECT_TRUE(read(log).empty()) << "each record is read once";
}

TEST_F(Log, GoesOnBehindChangesOfRules) {
  apply_policy(logging_rules);
  PacketLog log = open();
  EXPECT_TRUE(arrives(1600));
  EXPECT_EQ(read(log).size(), 1U);
  expect(change(Change::insert, "inet t in udp dport 1700 log prefix \"new: \""));
  EXPECT_TRUE(read(log).empty()) << "and looks at the policy anew";
  EXPECT_TRUE(arrives(1700));
  const std::vector<LoggedPacket> seen = read(log);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].statement.prefix, "new: ");
  expect_only_needed_pins();
}

TEST_F(Log, EndsWithThePolicy) {
  apply_policy(logging_rules);
  PacketLog log = open();
  EXPECT_TRUE(log.follows());
  expect(service::release("p", paths_));
  EXPECT_TRUE(read(log).empty());
  EXPECT_FALSE(log.follows());
}

TEST_F(Log, OfALockedPolicyCanBeRead) {
  compile_policy(logging_rules);
  expect(install({.name = "p", .lock = true}));
  PacketLog log = open();
  EXPECT_TRUE(arrives(1600));
  EXPECT_EQ(read(log).size(), 1U);
  expect(service::release("p", paths_, true));
}

TEST_F(Log, KeepsTheOldestWhereNobodyReads) {
  apply_policy(R"(
table inet t {
  chain in { type filter hook input priority 0; udp dport 1600 log group 1; }
})");
  // 128 bytes of the packet and 48 of headers each, in 1 MiB.
  constexpr int more_than_fit = (1 << 20) / (128 + 48) + 20;
  for (int i = 0; i < more_than_fit; ++i) arrives(1600);
  PacketLog log = open();
  const std::size_t seen = read(log).size();
  EXPECT_GT(seen, 5900U);
  EXPECT_LT(seen, static_cast<std::size_t>(more_than_fit));
  EXPECT_EQ(expect(log.lost()) + seen, static_cast<std::size_t>(more_than_fit));
  EXPECT_TRUE(arrives(1600));
  EXPECT_EQ(read(log).size(), 1U) << "there is room again";
  EXPECT_EQ(expect(log.lost()), 0U) << "since it was asked";
}

TEST_F(Log, IsNoneWhereNoRuleLogs) {
  apply_policy("table inet t { chain in { type filter hook input priority 0; counter; }; }");
  const auto log = PacketLog::open("p", paths_);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind, ErrorKind::input);
  EXPECT_NE(log.error().text().find("logs packets"), std::string::npos);
}

}  // namespace
}  // namespace weir::test
