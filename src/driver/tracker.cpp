// SPDX-License-Identifier: BSD-2-Clause
#include "driver/tracker.h"

#include <algorithm>
#include <utility>

namespace weir::driver {
namespace {

using packet::CtInfo;

constexpr std::uint8_t proto_icmp = 1;
constexpr std::uint8_t proto_tcp = 6;
constexpr std::uint8_t proto_udp = 17;
constexpr std::uint8_t proto_dccp = 33;
constexpr std::uint8_t proto_icmpv6 = 58;
constexpr std::uint8_t proto_sctp = 132;
constexpr std::uint8_t proto_udplite = 136;

std::uint16_t be16(ByteView bytes, std::size_t at) {
  return static_cast<std::uint16_t>(load_big_endian(bytes.subspan(at, 2)));
}

Tracker::Address address(ByteView bytes) {
  Tracker::Address out = {};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

struct Fragment {
  std::uint32_t id = 0;
  bool first = true;
};

// A network header taken apart: the tuple without ports, the fragment that it is, the rest.
struct Network {
  Tracker::Tuple tuple;
  std::optional<Fragment> fragment;
  ByteView transport;
};

std::optional<Network> parse_ipv4(ByteView bytes) {
  if (bytes.size() < 20) return std::nullopt;
  const std::size_t header = std::size_t{bytes[0] & 0x0fU} * 4;
  const std::size_t total = be16(bytes, 2);
  if (header < 20 || total < header || bytes.size() < header) return std::nullopt;
  Network out;
  out.tuple.version = 4;
  out.tuple.protocol = bytes[9];
  out.tuple.source = address(bytes.subspan(12, 4));
  out.tuple.destination = address(bytes.subspan(16, 4));
  const std::uint16_t fragment = be16(bytes, 6);
  if ((fragment & 0x3fff) != 0) {
    out.fragment = Fragment{.id = be16(bytes, 4), .first = (fragment & 0x1fff) == 0};
  }
  out.transport = bytes.subspan(header, std::min(total, bytes.size()) - header);
  return out;
}

// Steps over what ipv6_skip_exthdr() in net/ipv6/exthdrs_core.c steps over.
std::optional<Network> parse_ipv6(ByteView bytes) {
  if (bytes.size() < 40) return std::nullopt;
  Network out;
  out.tuple.version = 6;
  out.tuple.source = address(bytes.subspan(8, 16));
  out.tuple.destination = address(bytes.subspan(24, 16));
  std::uint8_t next = bytes[6];
  std::size_t at = 40;
  const std::size_t end = std::min(bytes.size(), std::size_t{40} + be16(bytes, 4));
  while (next == 0 || next == 43 || next == 44 || next == 51 || next == 60) {
    if (at + 8 > end) return std::nullopt;
    std::size_t length = (std::size_t{bytes[at + 1]} + 1) * 8;
    if (next == 51) length = (std::size_t{bytes[at + 1]} + 2) * 4;
    if (next == 44) {
      length = 8;
      const std::uint16_t fragment = be16(bytes, at + 2);
      if ((fragment & 0xfff9) != 0) {
        out.fragment =
            Fragment{.id = static_cast<std::uint32_t>(load_big_endian(bytes.subspan(at + 4, 4))),
                     .first = (fragment & 0xfff8) == 0};
      }
    }
    next = bytes[at];
    at += length;
    if (at > end) return std::nullopt;
    if (out.fragment && !out.fragment->first) break;
  }
  out.tuple.protocol = next;
  out.transport = bytes.subspan(at, end - at);
  return out;
}

std::optional<Network> parse_network(ByteView bytes) {
  if (bytes.empty()) return std::nullopt;
  if (bytes[0] >> 4 == 4) return parse_ipv4(bytes);
  if (bytes[0] >> 4 == 6) return parse_ipv6(bytes);
  return std::nullopt;
}

bool has_ports(std::uint8_t protocol) {
  return protocol == proto_tcp || protocol == proto_udp || protocol == proto_udplite ||
         protocol == proto_dccp || protocol == proto_sctp;
}

// A query's type for a query and for its reply; nothing for other messages. Queries: valid_new[] in
// nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c.
struct IcmpQuery {
  std::uint8_t kind = 0;
  bool reply = false;
};
std::optional<IcmpQuery> icmp_query(std::uint8_t protocol, std::uint8_t type) {
  if (protocol == proto_icmp) {
    switch (type) {
      case 8:
      case 13:
      case 15:
      case 17:
        return IcmpQuery{type, false};
      case 0:
        return IcmpQuery{8, true};
      case 14:
      case 16:
      case 18:
        return IcmpQuery{static_cast<std::uint8_t>(type - 1), true};
      default:
        return std::nullopt;
    }
  }
  if (type == 128 || type == 139) return IcmpQuery{type, false};
  if (type == 129 || type == 140) return IcmpQuery{static_cast<std::uint8_t>(type - 1), true};
  return std::nullopt;
}

// invmap[] in nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c.
std::uint8_t answer_to(std::uint8_t query) {
  return query == 8 ? std::uint8_t{0} : static_cast<std::uint8_t>(query + 1);
}

bool is_icmp_error(std::uint8_t protocol, std::uint8_t type) {
  if (protocol == proto_icmpv6) return type < 128;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

// Multicast listener and neighbour discovery messages: noct_valid_new[] in
// nf_conntrack_proto_icmpv6.c.
bool is_never_tracked(std::uint8_t type) {
  return (type >= 130 && type <= 136) || type == 143;
}

// Fills the ports; false when the header is cut off before them.
bool fill_ports(Tracker::Tuple& tuple, ByteView transport) {
  if (has_ports(tuple.protocol)) {
    if (transport.size() < 4) return false;
    tuple.source_port = be16(transport, 0);
    tuple.destination_port = be16(transport, 2);
  } else if (tuple.protocol == proto_icmp || tuple.protocol == proto_icmpv6) {
    if (transport.size() < 8) return false;
    const auto query = icmp_query(tuple.protocol, transport[0]);
    if (!query) return false;
    tuple.source_port = tuple.destination_port = be16(transport, 4);
    tuple.icmp_kind = query->kind;
  }
  return true;
}

Tracker::Tuple inverted(Tracker::Tuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

// The flags of a TCP header without PSH, ECE and CWR, which every packet may have.
constexpr std::uint8_t fin = 0x01;
constexpr std::uint8_t syn = 0x02;
constexpr std::uint8_t rst = 0x04;
constexpr std::uint8_t ack = 0x10;
constexpr std::uint8_t urg = 0x20;

// tcp_valid_flags[] in nf_conntrack_proto_tcp.c.
bool possible_flags(std::uint8_t flags) {
  return flags == syn || flags == (syn | urg) || flags == (syn | ack) || flags == rst ||
         flags == (rst | ack) || flags == (fin | ack) || flags == (fin | ack | urg) ||
         flags == ack || flags == (ack | urg);
}

}  // namespace

void Tracker::track(packet::Packet& packet) {
  const State state = classify(packet.network());
  packet.has_connection = state.has_connection;
  packet.ct_info = state.info;
  packet.connection = state.has_connection ? connection_of(state) : packet::Connection{};
}

packet::Connection Tracker::connection_of(const State& state) {
  constexpr std::uint32_t seen_reply = 2;  // enum ip_conntrack_status
  constexpr std::uint32_t confirmed = 8;
  const bool ipv6 = state.original.version == 6;
  const auto side = [&](const Tuple& tuple, std::uint8_t icmp_type) {
    const std::size_t size = ipv6 ? 16 : 4;
    const auto end = static_cast<std::ptrdiff_t>(size);
    packet::ConnectionSide out{
        .source = {tuple.source.begin(), tuple.source.begin() + end},
        .destination = {tuple.destination.begin(), tuple.destination.begin() + end},
        .source_port = tuple.source_port,
        .destination_port = tuple.destination_port};
    // ICMP has type and code in the place of the destination's port.
    const bool is_icmp = tuple.protocol == proto_icmp || tuple.protocol == proto_icmpv6;
    if (is_icmp) out.destination_port = static_cast<std::uint16_t>(icmp_type << 8);
    return out;
  };
  packet::Connection out;
  out.status = (state.replied ? seen_reply : 0) | (state.confirmed ? confirmed : 0);
  out.ipv6 = ipv6;
  out.protocol = state.original.protocol;
  const std::uint8_t query = state.original.icmp_kind;
  out.original = side(state.original, query);
  out.reply = side(inverted(state.original), answer_to(query));
  return out;
}

Tracker::State Tracker::classify(ByteView bytes) {
  const std::optional<Network> network = parse_network(bytes);
  if (!network) return {};
  if (!network->fragment) return classify_transport(network->tuple, network->transport);
  const FragmentKey key = {network->tuple.source, network->tuple.destination, network->fragment->id,
                           network->tuple.protocol};
  if (network->fragment->first) {
    return fragments_[key] = classify_transport(network->tuple, network->transport);
  }
  const auto first = fragments_.find(key);
  return first == fragments_.end() ? State{} : first->second;
}

Tracker::State Tracker::classify_transport(Tuple tuple, ByteView transport) {
  const std::uint8_t own_icmp = tuple.version == 4 ? proto_icmp : proto_icmpv6;
  if (tuple.protocol == own_icmp) return classify_icmp(tuple, transport);
  if (tuple.protocol == proto_tcp) return classify_tcp(tuple, transport);
  if (!fill_ports(tuple, transport)) return {};
  return follow(tuple, true);
}

// tcp_error() and tcp_new(): a connection opens with a SYN, or is picked up in its middle by an ACK
// (nf_conntrack_tcp_loose, on by default).
Tracker::State Tracker::classify_tcp(Tuple tuple, ByteView transport) {
  if (transport.size() < 20) return {};
  const std::size_t header = std::size_t{transport[12]} / 16 * 4;
  if (header < 20 || header > transport.size()) return {};
  const std::uint8_t flags = transport[13] & (fin | syn | rst | ack | urg);
  if (!possible_flags(flags) || !fill_ports(tuple, transport)) return {};

  const bool opens = (flags & (syn | ack)) == syn;
  const bool picks_up = (flags & (syn | ack | fin | rst)) == ack;
  auto entry = connections_.find(tuple);
  const bool original = entry != connections_.end();
  if (!original) entry = connections_.find(inverted(tuple));
  if (entry != connections_.end() && opens && entry->second.closed()) {
    connections_.erase(entry);
    entry = connections_.end();
  }
  if (entry == connections_.end()) return follow(tuple, opens || picks_up);
  const State state = follow(tuple, false);
  if ((flags & rst) != 0) entry->second.reset = true;
  if ((flags & fin) != 0) (original ? entry->second.fin_original : entry->second.fin_reply) = true;
  return state;
}

Tracker::State Tracker::classify_icmp(Tuple tuple, ByteView transport) {
  if (transport.size() < 8) return {};
  const std::uint8_t type = transport[0];
  if (tuple.protocol == proto_icmpv6 && is_never_tracked(type)) {
    return {.has_connection = false, .info = CtInfo::untracked};
  }
  if (is_icmp_error(tuple.protocol, type)) return classify_icmp_error(tuple, transport.subspan(8));
  const auto query = icmp_query(tuple.protocol, type);
  if (!query || !fill_ports(tuple, transport)) return {};
  return follow(tuple, !query->reply);
}

// nf_conntrack_inet_error(): the packet inside names the flow; the error goes to who sent it.
Tracker::State Tracker::classify_icmp_error(const Tuple& outer, ByteView inner) {
  std::optional<Network> network = parse_network(inner);
  if (!network || network->tuple.version != outer.version) return {};
  if (network->fragment && !network->fragment->first) return {};
  if (network->tuple.source != outer.destination) return {};
  if (!fill_ports(network->tuple, network->transport)) return {};
  if (connections_.contains(network->tuple)) {
    return known(CtInfo::related_reply, network->tuple);
  }
  if (connections_.contains(inverted(network->tuple))) {
    return known(CtInfo::related, inverted(network->tuple));
  }
  return {};
}

Tracker::State Tracker::known(CtInfo info, const Tuple& original) const {
  return {.has_connection = true,
          .info = info,
          .original = original,
          .replied = connections_.at(original).replied,
          .confirmed = true};
}

Tracker::State Tracker::follow(const Tuple& tuple, bool may_open) {
  if (const auto found = connections_.find(tuple); found != connections_.end()) {
    return known(found->second.replied ? CtInfo::established : CtInfo::new_, tuple);
  }
  if (const auto found = connections_.find(inverted(tuple)); found != connections_.end()) {
    found->second.replied = true;
    return known(CtInfo::established_reply, inverted(tuple));
  }
  if (!may_open) return {};
  connections_.emplace(tuple, Connection{});
  return {.has_connection = true, .info = CtInfo::new_, .original = tuple};
}

}  // namespace weir::driver
