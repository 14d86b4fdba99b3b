// SPDX-License-Identifier: BSD-2-Clause
#include "driver/connections.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <optional>
#include <utility>

#include "packet/headers.h"

namespace weir::driver {
namespace {

using packet::IpProtocol;

struct Found {
  kernel::ConnectionTuple tuple;
  ByteView quoted;  // the packet that an ICMP error is about
};

bool is_error(bool v4, std::uint8_t type) {
  if (!v4) return type < 128;  // RFC 4443
  return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_TIME_EXCEEDED ||
         type == ICMP_PARAMETERPROB || type == ICMP_REDIRECT;
}

// nf_ct_get_tuple()
std::optional<Found> find(ByteView network, bool v4) {
  const auto place =
      packet::find_transport(network, v4 ? packet::ethertype_ipv4 : packet::ethertype_ipv6);
  if (!place || place->fragment_offset != 0 || network.size() < place->offset + 8) {
    return std::nullopt;
  }
  const auto address = [&](std::size_t at) {
    const ByteView bytes = network.subspan(at, v4 ? 4 : 16);
    return Bytes(bytes.begin(), bytes.end());
  };
  const ByteView transport = network.subspan(place->offset);
  const auto word = [&](std::size_t at) {
    return static_cast<std::uint16_t>(load_big_endian(transport.subspan(at, 2)));
  };
  Found found{.tuple = {.nfproto = v4 ? Nfproto::ipv4 : Nfproto::ipv6,
                        .protocol = place->protocol,
                        .source = address(v4 ? 12 : 8),
                        .destination = address(v4 ? 16 : 24)},
              .quoted = {}};
  switch (static_cast<IpProtocol>(place->protocol)) {
    case IpProtocol::tcp:
    case IpProtocol::udp:
    case IpProtocol::udplite:
    case IpProtocol::sctp:
    case IpProtocol::dccp:
      found.tuple.source_port = word(0);
      found.tuple.destination_port = word(2);
      return found;
    case IpProtocol::icmp:
    case IpProtocol::icmpv6:
      if (is_error(v4, transport[0])) {
        found.quoted = transport.subspan(8);
      } else {
        found.tuple.icmp_type = transport[0];
        found.tuple.icmp_code = transport[1];
        found.tuple.source_port = word(4);
      }
      return found;
    default:
      return found;
  }
}

// invmap of nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c.
std::optional<std::uint8_t> answer_to(bool v4, std::uint8_t type) {
  constexpr std::pair<std::uint8_t, std::uint8_t> of_v4[] = {{ICMP_ECHO, ICMP_ECHOREPLY},
                                                             {ICMP_TIMESTAMP, ICMP_TIMESTAMPREPLY},
                                                             {ICMP_INFO_REQUEST, ICMP_INFO_REPLY},
                                                             {ICMP_ADDRESS, ICMP_ADDRESSREPLY}};
  constexpr std::pair<std::uint8_t, std::uint8_t> of_v6[] = {
      {ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY}, {139, 140}};  // RFC 4620: node information
  const auto search = [&](const auto& pairs) -> std::optional<std::uint8_t> {
    for (const auto& [query, answer] : pairs) {
      if (type == query) return answer;
      if (type == answer) return query;
    }
    return std::nullopt;
  };
  return v4 ? search(of_v4) : search(of_v6);
}

std::optional<kernel::ConnectionTuple> turned(kernel::ConnectionTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  const auto protocol = static_cast<IpProtocol>(tuple.protocol);
  if (protocol != IpProtocol::icmp && protocol != IpProtocol::icmpv6) {
    std::swap(tuple.source_port, tuple.destination_port);
    return tuple;
  }
  const auto answer = answer_to(tuple.nfproto == Nfproto::ipv4, tuple.icmp_type);
  if (!answer) return std::nullopt;
  tuple.icmp_type = *answer;
  return tuple;
}

}  // namespace

Status put_connection(kernel::Conntrack& conntrack, const packet::Packet& packet) {
  WEIR_CHECK(conntrack.forget_all());
  const bool v4 = packet.ethertype == packet::ethertype_ipv4;
  const bool ip = v4 || packet.ethertype == packet::ethertype_ipv6;
  if (!packet.has_connection || packet.ct_info == packet::CtInfo::new_ || !ip) return {};
  auto found = find(packet.network(), v4);
  if (!found) return {};
  const bool related =
      packet.ct_info == packet::CtInfo::related || packet.ct_info == packet::CtInfo::related_reply;
  const bool error = !found->quoted.empty();
  if (error && !related) return {};
  if (error) found = find(found->quoted, v4);
  if (!found) return {};
  const auto back = turned(found->tuple);
  if (!back) return {};
  if (related && !error) return conntrack.add_expected(found->tuple, *back);
  // An error goes against the packet that it quotes (nf_conntrack_inet_error()).
  const bool original = packet.ct_info == packet::CtInfo::established ||
                        packet.ct_info == packet::CtInfo::related_reply;
  return original ? conntrack.add(found->tuple, *back) : conntrack.add(*back, found->tuple);
}

}  // namespace weir::driver
