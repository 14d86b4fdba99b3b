// SPDX-License-Identifier: BSD-2-Clause
//
// The worlds forward what they should, before any judge believes them.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdio>

#include "isa/isa.h"
#include "kernel/support/forwarding_world.h"
#include "kernel/support/root_only.h"
#include "kernel/support/xdp_world.h"

namespace weir::test {
namespace {

using isa::Opcode;
using testing::IsEmpty;

WEIR_ROOT_ONLY();

std::uint16_t checksum(ByteView header) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < header.size(); i += 2) sum += header[i] << 8 | header[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

// UDP from 10.0.0.1 to 192.0.2.9.
Bytes ipv4(std::uint16_t port, std::size_t size = 28, std::uint8_t ttl = 64) {
  Bytes packet(size);
  packet[0] = 0x45;
  put16(packet, 2, size);
  packet[8] = ttl;
  packet[9] = 17;
  packet[12] = 10;
  packet[15] = 1;
  packet[16] = 192;
  packet[18] = 2;
  packet[19] = 9;
  put16(packet, 10, checksum(ByteView(packet).first(20)));
  put16(packet, 20, 1024);
  put16(packet, 22, port);
  put16(packet, 24, size - 20);
  return packet;
}

// UDP from 2001:db8::1 to 2001:db8:1::7.
Bytes ipv6(std::uint16_t port) {
  Bytes packet = {0x60, 0, 0, 0, 0, 8, 17, 64, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,
                  0,    0, 0, 0, 0, 0, 0,  1,  0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0,
                  0,    0, 0, 0, 0, 0, 0,  7,  4,    0,    0,    0,    0, 8, 0, 0};
  put16(packet, 42, port);
  return packet;
}

kernel::Fd returning(isa::ProgramType type, std::int32_t value) {
  isa::Object object;
  object.programs.push_back(
      {.name = "test",
       .type = type,
       .insns = {isa::make(Opcode::mov64_imm, 0, 0, 0, value), isa::make(Opcode::exit)}});
  return std::move(expect(kernel::load(object)).programs.front());
}

constexpr const char* rules =
    "table inet t {\n"
    "  chain f {\n"
    "    type filter hook forward priority 0; policy accept;\n"
    "    udp dport 53 counter drop\n"
    "    iifname tun0 oif tun1 meta mark 0 counter\n"
    "  }\n"
    "}\n";

TEST(ForwardingWorld, ForwardsWithoutRules) {
  ForwardingWorld world;
  EXPECT_TRUE(world.send(ipv4(53)));
  EXPECT_TRUE(world.send(ipv6(53)));
  for (const std::size_t size : {1280u, 4096u, 9000u, 65535u}) {
    EXPECT_TRUE(world.send(ipv4(53, size))) << size << " bytes";
  }
  auto sent = ipv4(53);
  const auto arrived = world.exchange(sent);
  ASSERT_EQ(arrived.size(), 1u);
  EXPECT_EQ(arrived[0], ipv4(53, 28, 63)) << "but for its TTL the packet arrives as it was sent";
}

TEST(ForwardingWorld, ForwardsAlmostAnyAddress) {
  ForwardingWorld world;
  for (const std::uint32_t address : {0x01020304u, 0x7f000001u, 0x7f000002u, 0xc0a80001u,
                                      0xa9fe0001u, 0xac100001u, 0x0a000002u}) {
    auto packet = ipv4(53);
    put16(packet, 10, 0);
    put16(packet, 16, address >> 16);
    put16(packet, 18, address & 0xffff);
    put16(packet, 10, checksum(ByteView(packet).first(20)));
    EXPECT_TRUE(world.send(packet)) << "to " << std::hex << address;
    std::copy_n(packet.begin() + 16, 4, packet.begin() + 12);
    packet[16] = 192;
    packet[17] = 0;
    packet[18] = 2;
    packet[19] = 9;
    put16(packet, 10, 0);
    put16(packet, 10, checksum(ByteView(packet).first(20)));
    EXPECT_TRUE(world.send(packet)) << "from " << std::hex << address;
  }
}

TEST(ForwardingWorld, TakesNoSoundOfTheStackForAnArrival) {
  ForwardingWorld world;
  EXPECT_THAT(world.exchange(ipv4(53, 28, 1)), IsEmpty())
      << "an expired TTL asks for an ICMP error";
  EXPECT_THAT(world.exchange(Bytes(40, 0x11)), IsEmpty());
  EXPECT_THAT(world.exchange({}), IsEmpty());
  auto broken = ipv4(53);
  broken[10] ^= 1;
  EXPECT_THAT(world.exchange(broken), IsEmpty());
}

TEST(ForwardingWorld, IsRuledByNft) {
  ForwardingWorld world;
  expect(world.load_ruleset(rules));
  EXPECT_FALSE(world.send(ipv4(53)));
  EXPECT_TRUE(world.send(ipv4(54)));
  EXPECT_FALSE(world.send(ipv6(53)));
  EXPECT_TRUE(world.send(ipv6(54)));
  EXPECT_EQ(expect(world.counters()),
            (std::vector<RuleCounter>{{"inet", "t", "f", 2, 2, 28 + 48},
                                      {"inet", "t", "f", 3, 2, 28 + 48}}));
  expect(world.load_ruleset(""));
  EXPECT_TRUE(world.send(ipv4(53)));
  EXPECT_THAT(expect(world.counters()), IsEmpty());

  const auto wrong = world.load_ruleset("table inet t { chain f { nonsense } }");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("syntax error"));
}

TEST(ForwardingWorld, ForwardsBothWays) {
  ForwardingWorld world;
  expect(
      world.load_ruleset("table inet t {\n"
                         "  chain f {\n"
                         "    type filter hook forward priority 0;\n"
                         "    iif tun1 oif tun0 counter\n"
                         "  }\n"
                         "}\n"));
  EXPECT_TRUE(world.send(ipv4(53)));
  EXPECT_TRUE(world.send(ipv4(53), 0, ForwardingWorld::Way::back));
  EXPECT_TRUE(world.send(ipv6(53), 0, ForwardingWorld::Way::back));
  EXPECT_EQ(expect(world.counters()),
            (std::vector<RuleCounter>{{"inet", "t", "f", 2, 2, 28 + 48}}));
}

TEST(ForwardingWorld, IsRuledByAProgram) {
  ForwardingWorld world;
  const auto dropping = returning(isa::ProgramType::netfilter, 0);
  auto link = expect(world.attach(dropping, Nfproto::ipv4, NfHook::forward, 0));
  EXPECT_FALSE(world.send(ipv4(53)));
  EXPECT_TRUE(world.send(ipv6(53)));
  link.reset();
  EXPECT_TRUE(world.send(ipv4(53)));
}

// The program accepts packets of which at most 28 bytes lie in the linear part.
TEST(ForwardingWorld, LeavesBytesOutOfTheLinearPart) {
  isa::Program program{.name = "test", .type = isa::ProgramType::netfilter};
  program.insns = {
      isa::make(Opcode::ldx64, 1, 1),           isa::make(Opcode::ldx32, 2, 1),
      isa::make(Opcode::ldx32, 3, 1),           isa::make(Opcode::sub64_reg, 2, 3),
      isa::make(Opcode::mov64_imm, 0),          isa::make(Opcode::jgt64_imm, 2, 0, 1, 28),
      isa::make(Opcode::mov64_imm, 0, 0, 0, 1), isa::make(Opcode::exit)};
  program.relocations = {{0, isa::FieldOffset{.structure = "bpf_nf_ctx", .member = "skb"}},
                         {1, isa::FieldOffset{.structure = "sk_buff", .member = "len"}},
                         {2, isa::FieldOffset{.structure = "sk_buff", .member = "data_len"}}};
  isa::Object object;
  object.programs.push_back(program);
  const auto loaded = expect(kernel::load(object));
  ForwardingWorld world;
  const auto link =
      expect(world.attach(loaded.programs.front(), Nfproto::ipv4, NfHook::forward, 0));
  EXPECT_FALSE(world.send(ipv4(53, 5000)));
  EXPECT_TRUE(world.send(ipv4(53, 5000), 20));
  EXPECT_FALSE(world.send(ipv4(53, 5000), 60));
}

TEST(ForwardingWorld, TracksConnections) {
  ForwardingWorld world;
  expect(
      world.load_ruleset("table ip t {\n"
                         "  chain f {\n"
                         "    type filter hook forward priority 0;\n"
                         "    ct state new counter\n"
                         "    ct state established counter\n"
                         "  }\n"
                         "}\n"));
  const auto counts = [&] {
    std::vector<std::uint64_t> packets;
    for (const auto& counter : expect(world.counters())) packets.push_back(counter.packets);
    return packets;
  };
  auto reply = ipv4(1024);
  put16(reply, 20, 53);
  put16(reply, 10, 0);
  std::swap_ranges(reply.begin() + 12, reply.begin() + 16, reply.begin() + 16);
  put16(reply, 10, checksum(ByteView(reply).first(20)));
  EXPECT_TRUE(world.send(ipv4(53)));
  EXPECT_TRUE(world.send(reply));
  EXPECT_EQ(counts(), (std::vector<std::uint64_t>{1, 1}));
  expect(world.forget_connections());
  EXPECT_TRUE(world.send(reply));
  EXPECT_EQ(counts(), (std::vector<std::uint64_t>{2, 1}));
}

TEST(ForwardingWorld, ReassemblesWhereItTracks) {
  ForwardingWorld world;
  auto whole = ipv4(53, 52);
  auto first = Bytes(whole.begin(), whole.begin() + 36);
  auto last = Bytes(whole.begin(), whole.begin() + 20);
  last.insert(last.end(), whole.begin() + 36, whole.end());
  put16(first, 6, 0x2000);
  put16(last, 6, 2);
  for (auto* fragment : {&first, &last}) {
    put16(*fragment, 2, fragment->size());
    put16(*fragment, 10, 0);
    put16(*fragment, 10, checksum(ByteView(*fragment).first(20)));
  }
  EXPECT_EQ(world.exchange(first).size(), 1u);
  EXPECT_EQ(world.exchange(last).size(), 1u);
  expect(world.track_connections());
  EXPECT_EQ(world.exchange(first).size(), 0u) << "held back until the last one comes";
  EXPECT_GE(world.exchange(last).size(), 1u);
}

// Every packet has its own verdict when send() looks: forwarding is over when the write returns.
TEST(ForwardingWorld, AnswersAtOnce) {
  ForwardingWorld world;
  expect(world.load_ruleset(rules));
  std::vector<Bytes> packets;
  std::vector<bool> expected;
  for (std::size_t i = 0; i < 20000; ++i) {
    const bool dropped = i % 3 == 0 || i % 7 == 0;
    const std::uint16_t port = dropped ? 53 : 54;
    packets.push_back(i % 2 == 0 ? ipv4(port) : ipv6(port));
    expected.push_back(!dropped);
  }
  const auto start = std::chrono::steady_clock::now();
  const auto arrived = world.send_batch(packets);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(arrived, expected);
  EXPECT_EQ(world.late_arrivals(), 0u);
  std::printf("forwarding: %.0f verdicts a second\n",
              static_cast<double>(packets.size()) / spent.count());
}

Bytes frame_of(const Bytes& packet) {
  Bytes frame(12, 2);
  frame.push_back(packet[0] >> 4 == 4 ? 0x08 : 0x86);
  frame.push_back(packet[0] >> 4 == 4 ? 0x00 : 0xdd);
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

TEST(XdpWorld, IsRuledByAProgram) {
  for (const auto mode : {kernel::XdpMode::native, kernel::XdpMode::generic}) {
    XdpWorld world;
    EXPECT_TRUE(world.send(frame_of(ipv4(53))));
    EXPECT_TRUE(world.send(Bytes(14, 2))) << "a frame of a header alone";
    EXPECT_TRUE(world.send(frame_of(ipv4(53, 1500))));
    {
      const auto link = expect(world.attach(returning(isa::ProgramType::xdp, 1), mode));
      EXPECT_FALSE(world.send(frame_of(ipv4(53))));
    }
    const auto link = expect(world.attach(returning(isa::ProgramType::xdp, 2), mode));
    const std::vector<Bytes> frames(5000, frame_of(ipv6(53)));
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(world.send_batch(frames), std::vector<bool>(frames.size(), true));
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(world.late_arrivals(), 0u);
    std::printf("xdp, %s: %.0f verdicts a second\n",
                mode == kernel::XdpMode::native ? "native" : "generic",
                static_cast<double>(frames.size()) / spent.count());
  }
}

TEST(Commands, SayWhatFailed) {
  EXPECT_EQ(expect(run_command({"cat"}, "through")), "through");
  const auto failed = run_command({"ip", "link", "show", "no_such_device"});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, testing::HasSubstr("does not exist"));
}

}  // namespace
}  // namespace weir::test
