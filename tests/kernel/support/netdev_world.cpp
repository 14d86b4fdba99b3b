// SPDX-License-Identifier: BSD-2-Clause
//
// veth, packet sockets, and nf_tables to hand frames on.
#include "kernel/support/netdev_world.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "isa/isa.h"
#include "kernel/xdp_features.h"
#include "packet/checksum.h"

namespace weir::test {
namespace {

constexpr std::array<std::uint8_t, 6> address = {0x02, 0, 0, 0, 0, 0x02};
constexpr std::uint32_t most_of_xdp = 3000;  // bytes of a frame that native XDP takes anywhere
constexpr const char* address_text = "02:00:00:00:00:02";

// struct virtio_net_hdr of linux/virtio_net.h, which is no C++.
struct VirtioHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_length = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(VirtioHeader) == 10);

// On `ifindex`; protocol 0 receives nothing.
kernel::Fd packet_socket(std::uint32_t ifindex, std::uint16_t protocol) {
  kernel::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) give_up("packet socket", errno);
  sockaddr_ll place{};
  place.sll_family = AF_PACKET;
  place.sll_protocol = htons(protocol);
  place.sll_ifindex = static_cast<int>(ifindex);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&place), sizeof(place)) != 0) {
    give_up("binding a packet socket", errno);
  }
  return fd;
}

void make_pair(const std::string& from, const std::string& to, std::uint32_t mtu) {
  expect(run_command({"ip", "link", "add", from, "type", "veth", "peer", "name", to}));
  for (const std::string& end : {from, to}) {
    expect(run_command({"ip", "link", "set", end, "arp", "off", "mtu", std::to_string(mtu), "up"}));
  }
  expect(run_command({"ip", "link", "set", to, "address", address_text}));
}

// All ports forward at once, every frame to the other port, and no frame is checked and cut as an
// IP packet (br_validate_ipv4() in net/bridge/br_netfilter_hooks.c, where that module is loaded).
void make_bridge(const std::vector<std::string>& ports, std::uint32_t mtu) {
  expect(run_command({"ip", "link", "add", "br0", "type", "bridge", "stp_state", "0",
                      "forward_delay", "0", "mcast_snooping", "0"}));
  expect(run_command({"ip", "link", "set", "br0", "address", "02:00:00:00:00:99", "mtu",
                      std::to_string(mtu), "arp", "off", "up"}));
  for (const char* const family : {"iptables", "ip6tables", "arptables"}) {
    set_sysctl("bridge/bridge-nf-call-" + std::string(family), "0");
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    // A bridge keeps frames to the addresses of its ports to itself.
    const std::string own = "02:00:00:00:99:0" + std::to_string(i);
    expect(run_command({"ip", "link", "set", ports[i], "address", own, "master", "br0"}));
    expect(run_command({"ip", "link", "set", ports[i], "type", "bridge_slave", "learning", "off"}));
  }
}

// Every address is this host's, and whoever asks is told so (arp_process() in net/ipv4/arp.c).
void make_host(const std::string& device) {
  for (const std::string& conf : {std::string("ipv4/conf/all/"), "ipv4/conf/" + device + "/"}) {
    for (const char* const name : {"accept_local", "route_localnet"}) set_sysctl(conf + name, "1");
    set_sysctl(conf + "rp_filter", "0");
  }
  expect(run_command({"ip", "link", "set", device, "arp", "on"}));
  expect(run_command({"ip", "route", "add", "local", "default", "dev", device, "table", "local"}));
}

bool is_tcp(const packet::Packet& packet) {
  constexpr std::uint8_t tcp = 6;
  const ByteView network = packet.network();
  const std::size_t protocol = packet.ethertype == ETH_P_IP ? 9 : 6;
  return protocol < network.size() && network[protocol] == tcp;
}

// What an XDP program at one end of a pair sends is taken by the other where it has one as well
// (veth_xdp_flush() in drivers/net/veth.c): one that passes everything.
kernel::Fd take_from_xdp(const std::string& device) {
  isa::Object object;
  isa::Program& program = object.programs.emplace_back();
  program = {.name = "pass", .type = isa::ProgramType::xdp};
  program.insns = expect(isa::assemble("r0 = 2\nexit\n")).insns;
  const kernel::LoadedObject loaded = expect(kernel::load(object));
  return expect(kernel::attach_xdp(loaded.programs.front(), interface_index(device),
                                   kernel::XdpMode::native));
}

}  // namespace

