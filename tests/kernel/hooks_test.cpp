// SPDX-License-Identifier: BSD-2-Clause
//
// The hooks beside forward, with real sockets: the same datagrams past nft's rules and past weir's
// program, at prerouting and input on their way to sockets, at output and postrouting on their way
// from one.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "frontend/nft/nft.h"
#include "kernel/programs.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"
#include "kernel/support/root_only.h"
#include "kernel/support/tun.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::uint16_t first_port = 1000;
constexpr std::uint16_t last_port = 1019;

// What a datagram was, and how often it got through: (IP version, destination port, payload).
using Arrivals = std::multiset<std::tuple<int, std::uint16_t, std::size_t>>;

kernel::Fd udp_socket(std::uint16_t port) {
  kernel::Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) give_up("UDP socket", errno);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    give_up("binding a UDP socket", errno);
  }
  return fd;
}

// A host behind one TUN device, 10.0.0.1 and 2001:db8::1, with a socket at every port.
class Host {
 public:
  Host() : netns_(Netns::create()), nft_(netns_) {
    const Inside inside(netns_);
    set_sysctl("ipv6/conf/default/addr_gen_mode", "1");
    tun_ = std::make_unique<Tun>("tun0");
    expect(run_command({"ip", "link", "set", "tun0", "up"}));
    expect(run_command({"ip", "addr", "add", "10.0.0.1/24", "dev", "tun0"}));
    expect(run_command({"ip", "addr", "add", "2001:db8::1/64", "dev", "tun0", "nodad"}));
    await_address();
    for (std::uint16_t port = first_port; port <= last_port; ++port) {
      sockets_.emplace(port, udp_socket(port));
    }
  }

  [[nodiscard]] const Netns& netns() const { return netns_; }
  [[nodiscard]] Nft& nft() { return nft_; }

  Arrivals receive_all() {
    Arrivals arrivals;
    for (const bool v6 : {false, true}) {
      for (std::uint16_t port = first_port; port <= last_port; ++port) {
        for (const std::size_t payload : {std::size_t{10}, std::size_t{200}}) {
          write(v6, port, payload);
        }
      }
    }
    for (const auto& [port, fd] : sockets_) {
      std::array<std::uint8_t, 512> buffer{};
      sockaddr_in6 from{};
      socklen_t size = sizeof(from);
      for (ssize_t got = 0; (got = ::recvfrom(fd.get(), buffer.data(), buffer.size(), 0,
                                              reinterpret_cast<sockaddr*>(&from), &size)) >= 0;) {
        const bool v4 = IN6_IS_ADDR_V4MAPPED(&from.sin6_addr);
        arrivals.emplace(v4 ? 4 : 6, port, static_cast<std::size_t>(got));
      }
    }
    return arrivals;
  }

  Arrivals send_all() {
    for (const char* address : {"::ffff:10.0.0.2", "2001:db8::2"}) {
      for (std::uint16_t port = first_port; port <= last_port; ++port) {
        for (const std::size_t payload : {std::size_t{10}, std::size_t{200}}) {
          send(address, port, payload);
        }
      }
    }
    Arrivals arrivals;
    while (const auto packet = tun_->read()) {
      const bool v4 = (*packet)[0] >> 4 == 4;
      const std::size_t transport = v4 ? 20 : 40;
      if ((*packet)[v4 ? 9 : 6] != IPPROTO_UDP) continue;
      const auto port = load_big_endian(packet->subspan(transport + 2, 2));
      arrivals.emplace(v4 ? 4 : 6, static_cast<std::uint16_t>(port),
                       packet->size() - transport - 8);
    }
    return arrivals;
  }

 private:
  // A work queue makes an IPv6 address this host's own (addrconf_dad_work()), with "nodad" as well.
  static void await_address() {
    for (int attempt = 0; attempt < 500; ++attempt) {
      const auto routes = expect(run_command({"ip", "-6", "route", "show", "table", "local"}));
      if (routes.find("local 2001:db8::1 dev tun0") != std::string::npos) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    give_up("the IPv6 address does not become this host's");
  }

  void write(bool v6, std::uint16_t port, std::size_t payload) {
    packet::NetworkHeader network =
        packet::Ipv4{.source = {10, 0, 0, 2}, .destination = {10, 0, 0, 1}};
    if (v6) {
      network = packet::Ipv6{.source = packet::ipv6("2001:db8::2"),
                             .destination = packet::ipv6("2001:db8::1")};
    }
    const auto packet = packet::build({.network = network,
                                       .transport = packet::Udp{.destination_port = port},
                                       .payload = Bytes(payload, 1)});
    if (!tun_->write(packet.bytes)) give_up("the TUN device refuses a datagram");
  }

  // A drop at the output hook is EPERM.
  void send(const char* address, std::uint16_t port, std::size_t payload) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    ::inet_pton(AF_INET6, address, &to.sin6_addr);
    const Bytes bytes(payload, 1);
    if (::sendto(sockets_.at(first_port).get(), bytes.data(), bytes.size(), 0,
                 reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0 &&
        errno != EPERM) {
      give_up("sending a datagram", errno);
    }
  }

  Netns netns_;
  Nft nft_;
  std::unique_ptr<Tun> tun_;
  std::map<std::uint16_t, kernel::Fd> sockets_;
};

// A script's programs at the netfilter hooks of a namespace, until they are taken off.
class Attached {
 public:
  Attached(const Netns& netns, const std::string& script)
      : ruleset_(expect(frontend::nft::read_script(script, "hooks.nft"))),
        programs_(expect(make_programs(ruleset_, std::nullopt, {}))) {
    const Inside inside(netns);
    for (std::size_t i = 0; i < programs_.loaded.programs.size(); ++i) {
      const driver::Attachment& place = programs_.compilation.programs[i].attachment;
      links_.push_back(expect(kernel::attach_netfilter(programs_.loaded.programs[i], place.nfproto,
                                                       place.hook.nf_hook, place.priority)));
    }
  }

  void detach() { links_.clear(); }

  void expect_counted(const std::vector<RuleCounter>& by_nft) const {
    const auto counted = programs_.counters(ruleset_);
    ASSERT_EQ(counted.size(), by_nft.size());
    for (std::size_t i = 0; i < counted.size(); ++i) {
      const std::string& rule = ruleset_[ruleset_.counters[i].rule].origin.text;
      EXPECT_EQ(counted[i].packets, by_nft[i].packets) << rule;
      EXPECT_EQ(counted[i].bytes, by_nft[i].bytes) << rule;
    }
  }

 private:
  imr::Ruleset ruleset_;
  Programs programs_;
  std::vector<kernel::Fd> links_;
};

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

  Attached weir(host.netns(), script);
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
  const Attached weir(host.netns(), script);
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
  const Attached weir(netns, script);
  traffic();
  weir.expect_counted(counted_by_nft);
}

INSTANTIATE_TEST_SUITE_P(All, Hooks,
                         testing::Values("prerouting", "input", "output", "postrouting"),
                         [](const auto& hook) { return hook.param; });

}  // namespace
}  // namespace weir::test
