// SPDX-License-Identifier: BSD-2-Clause
#include "packet/vlan.h"

#include <utility>

#include "packet/headers.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

constexpr std::size_t ethernet_size = 14;
constexpr std::size_t addresses_size = 12;
constexpr std::size_t tag_size = 4;

std::uint16_t read16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(load_big_endian(ByteView(bytes).subspan(at, 2)));
}

}  // namespace

Packet as_received(Packet packet) {
  if (packet.vlan || packet.network_offset < ethernet_size || packet.bytes.size() < ethernet_size) {
    return packet;
  }
  const std::uint16_t outer = read16(packet.bytes, addresses_size);
  const bool tagged = outer == ethertype_vlan || outer == ethertype_qinq;
  if (tagged) {
    if (packet.bytes.size() < ethernet_size + tag_size) {
      packet.network_offset = ethernet_size;
      packet.ethertype = outer;
      return packet;
    }
    packet.vlan = HwaccelTag{.protocol = outer, .tci = read16(packet.bytes, ethernet_size)};
    const auto tag = packet.bytes.begin() + addresses_size;
    packet.bytes.erase(tag, tag + tag_size);
  }
  packet.network_offset = ethernet_size;
  packet.ethertype = protocol_of_frame(packet.bytes, addresses_size);
  return packet;
}

Bytes on_wire(const Packet& packet) {
  Bytes bytes = packet.bytes;
  if (!packet.vlan || bytes.size() < addresses_size) return bytes;
  Bytes tag = big_endian_bytes(packet.vlan->protocol, 2);
  const Bytes tci = big_endian_bytes(packet.vlan->tci, 2);
  tag.insert(tag.end(), tci.begin(), tci.end());
  bytes.insert(bytes.begin() + addresses_size, tag.begin(), tag.end());
  return bytes;
}

}  // namespace weir::packet
