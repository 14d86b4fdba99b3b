// SPDX-License-Identifier: BSD-2-Clause
//
// build() writes the headers from the outermost to the innermost with zero in place of every
// checksum, then lets repair_checksums() fill them in, and last writes what the recipe overrides.
#include "packet/builder.h"

#include <algorithm>
#include <initializer_list>
#include <type_traits>

#include "packet/checksum.h"

namespace weir::packet {
namespace {

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

// Appends to a byte string, most significant byte first.
class Writer {
 public:
  explicit Writer(Bytes& bytes) : bytes_(bytes) {}

  Writer& u8(std::size_t value) {
    bytes_.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  Writer& u16(std::size_t value) { return u8(value >> 8).u8(value); }
  Writer& u32(std::size_t value) { return u16(value >> 16).u16(value); }
  Writer& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Writer& raw(ByteView bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }

 private:
  Bytes& bytes_;
};

void patch(Bytes& bytes, std::size_t offset, ByteView value) {
  std::ranges::copy(value, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

Bytes padded_options(const Bytes& options) {
  invariant(options.size() <= 40, "more than 40 bytes of IPv4 or TCP options");
  Bytes padded = options;
  padded.resize((options.size() + 3) / 4 * 4);
  return padded;
}

void write_link(const Ethernet& link, std::uint16_t ethertype, Bytes& bytes) {
  Writer out(bytes);
  out.raw(link.destination).raw(link.source);
  for (const VlanTag& tag : link.tags) {
    out.u16(tag.tpid).u16(static_cast<std::size_t>(tag.priority << 13) |
                          static_cast<std::size_t>(tag.drop_eligible ? 0x1000 : 0) |
                          (tag.id & 0x0fffU));
  }
  out.u16(link.ethertype.value_or(ethertype));
}

void write_arp(const Arp& arp, Bytes& bytes) {
  Writer(bytes).u16(1).u16(ethertype_ipv4).u8(6).u8(4).u16(arp.operation);
  Writer(bytes).raw(arp.sender_mac).raw(arp.sender).raw(arp.target_mac).raw(arp.target);
}

// `behind` is the number of bytes that follow the header.
void write_ipv4(const Ipv4& ip, std::uint8_t protocol, std::size_t behind, Bytes& bytes) {
  const Bytes options = padded_options(ip.options);
  const std::size_t header_size = 20 + options.size();
  const std::size_t flags = (ip.dont_fragment ? 0x4000U : 0U) | (ip.more_fragments ? 0x2000U : 0U);
  Writer(bytes)
      .u8(static_cast<std::size_t>(ip.version.value_or(4) << 4) |
          (ip.header_words.value_or(static_cast<std::uint8_t>(header_size / 4)) & 0x0fU))
      .u8(ip.tos)
      .u16(ip.total_length.value_or(static_cast<std::uint16_t>(header_size + behind)))
      .u16(ip.id)
      .u16(flags | (ip.fragment_offset & 0x1fffU))
      .u8(ip.ttl)
      .u8(ip.protocol.value_or(protocol))
      .u16(0)
      .raw(ip.source)
      .raw(ip.destination)
      .raw(options);
}

void write_ipv6(const Ipv6& ip, std::uint8_t protocol, std::size_t behind, Bytes& bytes) {
  const std::uint8_t next =
      ip.extensions.empty() ? protocol : static_cast<std::uint8_t>(ip.extensions.front().kind);
  Writer(bytes)
      .u32(static_cast<std::size_t>(ip.version.value_or(6)) << 28 |
           static_cast<std::size_t>(ip.traffic_class) << 20 | (ip.flow_label & 0xfffffU))
      .u16(ip.payload_length.value_or(static_cast<std::uint16_t>(behind)))
      .u8(ip.next_header.value_or(next))
      .u8(ip.hop_limit)
      .raw(ip.source)
      .raw(ip.destination);
}

// Options of `size` bytes that every node skips. Linux drops more than 7 bytes of padding in a row
// (ip6_parse_tlv in net/ipv6/exthdrs.c), so a longer one is the experimental option 0x1e of RFC
// 4727, whose type says "skip".
void write_options(std::size_t size, Bytes& bytes) {
  if (size <= 7) {
    Writer(bytes).u8(1).u8(size - 2).zeros(size - 2);
    return;
  }
  while (size > 0) {
    // An option carries up to 255 bytes; never leave a rest of one byte, too small for another.
    std::size_t part = std::min<std::size_t>(size, 257);
    if (size - part == 1) --part;
    Writer(bytes).u8(0x1e).u8(part - 2).zeros(part - 2);
    size -= part;
  }
}

void write_extension(const Extension& header, std::uint8_t next, Bytes& bytes) {
  Writer out(bytes);
  out.u8(header.next_header.value_or(next));
  const auto length_field = [&](std::size_t length) {
    return header.length.value_or(static_cast<std::uint8_t>(length));
  };
  if (header.kind == IpProtocol::fragment) {
    out.u8(header.length.value_or(0))
        .u16(static_cast<std::size_t>(header.fragment_offset << 3) |
             (header.more_fragments ? 1 : 0))
        .u32(header.id);
    return;
  }
  if (header.kind == IpProtocol::ah) {
    invariant(header.size >= 12 && header.size <= 1028 && header.size % 4 == 0, "size of an AH");
    out.u8(length_field(header.size / 4 - 2)).u16(0).u32(header.id).u32(1).zeros(header.size - 12);
    return;
  }
  invariant(header.size >= 8 && header.size <= 2048 && header.size % 8 == 0,
            "size of an IPv6 extension header");
  out.u8(length_field(header.size / 8 - 1));
  if (header.kind == IpProtocol::routing) {
    out.u8(header.routing_type).u8(header.segments_left).zeros(header.size - 4);
    return;
  }
  invariant(header.kind == IpProtocol::hop_by_hop || header.kind == IpProtocol::destination,
            "not an IPv6 extension header");
  write_options(header.size - 2, bytes);
}

std::size_t extensions_size(const Ipv6& ip) {
  std::size_t size = 0;
  for (const Extension& header : ip.extensions) {
    size += header.kind == IpProtocol::fragment ? 8 : header.size;
  }
  return size;
}

void write_extensions(const Ipv6& ip, std::uint8_t protocol, Bytes& bytes, Layout& layout) {
  for (std::size_t i = 0; i < ip.extensions.size(); ++i) {
    const bool last = i + 1 == ip.extensions.size();
    const std::uint8_t next =
        last ? protocol : static_cast<std::uint8_t>(ip.extensions[i + 1].kind);
    write_extension(ip.extensions[i], next, bytes);
    layout.extension_ends.push_back(bytes.size());
  }
}

void write_tcp(const Tcp& tcp, Bytes& bytes) {
  const Bytes options = padded_options(tcp.options);
  const auto words = static_cast<std::uint8_t>(5 + options.size() / 4);
  Writer(bytes)
      .u16(tcp.source_port)
      .u16(tcp.destination_port)
      .u32(tcp.sequence)
      .u32(tcp.acknowledgement)
      .u8(static_cast<std::size_t>(tcp.header_words.value_or(words) << 4))
      .u8(tcp.flags)
      .u16(tcp.window)
      .u16(0)
      .u16(tcp.urgent)
      .raw(options);
}

void write_dccp(const Dccp& dccp, Bytes& bytes) {
  // RFC 4340 5.1: data offset in words, X = 1 for sequence numbers of 48 bits.
  Writer(bytes).u16(dccp.source_port).u16(dccp.destination_port).u8(5).u8(0).u16(0);
  Writer(bytes).u8(static_cast<std::size_t>(dccp.type << 1) | 1U).u8(0).zeros(5).u8(1).u32(0);
}

template <typename Echo>
void write_echo(const Echo& icmp, Bytes& bytes) {
  Writer(bytes).u8(icmp.type).u8(icmp.code).u16(0).u16(icmp.id).u16(icmp.sequence);
}

void write_sctp(const Sctp& sctp, Bytes& bytes) {
  Writer(bytes).u16(sctp.source_port).u16(sctp.destination_port).u32(sctp.verification_tag).u32(0);
  if (!sctp.chunks.empty()) {
    Writer(bytes).raw(sctp.chunks);
    return;
  }
  // RFC 9260 3.3.2: the fixed part of INIT; enough for any other type to look like a chunk.
  Writer(bytes).u8(sctp.chunk_type).u8(0).u16(20).u32(1).u32(65536).u16(1).u16(1).u32(1);
}

void write_transport(const TransportHeader& transport, std::size_t payload, Bytes& bytes) {
  Writer out(bytes);
  std::visit(Overloaded{
                 [](const NoTransport&) {},
                 [&](const Tcp& tcp) { write_tcp(tcp, bytes); },
                 [&](const Udp& udp) {
                   out.u16(udp.source_port).u16(udp.destination_port);
                   out.u16(udp.length.value_or(static_cast<std::uint16_t>(8 + payload))).u16(0);
                 },
                 [&](const UdpLite& udp) {
                   out.u16(udp.source_port).u16(udp.destination_port).u16(udp.coverage).u16(0);
                 },
                 [&](const Sctp& sctp) { write_sctp(sctp, bytes); },
                 [&](const Dccp& dccp) { write_dccp(dccp, bytes); },
                 [&](const Icmp& icmp) { write_echo(icmp, bytes); },
                 [&](const Icmpv6& icmp) { write_echo(icmp, bytes); },
                 [&](const Igmp& igmp) {
                   out.u8(igmp.type).u8(igmp.max_response_time).u16(0).raw(igmp.group);
                 },
                 [&](const Ah& ah) {
                   invariant(ah.integrity_size % 4 == 0, "size of an AH");
                   out.u8(ah.next_header).u8(1 + ah.integrity_size / 4).u16(0);
                   out.u32(ah.spi).u32(ah.sequence).zeros(ah.integrity_size);
                 },
                 [&](const Esp& esp) { out.u32(esp.spi).u32(esp.sequence); },
                 [&](const Gre& gre) {
                   out.u16(gre.with_checksum ? 0x8000 : 0).u16(gre.protocol);
                   if (gre.with_checksum) out.u32(0);
                 },
             },
             transport);
}

void override_transport_checksum(const TransportHeader& transport, std::size_t offset,
                                 Bytes& bytes) {
  const auto write = [&](std::size_t field, const auto& checksum) {
    if (checksum) patch(bytes, offset + field, big_endian_bytes(*checksum, sizeof(*checksum)));
  };
  std::visit(Overloaded{
                 [&](const Tcp& header) { write(16, header.checksum); },
                 [&](const Udp& header) { write(6, header.checksum); },
                 [&](const UdpLite& header) { write(6, header.checksum); },
                 [&](const Sctp& header) { write(8, header.checksum); },
                 [&](const Dccp& header) { write(6, header.checksum); },
                 [&](const Icmp& header) { write(2, header.checksum); },
                 [&](const Icmpv6& header) { write(2, header.checksum); },
                 [&](const Igmp& header) { write(2, header.checksum); },
                 [](const NoTransport&) {},
                 [](const Ah&) {},
                 [](const Esp&) {},
                 [](const Gre&) {},
             },
             transport);
}

std::uint16_t ethertype_of(const NetworkHeader& network) {
  return std::visit(Overloaded{
                        [](const Ipv4&) { return ethertype_ipv4; },
                        [](const Ipv6&) { return ethertype_ipv6; },
                        [](const Arp&) { return ethertype_arp; },
                        [](const OtherNetwork& other) { return other.ethertype; },
                    },
                    network);
}

// Everything from the network header up to the payload.
void write_network(const Recipe& recipe, Bytes& bytes, Layout& layout) {
  const std::uint8_t protocol = protocol_of(recipe.transport);
  Bytes transport;
  write_transport(recipe.transport, recipe.payload.size(), transport);
  const std::size_t behind = transport.size() + recipe.payload.size();
  const auto end_of_network = [&] { layout.network_end = bytes.size(); };
  const auto append_transport = [&] {
    layout.transport_offset = bytes.size();
    Writer(bytes).raw(transport);
  };
  std::visit(Overloaded{
                 [&](const Ipv4& ip) {
                   write_ipv4(ip, protocol, behind, bytes);
                   end_of_network();
                   append_transport();
                 },
                 [&](const Ipv6& ip) {
                   write_ipv6(ip, protocol, extensions_size(ip) + behind, bytes);
                   end_of_network();
                   write_extensions(ip, protocol, bytes, layout);
                   append_transport();
                 },
                 [&](const Arp& arp) {
                   write_arp(arp, bytes);
                   end_of_network();
                   layout.transport_offset = bytes.size();
                 },
                 [&](const OtherNetwork&) {
                   end_of_network();
                   layout.transport_offset = bytes.size();
                 },
             },
             recipe.network);
  layout.transport_end = bytes.size();
}

PacketType packet_type(const Recipe& recipe) {
  if (!recipe.link || (recipe.link->destination[0] & 1) == 0) return PacketType::host;
  const bool all_ones =
      std::ranges::all_of(recipe.link->destination, [](std::uint8_t byte) { return byte == 0xff; });
  return all_ones ? PacketType::broadcast : PacketType::multicast;
}

}  // namespace

std::uint8_t protocol_of(const TransportHeader& transport) {
  const auto number = [](IpProtocol protocol) { return static_cast<std::uint8_t>(protocol); };
  return std::visit(Overloaded{
                        [](const NoTransport& none) { return none.protocol; },
                        [&](const Tcp&) { return number(IpProtocol::tcp); },
                        [&](const Udp&) { return number(IpProtocol::udp); },
                        [&](const UdpLite&) { return number(IpProtocol::udplite); },
                        [&](const Sctp&) { return number(IpProtocol::sctp); },
                        [&](const Dccp&) { return number(IpProtocol::dccp); },
                        [&](const Icmp&) { return number(IpProtocol::icmp); },
                        [&](const Icmpv6&) { return number(IpProtocol::icmpv6); },
                        [&](const Igmp&) { return number(IpProtocol::igmp); },
                        [&](const Ah&) { return number(IpProtocol::ah); },
                        [&](const Esp&) { return number(IpProtocol::esp); },
                        [&](const Gre&) { return number(IpProtocol::gre); },
                    },
                    transport);
}

Built build_with_layout(const Recipe& recipe) {
  Built built;
  Bytes& bytes = built.packet.bytes;
  Layout& layout = built.layout;
  const std::uint16_t ethertype = ethertype_of(recipe.network);
  if (recipe.link) write_link(*recipe.link, ethertype, bytes);
  layout.network_offset = bytes.size();
  write_network(recipe, bytes, layout);
  Writer(bytes).raw(recipe.payload);

  built.packet.network_offset = static_cast<std::uint32_t>(layout.network_offset);
  built.packet.ethertype = recipe.link ? recipe.link->ethertype.value_or(ethertype) : ethertype;
  built.packet.type = packet_type(recipe);
  repair_checksums(built.packet);
  override_transport_checksum(recipe.transport, layout.transport_offset, bytes);
  if (const auto* ip = std::get_if<Ipv4>(&recipe.network); ip != nullptr && ip->checksum) {
    patch(bytes, layout.network_offset + 10, big_endian_bytes(*ip->checksum, 2));
  }
  if (recipe.truncate && *recipe.truncate < bytes.size()) {
    bytes.resize(*recipe.truncate);
    // A cut link header leaves no network header: its offset is the end of the bytes.
    built.packet.network_offset = static_cast<std::uint32_t>(
        std::min<std::size_t>(built.packet.network_offset, bytes.size()));
  }
  return built;
}

Packet build(const Recipe& recipe) {
  return build_with_layout(recipe).packet;
}

}  // namespace weir::packet
