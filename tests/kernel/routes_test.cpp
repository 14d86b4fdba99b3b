// SPDX-License-Identifier: BSD-2-Clause
//
// Where packets' routes lead: by gateways of either protocol, to destinations themselves, and as
// the host has learnt of them. The same traffic past nft's rules and past weir's programs, each in
// a fresh namespace; each rule counts alike.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "frontend/nft/nft.h"
#include "kernel/host.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::uint16_t client_port = 2000;

constexpr std::array rules = {
    "rt ip nexthop 10.0.0.7",
    "rt ip nexthop != 10.0.0.7",
    "rt ip nexthop 10.0.0.2",
    "rt ip nexthop 10.0.0.1",
    "rt ip nexthop 10.0.0.0/24",
    "rt ip nexthop 10.1.0.0/16",
    "rt ip nexthop 10.2.0.9",
    "rt ip nexthop { 10.0.0.7, 10.2.0.0/16 }",
    "rt ip nexthop & 255.0.0.1 == 10.0.0.1",
    "rt ip nexthop . udp dport { 10.0.0.7 . 1003, 10.0.0.2 . 1004 }",
    "rt ip nexthop > 10.0.0.6",
    "rt ip6 nexthop 2001:db8::7",
    "rt ip6 nexthop != 2001:db8::7",
    "rt ip6 nexthop 2001:db8::2",
    "rt ip6 nexthop 2001:db8::1",
    "rt ip6 nexthop 2001:db8::/64",
    "rt ip6 nexthop 2001:db8:1::/48",
    "rt ip6 nexthop 2001:db8:2::9",
    "rt ip6 nexthop { 2001:db8::7, 2001:db8::8-2001:db8::10 }",
    "rt ip6 nexthop . udp dport { 2001:db8::7 . 1003, 2001:db8::2 . 1004 }",
    "rt ipsec exists",
    "rt ipsec missing",
    "rt ipsec != missing",
    "rt classid 5",
    "rt classid . rt ip nexthop { 5 . 10.0.0.2, 6 . 10.0.0.7 }",
};

// What the host says of itself, it says when it likes.
std::string script_of(const std::string& hook) {
  std::string text = "table inet t {\n  chain c {\n    type filter hook " + hook +
                     " priority 5; policy accept;\n    meta l4proto != udp accept\n";
  for (const char* rule : rules) text += std::string("    ") + rule + " counter\n";
  return text + "    counter\n  }\n}\n";
}

void check(bool done, const char* what) {
  if (!done) give_up(what, errno);
}

void send(const kernel::Fd& socket, const packet::Ipv6Address& address, std::uint16_t port) {
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  std::ranges::copy(address, to.sin6_addr.s6_addr);
  check(::sendto(socket.get(), "abc", 3, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 3,
        "sendto");
}

constexpr std::array targets = {
    "::ffff:10.0.0.2",  // next door
    "::ffff:10.1.0.9",  // behind a gateway
    "::ffff:10.2.0.9",  // behind one of IPv6
    "::ffff:10.3.0.9",  // at a device, without a gateway
    "::ffff:10.0.0.1",  // itself
    "2001:db8::2",     "2001:db8:1::9", "2001:db8:2::9", "2001:db8::1",
};

// A router beyond says that a datagram was too long: what it was sent by becomes a route of its own
// in the host's cache (RTF_CACHE).
void shorten(Host& host, const char* destination) {
  const packet::Ipv6 lost{.source = packet::ipv6("2001:db8::1"),
                          .destination = packet::ipv6(destination)};
  packet::Packet quoted =
      packet::build({.network = lost,
                     .transport = packet::Udp{.source_port = client_port, .destination_port = 1003},
                     .payload = Bytes(1300, 1)});
  quoted.bytes.resize(1000);
  const packet::Ipv6 network{.source = packet::ipv6("2001:db8::7"),
                             .destination = packet::ipv6("2001:db8::1")};
  constexpr std::uint8_t too_big = 2;
  constexpr std::uint16_t shortest = 1280;  // the message's MTU
  check(host.tun().write(
            packet::build(
                {.network = network,
                 .transport = packet::Icmpv6{.type = too_big, .id = 0, .sequence = shortest},
                 .payload = quoted.bytes})
                .bytes),
        "the TUN device refuses an ICMPv6 message");
}

void traffic(Host& host) {
  const Inside inside(host.netns());
  const kernel::Fd socket = udp_socket(client_port);
  const auto to_all = [&] {
    for (const char* target : targets) {
      for (const std::uint16_t port : {std::uint16_t{1003}, std::uint16_t{1004}})
        send(socket, packet::ipv6(target), port);
    }
  };
  to_all();
  for (const char* target : {"2001:db8::2", "2001:db8:1::9"}) shorten(host, target);
  const std::string cached = expect(run_command({"ip", "-6", "route", "get", "2001:db8:1::9"}));
  check(cached.find("expires") != std::string::npos, "no route became one of the cache");
  to_all();
  // Through it.
  for (const packet::Ipv4Address& far : {packet::Ipv4Address{10, 1, 0, 8}, {10, 0, 0, 9}}) {
    check(host.tun().write(
              packet::build({.network = packet::Ipv4{.source = {10, 0, 0, 2}, .destination = far},
                             .transport = packet::Udp{.destination_port = 1003}})
                  .bytes),
          "the TUN device refuses a datagram");
  }
  for (const char* far : {"2001:db8:1::8", "2001:db8::9"}) {
    check(host.tun().write(
              packet::build({.network = packet::Ipv6{.source = packet::ipv6("2001:db8::2"),
                                                     .destination = packet::ipv6(far)},
                             .transport = packet::Udp{.destination_port = 1003}})
                  .bytes),
          "the TUN device refuses a datagram");
  }
}

std::unique_ptr<Host> prepared() {
  auto host = std::make_unique<Host>();
  const Inside inside(host->netns());
  const std::vector<std::vector<std::string>> commands = {
      {"ip", "link", "set", "lo", "up"},
      {"ip", "route", "replace", "10.0.0.0/24", "dev", "tun0", "realm", "5"},
      {"ip", "route", "add", "10.1.0.0/16", "via", "10.0.0.7", "realm", "6"},
      {"ip", "route", "add", "10.2.0.0/16", "via", "inet6", "2001:db8::7", "dev", "tun0"},
      {"ip", "route", "add", "10.3.0.0/16", "dev", "tun0"},
      {"ip", "-6", "route", "add", "2001:db8:1::/48", "via", "2001:db8::7"},
      {"ip", "-6", "route", "add", "2001:db8:2::/48", "dev", "tun0"}};
  for (const std::vector<std::string>& command : commands) expect(run_command(command));
  check(set_sysctl("ipv4/ip_forward", "1") && set_sysctl("ipv6/conf/all/forwarding", "1"),
        "forwarding");
  return host;
}

class Routes : public testing::TestWithParam<std::string> {};

TEST_P(Routes, LeadWhereNftSays) {
  const std::size_t told_apart = expect_counted_as_nft(script_of(GetParam()), prepared, traffic);
  // Before there is a route, only what the host sends itself has one.
  const std::size_t least = GetParam() == "prerouting" || GetParam() == "input" ? 4 : 9;
  EXPECT_GE(told_apart, least) << "rules that tell packets apart";
}

INSTANTIATE_TEST_SUITE_P(All, Routes,
                         testing::Values("prerouting", "input", "forward", "output", "postrouting"),
                         [](const auto& hook) { return hook.param; });

}  // namespace
}  // namespace weir::test
