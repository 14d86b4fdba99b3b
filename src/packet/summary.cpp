// SPDX-License-Identifier: BSD-2-Clause
//
// summary(): one packet, one line. Every reader here checks the bytes that it is about to read.
#include <array>
#include <string>
#include <utility>

#include "packet/address.h"
#include "packet/headers.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

std::uint64_t number(ByteView bytes, std::size_t offset, std::size_t size) {
  return load_big_endian(bytes.subspan(offset, size));
}

std::string hex16(std::uint64_t value) {
  return to_hex(big_endian_bytes(value, 2));
}

std::string malformed(ByteView network) {
  return " malformed, " + std::to_string(network.size()) + " bytes";
}

// As tcpdump writes them; "none" for a packet without any.
std::string tcp_flags(std::uint8_t flags) {
  constexpr std::array<std::pair<std::uint8_t, char>, 8> letters = {{{0x02, 'S'},
                                                                     {0x01, 'F'},
                                                                     {0x04, 'R'},
                                                                     {0x08, 'P'},
                                                                     {0x10, '.'},
                                                                     {0x20, 'U'},
                                                                     {0x40, 'E'},
                                                                     {0x80, 'W'}}};
  std::string text;
  for (const auto& [bit, letter] : letters) {
    if ((flags & bit) != 0) text += letter;
  }
  return text.empty() ? "none" : text;
}

bool has_ports(std::uint8_t protocol) {
  switch (static_cast<IpProtocol>(protocol)) {
    case IpProtocol::tcp:
    case IpProtocol::udp:
    case IpProtocol::udplite:
    case IpProtocol::sctp:
    case IpProtocol::dccp:
      return true;
    default:
      return false;
  }
}

std::string protocol_name(std::uint8_t protocol) {
  switch (static_cast<IpProtocol>(protocol)) {
    case IpProtocol::hop_by_hop:
      return "hop-by-hop";
    case IpProtocol::icmp:
      return "ICMP";
    case IpProtocol::igmp:
      return "IGMP";
    case IpProtocol::tcp:
      return "TCP";
    case IpProtocol::udp:
      return "UDP";
    case IpProtocol::dccp:
      return "DCCP";
    case IpProtocol::routing:
      return "routing";
    case IpProtocol::fragment:
      return "fragment";
    case IpProtocol::gre:
      return "GRE";
    case IpProtocol::esp:
      return "ESP";
    case IpProtocol::ah:
      return "AH";
    case IpProtocol::icmpv6:
      return "ICMPv6";
    case IpProtocol::none:
      return "no next header";
    case IpProtocol::destination:
      return "destination options";
    case IpProtocol::sctp:
      return "SCTP";
    case IpProtocol::udplite:
      return "UDP-Lite";
  }
  return "protocol " + std::to_string(protocol);
}

// What a transport header says beside its ports.
std::string details(std::uint8_t protocol, ByteView segment) {
  switch (static_cast<IpProtocol>(protocol)) {
    case IpProtocol::tcp:
      return segment.size() < 14 ? "" : " " + tcp_flags(segment[13]);
    case IpProtocol::icmp:
    case IpProtocol::icmpv6:
      if (segment.size() < 2) return "";
      return " type " + std::to_string(segment[0]) + " code " + std::to_string(segment[1]);
    case IpProtocol::igmp:
      return segment.empty() ? "" : " type " + std::to_string(segment[0]);
    case IpProtocol::esp:
      return segment.size() < 4 ? "" : " spi " + to_hex(segment.first(4));
    case IpProtocol::ah:
      return segment.size() < 8 ? "" : " spi " + to_hex(segment.subspan(4, 4));
    case IpProtocol::gre:
      return segment.size() < 4 ? "" : " " + hex16(number(segment, 2, 2));
    default:
      return "";
  }
}

std::string ip_summary(ByteView network, bool is_ipv4, std::uint16_t ethertype) {
  const std::string name = is_ipv4 ? "IP" : "IP6";
  if (network.size() < (is_ipv4 ? 20U : 40U)) return name + malformed(network);
  const std::size_t address_size = is_ipv4 ? 4 : 16;
  const std::size_t source_offset = is_ipv4 ? 12 : 8;
  std::string source = address_text(network.subspan(source_offset, address_size));
  std::string destination =
      address_text(network.subspan(source_offset + address_size, address_size));
  const auto place = find_transport(network, ethertype);
  if (!place) return name + " " + source + " > " + destination + malformed(network);

  const ByteView segment = network.subspan(place->offset);
  const bool later_fragment = place->fragment_offset != 0;
  if (!later_fragment && has_ports(place->protocol) && segment.size() >= 4) {
    source += "." + std::to_string(number(segment, 0, 2));
    destination += "." + std::to_string(number(segment, 2, 2));
  }
  std::string text = name + " " + source + " > " + destination + " ";
  text += protocol_name(place->protocol);
  if (!later_fragment) text += details(place->protocol, segment);
  if (place->is_fragment()) {
    text += " frag " + std::to_string(place->fragment_offset);
    if (place->more_fragments) text += "+";
  }
  return text;
}

std::string arp_summary(ByteView network) {
  if (network.size() < 28 || network[4] != 6 || network[5] != 4) return "ARP" + malformed(network);
  const std::uint64_t operation = number(network, 6, 2);
  std::string name = "operation " + std::to_string(operation);
  if (operation == 1) name = "request";
  if (operation == 2) name = "reply";
  return "ARP " + name + " " + address_text(network.subspan(14, 4)) + " > " +
         address_text(network.subspan(24, 4));
}

// "vlan 5 vlan 6 ", or nothing.
std::string vlan_tags(const Packet& packet) {
  std::string text;
  for (std::size_t offset = 14; offset + 4 <= packet.network_offset; offset += 4) {
    text += "vlan " + std::to_string(number(packet.bytes, offset, 2) & 0x0fff) + " ";
  }
  return text;
}

}  // namespace

std::string summary(const Packet& packet) {
  const ByteView network = packet.network();
  const std::string tags = vlan_tags(packet);
  switch (packet.ethertype) {
    case ethertype_ipv4:
    case ethertype_ipv6:
      return tags + ip_summary(network, packet.ethertype == ethertype_ipv4, packet.ethertype);
    case ethertype_arp:
      return tags + arp_summary(network);
    case 0:
      return "malformed, " + std::to_string(packet.bytes.size()) + " bytes";
    default:
      return tags + "ethertype " + hex16(packet.ethertype) + ", " + std::to_string(network.size()) +
             " bytes";
  }
}

}  // namespace weir::packet
