// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/support/socket_world.h"

#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "packet/headers.h"

namespace weir::test {
namespace {

constexpr std::uint8_t tcp = IPPROTO_TCP;
constexpr std::uint8_t udp = IPPROTO_UDP;
constexpr int no_checksum_v6 = 101;  // UDP_NO_CHECK6_TX in linux/udp.h

void set(const std::string& name, std::string_view value) {
  if (!set_sysctl(name, value)) give_up("setting net/" + name, errno);
}

void configure_stack() {
  set("ipv4/tcp_syncookies", "2");
  for (const std::string conf : {"ipv4/conf/all/", "ipv4/conf/default/"}) {
    set(conf + "rp_filter", "0");
    set(conf + "accept_local", "1");
    set(conf + "route_localnet", "1");
  }
  set("ipv6/auto_flowlabels", "0");
  for (const std::string conf : {"ipv6/conf/all/", "ipv6/conf/default/"}) {
    set(conf + "accept_ra", "0");
    set(conf + "accept_dad", "0");
    set(conf + "dad_transmits", "0");
    set(conf + "addr_gen_mode", "1");  // no link-local address of its own
  }
}

// What comes in is for this host; what goes out has a device to leave by.
void make_routes() {
  for (const std::string version : {"-4", "-6"}) {
    expect(run_command({"ip", version, "rule", "add", "iif", "eth0", "lookup", "7"}));
    expect(run_command(
        {"ip", version, "route", "add", "local", "default", "dev", "eth0", "table", "7"}));
    expect(run_command({"ip", version, "route", "add", "default", "dev", "eth0"}));
  }
}

void option(const kernel::Fd& socket, int level, int name, int value) {
  if (::setsockopt(socket.get(), level, name, &value, sizeof(value)) != 0) {
    give_up("a socket option", errno);
  }
}

kernel::Fd open_socket(bool v4, int type, int protocol) {
  kernel::Fd fd(::socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd.valid()) give_up("a socket of protocol " + std::to_string(protocol), errno);
  // Addresses that are not this host's.
  option(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, 1);
  if (!v4 && type != SOCK_RAW) option(fd, SOL_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

struct Address {
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&v4); }
};

// `address` empty: any.
Address make_address(bool v4, ByteView address, std::uint16_t port) {
  Address out{};
  if (v4) {
    out.v4 = {};
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(port);
    std::ranges::copy(address, reinterpret_cast<std::uint8_t*>(&out.v4.sin_addr));
    out.size = sizeof(out.v4);
  } else {
    out.v6 = {};
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(port);
    out.v6.sin6_scope_id = SocketWorld::device_index;
    std::ranges::copy(address, out.v6.sin6_addr.s6_addr);
    out.size = sizeof(out.v6);
  }
  return out;
}

bool is_v4(ByteView packet) {
  return !packet.empty() && packet[0] >> 4 == 4;
}
ByteView source_of(ByteView packet) {
  return is_v4(packet) ? packet.subspan(12, 4) : packet.subspan(8, 16);
}
ByteView destination_of(ByteView packet) {
  return is_v4(packet) ? packet.subspan(16, 4) : packet.subspan(24, 16);
}

std::optional<packet::TransportPlace> transport_of(ByteView packet) {
  if (packet.size() < (is_v4(packet) ? 20U : 40U)) return std::nullopt;
  const auto place = packet::find_transport(
      packet, is_v4(packet) ? packet::ethertype_ipv4 : packet::ethertype_ipv6);
  return place && !place->is_fragment() ? place : std::nullopt;
}

std::uint16_t port_at(ByteView packet, std::size_t at) {
  return static_cast<std::uint16_t>(load_big_endian(packet.subspan(at, 2)));
}

}  // namespace

SocketWorld::SocketWorld(Sockets sockets) : netns_(Netns::create()), nft_(netns_) {
  {
    const Inside inside(netns_);
    configure_stack();
    device_ = std::make_unique<Tun>("eth0");
    if (interface_index("eth0") != device_index) give_up("the device has another index than 2");
    expect(run_command({"ip", "link", "set", "eth0", "mtu", "65535", "up"}));
    expect(run_command({"tc", "qdisc", "replace", "dev", "eth0", "root", "noqueue"}));
    make_routes();
  }
  buffer_.resize(65536);
  if (sockets == Sockets::in_cgroup) {
    cgroup_.emplace(
        expect(kernel::ScratchCgroup::create("weir_judge_" + std::to_string(::getpid()))));
  }
}

// A place behind the IPv6 header only, and no fragments.
std::optional<SocketWorld::Key> SocketWorld::key_of(ByteView packet) {
  const auto place = transport_of(packet);
  if (!place) return std::nullopt;
  Key key{.v4 = is_v4(packet), .protocol = place->protocol, .port = 0};
  if (key.protocol != tcp && key.protocol != udp) {
    // IPPROTO_RAW receives nothing; extension headers (RFC 8200) are met on the way to others.
    const bool unfit =
        key.protocol == 0 || key.protocol == 255 ||
        (!key.v4 && (key.protocol == 59 || key.protocol == 50 || key.protocol == 135 ||
                     key.protocol == 139 || key.protocol == 140));
    return unfit ? std::nullopt : std::optional(key);
  }
  if (packet.size() < place->offset + 8) return std::nullopt;
  key.port = port_at(packet, place->offset + 2);
  return key.port == 0 ? std::nullopt : std::optional(key);
}

kernel::Fd SocketWorld::receiver_for(const Key& key) {
  const bool ports = key.protocol == tcp || key.protocol == udp;
  const int type = key.protocol == tcp ? SOCK_STREAM : key.protocol == udp ? SOCK_DGRAM : SOCK_RAW;
  kernel::Fd fd = open_socket(key.v4, type, key.protocol);
  if (!ports) return fd;
  option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const Address any = make_address(key.v4, {}, key.port);
  if (::bind(fd.get(), any.get(), any.size) != 0) give_up("binding a socket", errno);
  if (key.protocol == tcp && ::listen(fd.get(), 16) != 0) give_up("listen", errno);
  return fd;
}

void SocketWorld::prepare(std::span<const ByteView> packets) {
  const Inside inside(netns_);
  if (cgroup_) expect(cgroup_->enter());
  for (const bool v4 : {false, true}) {
    if (!raw_[v4].valid()) {
      raw_[v4] = open_socket(v4, SOCK_RAW, IPPROTO_RAW);
      option(raw_[v4], v4 ? SOL_IP : SOL_IPV6, v4 ? IP_HDRINCL : IPV6_HDRINCL, 1);
      if (v4) option(raw_[v4], SOL_SOCKET, SO_BROADCAST, 1);
    }
    datagram_[v4].clear();
  }
  for (const ByteView packet : packets) {
    const auto key = key_of(packet);
    if (key && !receivers_.contains(*key)) receivers_.emplace(*key, receiver_for(*key));
    if (is_datagram(packet)) {
      datagram_[is_v4(packet)].push_back(open_socket(is_v4(packet), SOCK_DGRAM, udp));
    }
  }
  if (cgroup_) expect(cgroup_->leave());
}

bool SocketWorld::drain_device() {
  bool answered = false;
  while (const auto packet = device_->read()) {
    const auto place = transport_of(*packet);
    answered = answered || (place && place->protocol == tcp);
  }
  return answered;
}

bool SocketWorld::deliver(ByteView packet, std::uint16_t linear) {
  const auto key = key_of(packet);
  const auto receiver = key ? receivers_.find(*key) : receivers_.end();
  if (receiver == receivers_.end()) return false;
  (void)drain_device();
  if (!device_->write(packet, linear)) return false;
  const bool answered = drain_device();
  if (key->protocol == tcp) return answered;
  bool arrived = false;
  for (;;) {
    if (::recv(receiver->second.get(), buffer_.data(), buffer_.size(), 0) >= 0) {
      arrived = true;
    } else if (errno == EAGAIN) {
      return arrived;
    }
    // Anything else is an error that an ICMP packet told the socket of.
  }
}

bool SocketWorld::is_datagram(ByteView packet) {
  const auto place = transport_of(packet);
  if (!place || place->protocol != udp || packet.size() < place->offset + 8) return false;
  return place->offset == (is_v4(packet) ? 20U : 40U) && port_at(packet, place->offset) != 0 &&
         port_at(packet, place->offset + 2) != 0;
}

// UDP checksums would be left to the device, which is behind all hooks: there are none.
kernel::Fd SocketWorld::take_datagram_socket(bool v4) {
  if (datagram_[v4].empty()) give_up("no UDP socket was prepared for a packet");
  kernel::Fd fd = std::move(datagram_[v4].back());
  datagram_[v4].pop_back();
  option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (v4) {
    option(fd, SOL_SOCKET, SO_NO_CHECK, 1);
    option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    // Without identifiers of their own.
    option(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  } else {
    option(fd, IPPROTO_UDP, no_checksum_v6, 1);
  }
  return fd;
}

SocketWorld::Departure SocketWorld::send(ByteView packet, std::uint32_t mark, bool by_udp) {
  const bool v4 = is_v4(packet);
  if (packet.size() < (v4 ? 20U : 40U)) return {};
  (void)drain_device();
  kernel::Fd datagram;
  ByteView content = packet;
  std::uint16_t port = 0;
  if (by_udp) {
    const std::size_t header = v4 ? 20 : 40;
    datagram = take_datagram_socket(v4);
    port = port_at(packet, header + 2);
    content = packet.subspan(header + 8);
    const Address from = make_address(v4, source_of(packet), port_at(packet, header));
    if (::bind(datagram.get(), from.get(), from.size) != 0) return {};  // a multicast address
  }
  const kernel::Fd& socket = by_udp ? datagram : raw_[v4];
  option(socket, SOL_SOCKET, SO_MARK, static_cast<int>(mark));
  const Address to = make_address(v4, destination_of(packet), port);
  Departure out;
  if (::sendto(socket.get(), content.data(), content.size(), 0, to.get(), to.size) < 0) {
    out.refused = errno == EPERM;
  }
  while (const auto left = device_->read()) out.packet.emplace(left->begin(), left->end());
  return out;
}

Status SocketWorld::load_ruleset(std::string_view text) {
  WEIR_CHECK(nft_.run("flush ruleset\n" + std::string(text)));
  return {};
}

Result<kernel::Fd> SocketWorld::attach(const kernel::Fd& program, isa::Direction direction) {
  if (!cgroup_) give_up("a program for sockets in no cgroup");
  return kernel::attach_cgroup(program, cgroup_->path(), direction);
}

}  // namespace weir::test
