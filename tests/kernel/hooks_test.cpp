// SPDX-License-Identifier: BSD-2-Clause
//
// The hooks beside forward, with real sockets: the same datagrams past nft's rules and past weir's
// program, at prerouting and input on their way to sockets, at output and postrouting on their way
// from one.
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "kernel/host.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "kernel/support/root_only.h"
#include "kernel/support/tun.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr packet::MacAddress port_address = {2, 0, 0, 0, 0, 0x10};

// Sets the calling thread's namespace up to forward from the device port0 to tun0, and gives a
// packet socket from which frames arrive at port0.
kernel::Fd forwarding_veth() {
  set_sysctl("ipv6/conf/default/disable_ipv6", "1");
  expect(run_command({"ip", "link", "add", "far0", "type", "veth", "peer", "name", "port0"}));
  expect(run_command({"ip", "link", "set", "port0", "address", "02:00:00:00:00:10", "up"}));
  expect(run_command({"ip", "link", "set", "far0", "arp", "off", "up"}));
  expect(run_command({"ip", "link", "set", "tun0", "up"}));
  expect(run_command({"ip", "addr", "add", "10.1.0.1/24", "dev", "port0"}));
  expect(run_command({"ip", "addr", "add", "10.0.0.1/24", "dev", "tun0"}));
  if (!set_sysctl("ipv4/ip_forward", "1")) give_up("forwarding", errno);
  kernel::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll place{};
  place.sll_family = AF_PACKET;
  place.sll_ifindex = static_cast<int>(interface_index("far0"));
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&place), sizeof(place)) != 0) {
    give_up("packet socket", errno);
  }
  return fd;
}

class Hooks : public testing::TestWithParam<std::string> {};

TEST_P(Hooks, RuleAsNftDoes) {
  const bool inwards = GetParam() == "prerouting" || GetParam() == "input";
  const std::string device = inwards ? "iifname" : "oifname";
  const std::string script = "table inet t {\n  chain c {\n    type filter hook " + GetParam() +
                             " priority 5; policy accept;\n"
                             "    udp dport 1000-1004 counter drop\n    " +
                             device + " tun0 udp dport { 1010, 1012 } counter drop\n    " + device +
                             " != tun0 counter drop\n"
                             "    meta length > 220 udp dport > 1015 counter drop\n"
                             "    ip daddr 10.0.0.0/24 udp dport 1007 counter drop\n"
                             "    meta l4proto udp counter\n  }\n}\n";
  Host host;
  const auto traffic = [&] { return inwards ? host.receive_all() : host.send_all(); };
  const Arrivals free = traffic();
  ASSERT_EQ(free.size(), 80u) << "without rules everything arrives";

  expect(host.nft().run(script));
  const Arrivals by_nft = traffic();
  const auto counted_by_nft = expect(host.nft().counters());
  expect(host.nft().run("flush ruleset"));

  AttachedScript weir(host.netns(), script);
  const Arrivals by_weir = traffic();
  EXPECT_EQ(by_weir, by_nft);
  EXPECT_LT(by_nft.size(), free.size()) << "the rules drop nothing";

  weir.expect_counted(counted_by_nft);
  weir.detach();
  EXPECT_EQ(traffic(), free) << "without its links the program is gone";
}

// Devices without a link layer are of type 65534 (ARPHRD_NONE).
TEST_P(Hooks, KnowTheTypeOfTheDeviceAsNftDoes) {
  const bool inwards = GetParam() == "prerouting" || GetParam() == "input";
  const std::string script = "table inet t {\n  chain c {\n    type filter hook " + GetParam() +
                             " priority 5; policy accept;\n"
                             "    meta iiftype 65534 counter\n"
                             "    meta iiftype != 65534 counter\n"
                             "    meta iiftype ether counter\n"
                             "    meta iiftype != ether counter\n"
                             "    udp dport 1000-1019 counter\n  }\n}\n";
  Host host;
  const auto traffic = [&] { return inwards ? host.receive_all() : host.send_all(); };
  expect(host.nft().run(script));
  static_cast<void>(traffic());
  const auto counted_by_nft = expect(host.nft().counters());
  expect(host.nft().run("flush ruleset"));
  // It is skb->dev whose type is asked for. At output that is none yet, and its type neither the
  // same nor another; at postrouting the output device.
  const std::uint64_t of_tun = GetParam() == "output" ? 0 : 80;
  const std::vector<std::uint64_t> expected = {of_tun, 0, 0, of_tun, 80};
  ASSERT_EQ(counted_by_nft.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(counted_by_nft[i].packets, expected[i]) << "rule " << i + 1 << " of nft";
  }
  const AttachedScript weir(host.netns(), script);
  static_cast<void>(traffic());
  weir.expect_counted(counted_by_nft);
}

// From a device of type 1 (ARPHRD_ETHER) to one of type 65534.
TEST(Forwarding, KnowsTheTypeOfTheDeviceAsNftDoes) {
  const std::string rules =
      "    meta iiftype 65534 counter\n"
      "    meta iiftype != 65534 counter\n"
      "    meta iiftype ether counter\n"
      "    iifname port0 oifname tun0 counter\n  }\n";
  const std::string script =
      "table inet t {\n  chain f {\n    type filter hook forward priority 5; policy accept;\n" +
      rules + "  chain p {\n    type filter hook postrouting priority 5; policy accept;\n" + rules +
      "}\n";
  const Netns netns = Netns::create();
  Nft nft(netns);
  std::optional<Tun> tun;
  kernel::Fd sender;
  {
    const Inside inside(netns);
    tun.emplace("tun0");
    sender = forwarding_veth();
  }
  const auto traffic = [&] {
    Bytes frame = packet::build({.link = packet::Ethernet{.destination = port_address},
                                 .network = packet::Ipv4{.source = {10, 1, 0, 2},
                                                         .destination = {10, 0, 0, 2}},
                                 .transport = packet::Udp{}})
                      .bytes;
    ASSERT_EQ(::send(sender.get(), frame.data(), frame.size(), 0),
              static_cast<ssize_t>(frame.size()));
    const auto arrived = tun->read();
    ASSERT_TRUE(arrived.has_value()) << "the packet is not forwarded";
  };
  expect(nft.run(script));
  traffic();
  const auto counted_by_nft = expect(nft.counters());
  const std::vector<std::uint64_t> expected = {0, 1, 1, 1, 1, 0, 0, 1};
  ASSERT_EQ(counted_by_nft.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(counted_by_nft[i].packets, expected[i]) << "rule " << i + 1 << " of nft";
  }
  expect(nft.run("flush ruleset"));
  const AttachedScript weir(netns, script);
  traffic();
  weir.expect_counted(counted_by_nft);
}

INSTANTIATE_TEST_SUITE_P(All, Hooks,
                         testing::Values("prerouting", "input", "output", "postrouting"),
                         [](const auto& hook) { return hook.param; });

}  // namespace
}  // namespace weir::test
