// SPDX-License-Identifier: BSD-2-Clause
//
// veth and packet sockets.
#include "kernel/support/xdp_world.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

namespace weir::test {
namespace {

constexpr const char* device = "weir0";
constexpr const char* peer = "weir1";

// On `ifindex`; protocol 0 receives nothing.
kernel::Fd packet_socket(std::uint32_t ifindex, std::uint16_t protocol) {
  kernel::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) give_up("packet socket", errno);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = static_cast<int>(ifindex);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    give_up("binding a packet socket", errno);
  }
  return fd;
}

}  // namespace

XdpWorld::XdpWorld() : netns_(Netns::create()) {
  const Inside inside(netns_);
  set_sysctl("ipv6/conf/default/disable_ipv6", "1");
  expect(run_command({"ip", "link", "add", device, "type", "veth", "peer", "name", peer}));
  for (const auto* end : {device, peer}) {
    expect(run_command({"ip", "link", "set", end, "arp", "off", "up"}));
  }
  ifindex_ = interface_index(device);
  sender_ = packet_socket(interface_index(peer), 0);
  receiver_ = packet_socket(ifindex_, ETH_P_ALL);
}

Result<kernel::Fd> XdpWorld::attach(const kernel::Fd& program, kernel::XdpMode mode) {
  const Inside inside(netns_);
  return kernel::attach_xdp(program, ifindex_, mode);
}

bool XdpWorld::receive() {
  std::uint8_t byte = 0;
  if (::recv(receiver_.get(), &byte, 1, 0) >= 0) return true;
  if (errno != EAGAIN) give_up("receiving frames", errno);
  return false;
}

bool XdpWorld::send(ByteView frame) {
  if (::send(sender_.get(), frame.data(), frame.size(), 0) < 0) {
    if (errno != EINVAL && errno != EMSGSIZE) give_up("sending a frame", errno);
    return false;
  }
  bool passed = false;
  while (receive()) passed = true;
  return passed;
}

std::vector<bool> XdpWorld::send_batch(std::span<const Bytes> frames) {
  while (receive()) ++late_arrivals_;
  std::vector<bool> passed;
  passed.reserve(frames.size());
  for (const auto& frame : frames) passed.push_back(send(frame));
  while (receive()) ++late_arrivals_;
  return passed;
}

}  // namespace weir::test
