// SPDX-License-Identifier: BSD-2-Clause
#include "packet/parse.h"

#include <algorithm>

#include "packet/headers.h"

namespace weir::packet {
namespace {

// Lengths below this stand in place of an ethertype in IEEE 802.3 frames.
constexpr std::uint16_t smallest_ethertype = 0x0600;
constexpr std::uint16_t ethertype_802_3 = 0x0001;
constexpr std::uint16_t ethertype_802_2 = 0x0004;
constexpr int most_vlan_tags = 2;

std::uint16_t read16(ByteView bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(load_big_endian(bytes.subspan(offset, 2)));
}

Packet without_network_header(ByteView frame, std::size_t keep) {
  Packet packet;
  packet.bytes.assign(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(keep));
  packet.network_offset = static_cast<std::uint32_t>(keep);
  return packet;
}

// The ethertype at `type_offset`, behind it the network header or VLAN tags.
Packet behind_ethertype(ByteView frame, std::size_t type_offset) {
  std::uint16_t ethertype = read16(frame, type_offset);
  std::size_t offset = type_offset + 2;
  for (int tag = 0; tag < most_vlan_tags; ++tag) {
    if (ethertype != ethertype_vlan && ethertype != ethertype_qinq) break;
    if (frame.size() < offset + 4) return without_network_header(frame, frame.size());
    ethertype = read16(frame, offset + 2);
    offset += 4;
  }
  Packet packet;
  packet.bytes.assign(frame.begin(), frame.end());
  packet.network_offset = static_cast<std::uint32_t>(offset);
  packet.ethertype = protocol_of_frame(frame, offset - 2);
  return packet;
}

Packet parse_ethernet(ByteView frame) {
  if (frame.size() < 14) return without_network_header(frame, frame.size());
  Packet packet = behind_ethertype(frame, 12);
  const ByteView destination = frame.first(6);
  if (std::ranges::all_of(destination, [](std::uint8_t byte) { return byte == 0xff; })) {
    packet.type = PacketType::broadcast;
  } else if ((destination[0] & 1) != 0) {
    packet.type = PacketType::multicast;
  }
  return packet;
}

Packet parse_ip(ByteView bytes) {
  Packet packet;
  packet.bytes.assign(bytes.begin(), bytes.end());
  const int version = bytes.empty() ? 0 : bytes[0] >> 4;
  if (version == 4) packet.ethertype = ethertype_ipv4;
  if (version == 6) packet.ethertype = ethertype_ipv6;
  return packet;
}

void remove_link_header(Packet& packet) {
  packet.bytes.erase(packet.bytes.begin(), packet.bytes.begin() + packet.network_offset);
  packet.network_offset = 0;
}

// The types of cooked packets are those of skb->pkt_type up to PACKET_OUTGOING (4).
PacketType cooked_type(std::uint32_t type) {
  return type <= 4 ? static_cast<PacketType>(type) : PacketType::host;
}

Packet parse_cooked(ByteView frame) {
  if (frame.size() < 16) return without_network_header(frame, 0);
  Packet packet = behind_ethertype(frame, 14);
  remove_link_header(packet);
  packet.type = cooked_type(read16(frame, 0));
  return packet;
}

Packet parse_cooked2(ByteView frame) {
  constexpr std::size_t header_size = 20;
  if (frame.size() < header_size) return without_network_header(frame, 0);
  // The protocol comes first here and VLAN tags behind the header: put it next to what follows.
  Bytes rearranged(frame.begin() + header_size - 2, frame.end());
  std::copy_n(frame.begin(), 2, rearranged.begin());
  Packet packet = behind_ethertype(rearranged, 0);
  remove_link_header(packet);
  packet.type = cooked_type(frame[10]);
  return packet;
}

}  // namespace

std::uint16_t protocol_of_frame(ByteView frame, std::size_t at) {
  const std::uint16_t type = read16(frame, at);
  if (type >= smallest_ethertype) return type;
  const bool raw = frame.size() >= at + 4 && read16(frame, at + 2) == 0xffff;
  return raw ? ethertype_802_3 : ethertype_802_2;
}

Packet parse_frame(ByteView frame, LinkType link_type) {
  switch (link_type) {
    case LinkType::ethernet:
      return parse_ethernet(frame);
    case LinkType::raw_ip:
      return parse_ip(frame);
    case LinkType::linux_cooked:
      return parse_cooked(frame);
    case LinkType::linux_cooked2:
      return parse_cooked2(frame);
    case LinkType::null:
      // The numbers of AF_INET6 differ between systems; the version says the same.
      return frame.size() < 4 ? without_network_header(frame, 0) : parse_ip(frame.subspan(4));
  }
  throw InvariantError("unknown link type");
}

}  // namespace weir::packet
