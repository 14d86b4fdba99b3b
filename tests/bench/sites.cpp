// SPDX-License-Identifier: BSD-2-Clause
//
// Received packets come by the loopback device, as LiveFrames has it; forwarded and sent ones leave
// by a veth device, which nobody asks for addresses.
#include "bench/sites.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "backend/profile.h"
#include "bench/clock.h"
#include "kernel/support/nft.h"

namespace weir::bench {
namespace {

using test::expect;
using test::give_up;

constexpr packet::Ipv4Address this_host = {10, 0, 0, 2};
constexpr packet::Ipv4Address other_host = {10, 0, 1, 2};
constexpr std::uint32_t loopback_index = 1;

sockaddr_in address_of(const packet::Ipv4Address& address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  std::copy(address.begin(), address.end(), reinterpret_cast<std::uint8_t*>(&out.sin_addr));
  return out;
}

// In the calling thread's namespace.
std::uint32_t make_devices() {
  // Silent: no packet but ours.
  test::set_sysctl("ipv6/conf/all/disable_ipv6", "1");
  test::set_sysctl("ipv6/conf/default/disable_ipv6", "1");
  expect(test::run_command({"ip", "link", "add", "out0", "type", "veth", "peer", "name", "out1"}));
  expect(test::run_command({"ip", "link", "set", "out0", "up"}));
  expect(test::run_command({"ip", "link", "set", "out1", "arp", "off", "up"}));
  expect(test::run_command({"ip", "link", "set", "lo", "up"}));
  expect(test::run_command({"ip", "addr", "add", "10.0.0.2/32", "dev", "lo"}));
  expect(test::run_command({"ip", "route", "add", "10.0.1.0/24", "dev", "out0"}));
  // A live frame is used again with the link header that it left with; it must still be for this
  // host, by the address of the loopback device.
  expect(test::run_command(
      {"ip", "neigh", "add", "10.0.1.2", "lladdr", "00:00:00:00:00:00", "dev", "out0"}));
  if (!test::set_sysctl("ipv4/ip_forward", "1")) give_up("setting net/ipv4/ip_forward", errno);
  return test::interface_index("out0");
}

kernel::Fd listener() {
  kernel::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = address_of(this_host, 80);
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd.get(), 1) != 0) {
    give_up("a listening TCP socket", errno);
  }
  return fd;
}

kernel::Fd sender() {
  kernel::Fd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  const sockaddr_in address = address_of(other_host, 0);
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    give_up("a raw socket", errno);
  }
  return fd;
}

// A socket for all protocols sees packets in front of every chain (ptype_all).
kernel::Fd onlooker() {
  kernel::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(loopback_index);
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    give_up("a packet socket", errno);
  }
  return fd;
}

// As many raw packets as `count`, all of which the hook must refuse.
double send_all(const kernel::Fd& socket, ByteView packet, std::uint32_t count) {
  const double begin = thread_time();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (::send(socket.get(), packet.data(), packet.size(), 0) >= 0) {
      give_up("a packet got past the hook");
    }
    if (errno != EPERM) give_up("sending a packet", errno);
  }
  return thread_time() - begin;
}

}  // namespace

const std::array<Site, 11>& sites() {
  using Way = Site::Way;
  static constexpr std::array<Site, 11> all = {{
      {"netfilter:prerouting", "ip", "hook prerouting", true, Way::received},
      {"netfilter:input", "ip", "hook input", true, Way::received},
      {"netfilter:forward", "ip", "hook forward", true, Way::forwarded},
      {"netfilter:output", "ip", "hook output", true, Way::sent},
      {"netfilter:postrouting", "ip", "hook postrouting", true, Way::forwarded},
      {"tc:ingress", "netdev", "hook ingress device lo", true, Way::received},
      {"tc:egress", "netdev", "hook egress device out0", true, Way::forwarded},
      {"xdp", "netdev", "hook ingress device lo", true, Way::driven},
      {"cgroup:ingress", "ip", "hook input", true, Way::received},
      {"cgroup:egress", "ip", "hook output", true, Way::sent},
      {"socket", "ip", "hook prerouting", false, Way::received},
  }};
  return all;
}

Place::Place(const Site& site)
    : site_(&site),
      hook_(expect(parse_hook(site.hook))),
      netns_(test::Netns::create()),
      packet_(test_packet(site.way == Site::Way::forwarded || site.way == Site::Way::sent
                              ? other_host
                              : this_host)),
      frames_(packet_) {
  const test::Inside inside(netns_);
  out_index_ = make_devices();
  if (hook_.kind == Hook::Kind::cgroup_ingress || hook_.kind == Hook::Kind::cgroup_egress) {
    cgroup_.emplace(expect(
        kernel::ScratchCgroup::create(fmt::format("weir-bench-{}-{}", ::getpid(), netns_.fd()))));
    expect(cgroup_->enter());
  }
  open_socket();
  if (cgroup_) expect(cgroup_->leave());
}

void Place::open_socket() {
  if (site_->way == Site::Way::sent) {
    socket_ = sender();
  } else if (hook_.kind == Hook::Kind::cgroup_ingress) {
    socket_ = listener();
  } else if (hook_.kind == Hook::Kind::socket) {
    socket_ = onlooker();
    // What filters may take: 1,000 rules are more than by default.
    if (!test::set_sysctl("core/optmem_max", "10000000")) give_up("net.core.optmem_max", errno);
    // What comes behind packet sockets is not to be measured.
    const kernel::Fd end = returning_program(isa::ProgramType::sched_cls, isa::Direction::ingress,
                                             backend::tc_ingress_profile.drop);
    links_.push_back(expect(kernel::attach_tcx(end, loopback_index, isa::Direction::ingress)));
  }
}

void Place::load_ruleset(const std::string& text) {
  expect(test::Nft(netns_).run(text));
}

std::vector<std::uint64_t> Place::nft_counters() const {
  std::vector<std::uint64_t> packets;
  for (const auto& counter : expect(test::Nft(netns_).counters())) {
    packets.push_back(counter.packets);
  }
  return packets;
}

void Place::attach(kernel::Fd program, std::int32_t priority) {
  program_ = std::move(program);
  const test::Inside inside(netns_);
  switch (hook_.kind) {
    case Hook::Kind::xdp:
      return;  // the frames are run through it
    case Hook::Kind::netfilter:
      links_.push_back(
          expect(kernel::attach_netfilter(program_, Nfproto::ipv4, hook_.nf_hook, priority)));
      return;
    case Hook::Kind::tc_ingress:
      links_.push_back(
          expect(kernel::attach_tcx(program_, loopback_index, isa::Direction::ingress)));
      return;
    case Hook::Kind::tc_egress:
      links_.push_back(expect(kernel::attach_tcx(program_, out_index_, isa::Direction::egress)));
      return;
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      links_.push_back(expect(kernel::attach_cgroup(program_, cgroup_->path(),
                                                    hook_.kind == Hook::Kind::cgroup_ingress
                                                        ? isa::Direction::ingress
                                                        : isa::Direction::egress)));
      return;
    case Hook::Kind::socket:
      expect(kernel::attach_socket(program_, socket_.get()));
      return;
  }
  throw InvariantError("hook kind out of range");
}

double Place::send(std::uint32_t count) const {
  switch (site_->way) {
    case Site::Way::received:
    case Site::Way::forwarded:
      return frames_.send(netns_, count);
    case Site::Way::driven:
      return program_.valid() ? frames_.send(netns_, count, program_) : frames_.send(netns_, count);
    case Site::Way::sent:
      return send_all(socket_, packet_, count);
  }
  throw InvariantError("way out of range");
}

}  // namespace weir::bench
