// SPDX-License-Identifier: BSD-2-Clause
#include "packet/directed_shapes.h"

#include <algorithm>
#include <array>

namespace weir::packet {
namespace {

std::uint8_t number(IpProtocol protocol) {
  return static_cast<std::uint8_t>(protocol);
}

// The item that is wanted, if it is of this kind.
std::optional<ItemName> wanted_of(const Wanted& wanted, ItemKind kind) {
  return wanted.item && wanted.item->kind == kind ? wanted.item : std::nullopt;
}

TransportHeader choose_tcp(const Wanted& wanted, Random& random) {
  constexpr std::array<std::uint8_t, 12> flags = {0x02, 0x10, 0x12, 0x18, 0x04, 0x11,
                                                  0x00, 0x29, 0xff, 0x03, 0x06, 0xc2};
  Tcp tcp{.flags = random.pick(flags)};
  const auto option = wanted_of(wanted, ItemKind::tcp_option);
  if (option || random.one_in(3)) {
    tcp.options = draw_tcp_options(option, random);
  } else if (random.one_in(4)) {
    tcp.options = Bytes(4 * random.below(11), 1);
  }
  if (random.one_in(16)) tcp.header_words = static_cast<std::uint8_t>(random.below(16));
  return tcp;
}

TransportHeader choose_sctp(const Wanted& wanted, Random& random) {
  const auto chunk = wanted_of(wanted, ItemKind::sctp_chunk);
  if (!chunk && random.one_in(2)) return Sctp{};
  return Sctp{.chunks = draw_sctp_chunks(chunk, random)};
}

TransportHeader choose_variant(std::uint8_t protocol, bool is_ipv4, const Wanted& wanted,
                               Random& random) {
  switch (static_cast<IpProtocol>(protocol)) {
    case IpProtocol::tcp:
      return choose_tcp(wanted, random);
    case IpProtocol::udp:
      return Udp{};
    case IpProtocol::udplite:
      return UdpLite{};
    case IpProtocol::sctp:
      return choose_sctp(wanted, random);
    case IpProtocol::dccp:
      return Dccp{};
    case IpProtocol::icmp:
      return Icmp{};
    case IpProtocol::icmpv6:
      return Icmpv6{};
    case IpProtocol::igmp:
      return Igmp{};
    case IpProtocol::esp:
      return Esp{};
    case IpProtocol::gre:
      return Gre{.with_checksum = random.one_in(2)};
    case IpProtocol::ah:
      // Behind IPv6 it is an extension header, with another one to follow.
      if (is_ipv4) return Ah{.integrity_size = 4 * random.below(9)};
      return NoTransport{number(IpProtocol::none)};
    case IpProtocol::hop_by_hop:
    case IpProtocol::routing:
    case IpProtocol::fragment:
    case IpProtocol::destination:
    case IpProtocol::none:
      break;
  }
  return NoTransport{protocol};
}

TransportHeader choose_transport(bool is_ipv4, const Wanted& wanted, Random& random) {
  if (wanted.ip_protocol) return choose_variant(*wanted.ip_protocol, is_ipv4, wanted, random);
  if (!is_ipv4 && random.one_in(24)) return NoTransport{135};  // RFC 6275: mobility
  // TCP, UDP and the family's own ICMP are what most rules are about.
  constexpr std::array others = {IpProtocol::icmp,    IpProtocol::icmpv6, IpProtocol::sctp,
                                 IpProtocol::udplite, IpProtocol::dccp,   IpProtocol::gre,
                                 IpProtocol::esp,     IpProtocol::ah,     IpProtocol::igmp,
                                 IpProtocol::none};
  const std::size_t dice = random.below(20);
  if (dice < 5) return choose_tcp(wanted, random);
  if (dice < 9) return Udp{};
  if (dice < 11)
    return choose_variant(number(is_ipv4 ? IpProtocol::icmp : IpProtocol::icmpv6), is_ipv4, wanted,
                          random);
  if (dice == 11) return NoTransport{253};  // RFC 3692: for experiments
  return choose_variant(number(random.pick(others)), is_ipv4, wanted, random);
}

Ipv4 choose_ipv4(const DirectedOptions& options, const Wanted& wanted, Random& random) {
  Ipv4 ip{.tos = static_cast<std::uint8_t>(random.one_in(4) ? random.below(256) : 0),
          .id = static_cast<std::uint16_t>(random.below(65536)),
          .dont_fragment = random.one_in(4),
          .ttl = static_cast<std::uint8_t>(random.one_in(4) ? 2 + random.below(254) : 64)};
  const auto option = wanted_of(wanted, ItemKind::ipv4_option);
  if (option || random.one_in(8)) {
    ip.options = draw_ipv4_options(option, options.deliverable, random);
  } else if (random.one_in(4)) {
    // No-operation options: a router takes any number of them.
    ip.options = Bytes(4 * random.below(11), 1);
  }
  switch (random.below(12)) {
    case 0:
      ip.more_fragments = true;
      break;
    case 1:
      ip.more_fragments = true;
      [[fallthrough]];
    case 2:
      ip.fragment_offset =
          static_cast<std::uint16_t>(1 + random.below(random.one_in(2) ? 4 : 8000));
      break;
    default:
      break;
  }
  if (!options.deliverable && random.one_in(24)) {
    switch (random.below(4)) {
      case 0:
        ip.header_words = static_cast<std::uint8_t>(random.below(16));
        break;
      case 1:
        ip.version = static_cast<std::uint8_t>(random.below(16));
        break;
      case 2:
        ip.total_length = static_cast<std::uint16_t>(random.below(80));
        break;
      default:
        ip.ttl = static_cast<std::uint8_t>(random.below(2));
        break;
    }
  }
  return ip;
}

Extension choose_extension(Random& random, bool fragment_allowed) {
  constexpr std::array kinds = {IpProtocol::routing, IpProtocol::destination,
                                IpProtocol::destination, IpProtocol::ah, IpProtocol::fragment};
  Extension header{.kind = random.pick(kinds)};
  if (header.kind == IpProtocol::fragment && !fragment_allowed) header.kind = IpProtocol::routing;
  switch (header.kind) {
    case IpProtocol::fragment:
      header.id = static_cast<std::uint32_t>(random.below(1000));
      // Atomic, first, a later one, the last one.
      if (random.one_in(2)) header.more_fragments = true;
      if (random.one_in(3)) {
        header.fragment_offset =
            static_cast<std::uint16_t>(1 + random.below(random.one_in(2) ? 4 : 8000));
      }
      break;
    case IpProtocol::ah:
      header.size = 12 + 4 * random.below(7);
      break;
    case IpProtocol::routing:
      header.routing_type = static_cast<std::uint8_t>(random.below(5));
      [[fallthrough]];
    default:
      header.size = 8 + 8 * (random.one_in(4) ? random.below(12) : random.below(3));
      break;
  }
  return header;
}

// Mixed chains, each kind of header several times and in any order; a fragment header once.
void choose_chain(const DirectedOptions& options, Random& random, Ipv6& ip) {
  if (random.one_in(3)) {
    ip.extensions.push_back(
        Extension{.kind = IpProtocol::hop_by_hop, .size = 8 + 8 * random.below(4)});
  }
  bool fragment_allowed = true;
  const std::size_t count = random.one_in(6) ? random.below(12) : random.below(4);
  for (std::size_t i = 0; i < count; ++i) {
    ip.extensions.push_back(choose_extension(random, fragment_allowed));
    if (ip.extensions.back().kind == IpProtocol::fragment) fragment_allowed = false;
  }
  // A hop-by-hop header where none may be: walkers differ in what they do about it.
  if (!options.deliverable && random.one_in(12)) {
    ip.extensions.push_back(Extension{.kind = IpProtocol::hop_by_hop});
  }
}

// As many destination options headers as fit, up to 180, with room for a TCP header behind.
void choose_long_chain(const DirectedOptions& options, std::size_t link_size, Random& random,
                       Ipv6& ip) {
  const std::size_t room = (options.max_size - std::min(options.max_size, link_size + 40 + 20)) / 8;
  const std::size_t most = std::min<std::size_t>(room, 180);
  ip.extensions.assign(random.one_in(2) ? most : 1 + random.below(most), Extension{});
}

// Makes sure that the header is there; one of another protocol is the last, if it is anywhere.
void add_header(std::uint8_t type, Random& random, Ipv6& ip) {
  const auto kind = static_cast<IpProtocol>(type);
  constexpr std::array kinds = {IpProtocol::hop_by_hop, IpProtocol::routing, IpProtocol::fragment,
                                IpProtocol::destination, IpProtocol::ah};
  if (std::ranges::find(kinds, kind) == kinds.end()) return;
  if (std::ranges::find(ip.extensions, kind, &Extension::kind) != ip.extensions.end()) return;
  Extension header{.kind = kind, .size = kind == IpProtocol::ah ? 12U : 8U};
  if (kind == IpProtocol::fragment) {
    header.more_fragments = random.one_in(2);
    if (random.one_in(3)) header.fragment_offset = static_cast<std::uint16_t>(random.below(8));
  }
  if (kind == IpProtocol::routing) {
    header.routing_type = static_cast<std::uint8_t>(random.below(5));
    header.segments_left = static_cast<std::uint8_t>(random.below(3));
    header.size = 8 + 8 * random.below(4);
  }
  // A hop-by-hop header is the first.
  const std::size_t first = kind == IpProtocol::hop_by_hop || ip.extensions.empty() ||
                                    ip.extensions.front().kind != IpProtocol::hop_by_hop
                                ? 0
                                : 1;
  const std::size_t last = kind == IpProtocol::hop_by_hop ? 0 : ip.extensions.size();
  const std::size_t at = first + random.below(last - first + 1);
  ip.extensions.insert(ip.extensions.begin() + static_cast<std::ptrdiff_t>(at), header);
}

Ipv6 choose_ipv6(const DirectedOptions& options, std::size_t link_size, const Wanted& wanted,
                 Random& random) {
  Ipv6 ip{.traffic_class = static_cast<std::uint8_t>(random.one_in(4) ? random.below(256) : 0),
          .flow_label = static_cast<std::uint32_t>(random.one_in(4) ? random.below(0x100000) : 0),
          .hop_limit = static_cast<std::uint8_t>(random.one_in(4) ? 2 + random.below(254) : 64)};
  if (random.one_in(24)) {
    choose_long_chain(options, link_size, random, ip);
  } else if (random.one_in(2)) {
    choose_chain(options, random, ip);
  }
  const auto header = wanted_of(wanted, ItemKind::ipv6_header);
  if (header && !random.one_in(4)) add_header(header->type, random, ip);
  if (!options.deliverable && random.one_in(24)) {
    switch (random.below(4)) {
      case 0:
        ip.version = static_cast<std::uint8_t>(random.below(16));
        break;
      case 1:
        ip.payload_length = static_cast<std::uint16_t>(random.below(80));
        break;
      case 2:
        ip.hop_limit = static_cast<std::uint8_t>(random.below(2));
        break;
      default:
        // A length that leads the walk elsewhere.
        if (!ip.extensions.empty()) {
          ip.extensions.back().length = static_cast<std::uint8_t>(random.below(256));
        }
        break;
    }
  }
  return ip;
}

bool is_tag(std::optional<std::uint16_t> ethertype) {
  return ethertype == ethertype_vlan || ethertype == ethertype_qinq;
}

// Neither IPv4 nor IPv6.
NetworkHeader choose_other_network(const Wanted& wanted, Random& random) {
  if (wanted.ethertype == ethertype_arp || (!wanted.ethertype && random.one_in(2))) {
    return Arp{.operation = static_cast<std::uint16_t>(1 + random.below(3))};
  }
  if (wanted.ethertype && !is_tag(wanted.ethertype)) {
    return OtherNetwork{.ethertype = *wanted.ethertype};
  }
  // A length as in IEEE 802.3 frames, or an ethertype.
  if (random.one_in(3)) return OtherNetwork{.ethertype = static_cast<std::uint16_t>(46)};
  return OtherNetwork{};
}

// Ethernet frames are padded to 60 bytes; 0xffff is how Novell's begin.
Bytes choose_other_payload(Random& random) {
  Bytes payload = random.bytes(random.one_in(2) ? 46 : random.below(46));
  if (payload.size() >= 2 && random.one_in(3)) payload[0] = payload[1] = 0xff;
  return payload;
}

Ethernet choose_link(const DirectedOptions& options, const Wanted& wanted, Random& random) {
  Ethernet link;
  if (random.one_in(10)) {
    link.destination = random.one_in(2) ? MacAddress{255, 255, 255, 255, 255, 255}
                                        : MacAddress{1, 0, 0x5e, 0, 0, 1};
  }
  const bool two = is_tag(wanted.ethertype);
  if (!options.vlan_tags || (!two && random.one_in(2))) return link;
  const std::size_t count = random.one_in(12) ? 3 : two ? 2 : 1 + random.below(2);
  for (std::size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    link.tags.push_back(VlanTag{.tpid = !last || random.one_in(6) ? ethertype_qinq : ethertype_vlan,
                                .priority = static_cast<std::uint8_t>(random.below(8)),
                                .drop_eligible = random.one_in(8),
                                .id = static_cast<std::uint16_t>(random.below(4096))});
  }
  return link;
}

bool is_later_fragment(const NetworkHeader& network) {
  if (const auto* ip = std::get_if<Ipv4>(&network)) return ip->fragment_offset != 0;
  const auto* ip = std::get_if<Ipv6>(&network);
  return ip != nullptr && std::ranges::any_of(ip->extensions, [](const Extension& header) {
           return header.fragment_offset != 0;
         });
}

bool choose_ipv4_or_not(const DirectedOptions& options, const Wanted& wanted, Random& random) {
  if (!options.ipv4 || !options.ipv6) return options.ipv4;
  if (wanted.ethertype == ethertype_ipv4) return true;
  if (wanted.ethertype == ethertype_ipv6) return false;
  return random.one_in(2);
}

}  // namespace

Recipe choose_shape(const DirectedOptions& options, const Wanted& wanted, Random& random) {
  Recipe recipe;
  std::size_t link_size = 0;
  if (options.link_header) {
    recipe.link = choose_link(options, wanted, random);
    link_size = 14 + 4 * recipe.link->tags.size();
    const bool is_ip = wanted.ethertype == ethertype_ipv4 || wanted.ethertype == ethertype_ipv6;
    const bool wants_other = wanted.ethertype && !is_ip && !is_tag(wanted.ethertype);
    if (options.other_protocols && (wants_other || random.one_in(20))) {
      recipe.network = choose_other_network(wanted, random);
      recipe.payload = choose_other_payload(random);
      return recipe;
    }
  }
  const bool is_ipv4 = choose_ipv4_or_not(options, wanted, random);
  if (is_ipv4) {
    recipe.network = choose_ipv4(options, wanted, random);
  } else {
    recipe.network = choose_ipv6(options, link_size, wanted, random);
  }
  recipe.transport = choose_transport(is_ipv4, wanted, random);
  const bool long_payload = random.one_in(16) && options.max_size > 400;
  recipe.payload = random.bytes(long_payload ? random.below(300) : random.below(12));
  if (is_later_fragment(recipe.network) && random.one_in(2)) {
    // Short data instead of what looks like a header: loads of ports reach beyond its end.
    recipe.transport = NoTransport{protocol_of(recipe.transport)};
  }
  return recipe;
}

}  // namespace weir::packet
