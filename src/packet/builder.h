// SPDX-License-Identifier: BSD-2-Clause
//
// Building packets from a description:
//
//   build({.link = Ethernet{}, .network = Ipv4{.ttl = 3}, .transport = Tcp{.destination_port =
//   22}})
//
// Lengths, protocol numbers and checksums are right unless a member of type std::optional says
// otherwise: its value is then written as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "packet/address.h"
#include "packet/headers.h"
#include "packet/packet.h"

namespace weir::packet {

struct VlanTag {
  std::uint16_t tpid = ethertype_vlan;
  std::uint8_t priority = 0;
  bool drop_eligible = false;
  std::uint16_t id = 1;
};

struct Ethernet {
  MacAddress destination = {2, 0, 0, 0, 0, 2};
  MacAddress source = {2, 0, 0, 0, 0, 1};
  std::vector<VlanTag> tags = {};  // outermost first
  std::optional<std::uint16_t> ethertype = {};
};

struct Arp {
  std::uint16_t operation = 1;
  MacAddress sender_mac = {2, 0, 0, 0, 0, 1};
  Ipv4Address sender = {10, 0, 0, 1};
  MacAddress target_mac = {};
  Ipv4Address target = {10, 0, 0, 2};
};

struct Ipv4 {
  Ipv4Address source = {10, 0, 0, 1};
  Ipv4Address destination = {10, 0, 0, 2};
  std::uint8_t tos = 0;
  std::uint16_t id = 1;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // in units of 8 bytes
  std::uint8_t ttl = 64;
  Bytes options = {};  // 0 to 40 bytes; padded with zero bytes (end of options) to a multiple of 4
  std::optional<std::uint8_t> version = {};
  std::optional<std::uint8_t> header_words = {};
  std::optional<std::uint8_t> protocol = {};
  std::optional<std::uint16_t> total_length = {};
  std::optional<std::uint16_t> checksum = {};
};

// An IPv6 extension header. Its content is options of padding, or zero bytes.
struct Extension {
  IpProtocol kind = IpProtocol::destination;  // hop_by_hop, routing, fragment, destination or ah
  std::size_t size = 8;               // bytes: 8 to 2,048 by 8; of AH 12 to 1,028 by 4; fragment 8
  bool more_fragments = false;        // of fragment headers
  std::uint16_t fragment_offset = 0;  // in units of 8 bytes
  std::uint32_t id = 1;               // of fragment headers; the SPI of AH
  std::uint8_t routing_type = 4;
  std::uint8_t segments_left = 0;
  std::optional<std::uint8_t> next_header = {};
  std::optional<std::uint8_t> length = {};  // the header's own length field
};

struct Ipv6 {
  Ipv6Address source = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
  Ipv6Address destination = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2};
  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;
  std::uint8_t hop_limit = 64;
  std::vector<Extension> extensions = {};
  std::optional<std::uint8_t> version = {};
  std::optional<std::uint8_t> next_header = {};
  std::optional<std::uint16_t> payload_length = {};
};

// Any other network protocol: nothing but the payload of the recipe.
struct OtherNetwork {
  std::uint16_t ethertype = 0x88b5;  // IEEE 802 local experimental
};

struct Tcp {
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 80;
  std::uint32_t sequence = 1;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0x02;  // SYN
  std::uint16_t window = 65535;
  std::uint16_t urgent = 0;
  Bytes options = {};  // 0 to 40 bytes; padded with zero bytes to a multiple of 4
  std::optional<std::uint8_t> header_words = {};
  std::optional<std::uint16_t> checksum = {};
};

struct Udp {
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 53;
  std::optional<std::uint16_t> length = {};
  std::optional<std::uint16_t> checksum = {};
};

struct UdpLite {
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 53;
  std::uint16_t coverage = 8;
  std::optional<std::uint16_t> checksum = {};
};

struct Sctp {
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 2905;
  std::uint32_t verification_tag = 1;
  std::uint8_t chunk_type = 1;  // of one chunk of 20 bytes: INIT
  Bytes chunks = {};            // where not empty, these bytes instead
  std::optional<std::uint32_t> checksum = {};
};

struct Dccp {
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 5001;
  std::uint8_t type = 0;  // Request; the header has the long form, of 16 bytes and the service code
  std::optional<std::uint16_t> checksum = {};
};

struct Icmp {
  std::uint8_t type = 8;
  std::uint8_t code = 0;
  std::uint16_t id = 1;
  std::uint16_t sequence = 1;
  std::optional<std::uint16_t> checksum = {};
};

struct Icmpv6 {
  std::uint8_t type = 128;
  std::uint8_t code = 0;
  std::uint16_t id = 1;
  std::uint16_t sequence = 1;
  std::optional<std::uint16_t> checksum = {};
};

struct Igmp {
  std::uint8_t type = 0x16;
  std::uint8_t max_response_time = 0;
  Ipv4Address group = {239, 1, 2, 3};
  std::optional<std::uint16_t> checksum = {};
};

struct Ah {
  std::uint8_t next_header = 59;
  std::uint32_t spi = 1;
  std::uint32_t sequence = 1;
  std::size_t integrity_size = 12;  // bytes, a multiple of 4
};

struct Esp {
  std::uint32_t spi = 1;
  std::uint32_t sequence = 1;
};

struct Gre {
  std::uint16_t protocol = ethertype_ipv4;
  bool with_checksum = false;
};

// No transport header: the payload of the recipe follows at once.
struct NoTransport {
  std::uint8_t protocol = 59;
};

using LinkHeader = std::optional<Ethernet>;
using NetworkHeader = std::variant<Ipv4, Ipv6, Arp, OtherNetwork>;
using TransportHeader =
    std::variant<NoTransport, Tcp, Udp, UdpLite, Sctp, Dccp, Icmp, Icmpv6, Igmp, Ah, Esp, Gre>;

struct Recipe {
  LinkHeader link = {};
  NetworkHeader network = Ipv4{};
  TransportHeader transport = NoTransport{};  // behind IPv4 and IPv6 only
  Bytes payload = {};
  std::optional<std::size_t> truncate = {};  // to so many bytes, the link header included
};

// Where the headers of a packet lie, before truncation; in bytes of Packet::bytes.
struct Layout {
  std::size_t network_offset = 0;
  std::size_t network_end = 0;  // of IPv4 with its options; of IPv6 alone
  std::vector<std::size_t> extension_ends;
  std::size_t transport_offset = 0;
  std::size_t transport_end = 0;
};

struct Built {
  Packet packet;
  Layout layout;
};

[[nodiscard]] Packet build(const Recipe& recipe);
[[nodiscard]] Built build_with_layout(const Recipe& recipe);

// The IP protocol number of a transport header.
[[nodiscard]] std::uint8_t protocol_of(const TransportHeader& transport);

}  // namespace weir::packet