NetdevWorld::NetdevWorld(isa::Direction direction, std::uint32_t mtu, Middle middle)
    : netns_(Netns::create()), nft_(netns_), direction_(direction), middle_(middle) {
  {
    const Inside inside(netns_);
    set_sysctl("ipv6/conf/all/disable_ipv6", "1");
    set_sysctl("ipv6/conf/default/disable_ipv6", "1");
    const bool ingress = direction == isa::Direction::ingress;
    make_pair("in0", ingress ? "eth0" : "mid0", mtu);
    make_pair(ingress ? "out0" : "eth0", "out1", mtu);
    if (middle == Middle::bridge) {
      make_bridge({ingress ? "eth0" : "mid0", ingress ? "out0" : "eth0"}, mtu);
    }
    ifindex_ = interface_index("eth0");
    sender_ = packet_socket(interface_index("in0"), 0);
    if (middle == Middle::host) make_host("eth0");
    receiver_ = packet_socket(interface_index(middle == Middle::host ? "in0" : "out1"), ETH_P_ALL);
    answers_ = packet_socket(interface_index("in0"), ETH_P_ALL);
    if (middle == Middle::rules) {
      make_pair("away0", "away1", mtu);
      away_index_ = interface_index("away0");
      away_ = packet_socket(interface_index("away1"), ETH_P_ALL);
    }
    if (ingress && middle == Middle::rules && mtu < most_of_xdp) {
      takers_.push_back(take_from_xdp("in0"));
      takers_.push_back(take_from_xdp("away1"));
    }
    // For `linear`, which is the header length of a virtio_net_hdr in front of each frame
    // (packet_snd() and packet_alloc_skb() in net/packet/af_packet.c).
    const int on = 1;
    if (::setsockopt(sender_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0) {
      give_up("PACKET_VNET_HDR", errno);
    }
    for (const kernel::Fd* const socket : {&receiver_, &answers_, &away_}) {
      if (!socket->valid()) continue;
      if (::setsockopt(socket->get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0) {
        give_up("PACKET_IGNORE_OUTGOING", errno);
      }
    }
    if (::setsockopt(answers_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) != 0) {
      give_up("PACKET_AUXDATA", errno);
    }
    for (const kernel::Fd* const socket : {&receiver_, &away_}) {
      if (!socket->valid()) continue;
      if (::setsockopt(socket->get(), SOL_SOCKET, SO_RCVMARK, &on, sizeof(on)) != 0) {
        give_up("SO_RCVMARK", errno);
      }
    }
  }
  expect(load_ruleset(""));
}

ByteView NetdevWorld::hardware_address() {
  return address;
}

Status NetdevWorld::load_ruleset(std::string_view text) {
  if (middle_ != Middle::rules) {
    WEIR_CHECK(nft_.run("flush ruleset\n" + std::string(text)));
    return {};
  }
  const bool ingress = direction_ == isa::Direction::ingress;
  const std::string from = ingress ? "eth0" : "mid0";
  const std::string to = ingress ? "out0" : "eth0";
  const auto loaded =
      nft_.run("flush ruleset\n" + std::string(text) +
               "\ntable netdev way {\n  chain onwards {\n    type filter hook ingress device " +
               from + " priority 2000; policy accept;\n    fwd to \"" + to + "\"\n  }\n}\n");
  if (!loaded) return std::unexpected(loaded.error());
  return {};
}

Result<kernel::Fd> NetdevWorld::attach_tcx(const kernel::Fd& program) {
  const Inside inside(netns_);
  return kernel::attach_tcx(program, ifindex_, direction_);
}

Result<kernel::Fd> NetdevWorld::attach_xdp(const kernel::Fd& program, kernel::XdpMode mode) {
  const Inside inside(netns_);
  return kernel::attach_xdp(program, ifindex_, mode);
}

// With the mark beside the frame (SO_RCVMARK, 5.19): a pair of devices in one namespace keeps it
// (skb_scrub_packet() in net/core/skbuff.c).
std::optional<NetdevWorld::Received> NetdevWorld::receive(const kernel::Fd& socket) {
  constexpr std::size_t longest = 65536;
  Received out;
  received_.resize(longest);
  iovec data{.iov_base = received_.data(), .iov_len = received_.size()};
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(out.mark))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(socket.get(), &message, 0);
  if (size < 0) {
    if (errno != EAGAIN) give_up("receiving frames", errno);
    return std::nullopt;
  }
  out.bytes.assign(received_.begin(), received_.begin() + size);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SO_MARK) {
    give_up("a frame without its mark");
  }
  std::memcpy(&out.mark, CMSG_DATA(header), sizeof(out.mark));
  return out;
}

