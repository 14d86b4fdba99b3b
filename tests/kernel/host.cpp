// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/host.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "frontend/nft/nft.h"
#include "packet/builder.h"

namespace weir::test {

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

Host::Host() : netns_(Netns::create()), nft_(netns_) {
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

Arrivals Host::receive_all() {
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

Arrivals Host::send_all() {
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
    arrivals.emplace(v4 ? 4 : 6, static_cast<std::uint16_t>(port), packet->size() - transport - 8);
  }
  return arrivals;
}

void Host::await_address() {
  for (int attempt = 0; attempt < 500; ++attempt) {
    const auto routes = expect(run_command({"ip", "-6", "route", "show", "table", "local"}));
    if (routes.find("local 2001:db8::1 dev tun0") != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  give_up("the IPv6 address does not become this host's");
}

void Host::write(bool v6, std::uint16_t port, std::size_t payload) {
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
void Host::send(const char* address, std::uint16_t port, std::size_t payload) {
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

AttachedScript::AttachedScript(const Netns& netns, const std::string& script)
    : ruleset_(expect(frontend::nft::read_script(script, "hooks.nft"))),
      programs_(expect(make_programs(ruleset_, std::nullopt, {}))) {
  const Inside inside(netns);
  for (std::size_t i = 0; i < programs_.loaded.programs.size(); ++i) {
    const driver::Attachment& place = programs_.compilation.programs[i].attachment;
    links_.push_back(expect(kernel::attach_netfilter(programs_.loaded.programs[i], place.nfproto,
                                                     place.hook.nf_hook, place.priority)));
  }
}

void AttachedScript::expect_counted(const std::vector<RuleCounter>& by_nft) const {
  const auto counted = programs_.counters(ruleset_);
  auto theirs = by_nft.begin();
  for (std::size_t i = 0; i < counted.size(); ++i) {
    if (!ruleset_.counters[i].name.empty()) continue;
    const std::string& rule = ruleset_[ruleset_.counters[i].rule].origin.text;
    ASSERT_NE(theirs, by_nft.end()) << rule;
    EXPECT_EQ(counted[i].packets, theirs->packets) << rule;
    EXPECT_EQ(counted[i].bytes, theirs->bytes) << rule;
    ++theirs;
  }
  EXPECT_EQ(theirs, by_nft.end());
}

void AttachedScript::expect_counted(
    const std::map<std::string, std::pair<std::uint64_t, std::uint64_t>>& by_nft) const {
  const auto counted = programs_.counters(ruleset_);
  for (std::size_t i = 0; i < counted.size(); ++i) {
    const std::string name = ruleset_.counters[i].name.str();
    if (name.empty()) continue;
    EXPECT_EQ(std::pair(counted[i].packets, counted[i].bytes), by_nft.at(name)) << name;
  }
}

std::size_t expect_counted_as_nft(const std::string& script,
                                  const std::function<std::unique_ptr<Host>()>& prepared,
                                  const std::function<void(Host&)>& traffic) {
  std::vector<RuleCounter> by_nft;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> named;
  {
    const auto host = prepared();
    expect(host->nft().run(script));
    traffic(*host);
    by_nft = expect(host->nft().counters());
    named = expect(host->nft().named_counters());
  }
  const auto host = prepared();
  const AttachedScript weir(host->netns(), script);
  traffic(*host);
  weir.expect_counted(by_nft);
  weir.expect_counted(named);
  return static_cast<std::size_t>(std::ranges::count_if(by_nft, [&](const RuleCounter& rule) {
    return rule.packets != 0 && rule.packets != by_nft.back().packets;
  }));
}

}  // namespace weir::test