// A checksum that is left to a device is that of a reset.
bool NetdevWorld::receive_answer() {
  constexpr std::size_t longest = 65536;
  constexpr std::size_t link_header = 14;
  received_.resize(longest);
  iovec data{.iov_base = received_.data(), .iov_len = received_.size()};
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(answers_.get(), &message, 0);
  if (size < 0) {
    if (errno != EAGAIN) give_up("receiving answers", errno);
    return false;
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != PACKET_AUXDATA) give_up("an answer without facts");
  tpacket_auxdata facts{};
  std::memcpy(&facts, CMSG_DATA(header), sizeof(facts));
  packet::Packet packet{.bytes = Bytes(received_.begin(), received_.begin() + size),
                        .network_offset = link_header};
  packet.ethertype = static_cast<std::uint16_t>(
      load_big_endian(ByteView(packet.bytes).subspan(link_header - 2, 2)));
  if ((facts.tp_status & TP_STATUS_CSUMNOTREADY) != 0) {
    if (!is_tcp(packet)) give_up("an answer that a device would write a checksum into");
    packet::repair_checksums(packet);
  }
  // The tag is in metadata again.
  if ((facts.tp_status & TP_STATUS_VLAN_VALID) != 0) {
    const Bytes tag =
        big_endian_bytes(std::uint64_t{facts.tp_vlan_tpid} << 16 | facts.tp_vlan_tci, 4);
    packet.bytes.insert(packet.bytes.begin() + 12, tag.begin(), tag.end());
  }
  answer_ = std::move(packet.bytes);
  return true;
}

std::optional<Bytes> NetdevWorld::answer() {
  bool any = false;
  while (receive_answer()) any = true;
  return any ? std::optional(answer_) : std::nullopt;
}

std::optional<bool> NetdevWorld::takes_xdp_frames(const std::string& device) {
  const Inside inside(netns_);
  return expect(kernel::takes_xdp_frames(interface_index(device)));
}

std::vector<NetdevWorld::Received> NetdevWorld::sent_away() {
  std::vector<Received> out;
  if (!away_.valid()) return out;
  while (auto one = receive(away_)) out.push_back(std::move(*one));
  return out;
}

bool NetdevWorld::send(ByteView frame, std::uint16_t linear, std::uint32_t mark,
                       std::optional<OpenChecksum> open) {
  while (receive(receiver_)) ++late_arrivals_;
  while (receive_answer()) {
  }
  (void)sent_away();
  if (mark != mark_) {
    if (::setsockopt(sender_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) {
      give_up("SO_MARK", errno);
    }
    mark_ = mark;
  }
  VirtioHeader header{.header_length = linear};
  if (open) {
    header.flags = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
    header.checksum_start = open->start;
    header.checksum_offset = open->offset;
  }
  buffer_.resize(sizeof(header) + frame.size());
  std::memcpy(buffer_.data(), &header, sizeof(header));
  if (!frame.empty()) std::memcpy(buffer_.data() + sizeof(header), frame.data(), frame.size());
  if (::send(sender_.get(), buffer_.data(), buffer_.size(), 0) < 0) {
    if (errno != EINVAL && errno != EMSGSIZE) give_up("sending a frame", errno);
    return false;
  }
  bool passed = false;
  while (auto arrived = receive(receiver_)) {
    passed = true;
    arrived_ = std::move(*arrived);
  }
  if (passed && middle_ == Middle::host) arrived_.mark = mark;
  return passed;
}

}  // namespace weir::test
