// SPDX-License-Identifier: BSD-2-Clause
#include "driver/facts.h"

#include <algorithm>

namespace weir::driver {
namespace {

constexpr std::uint16_t nfproto_ipv4 = 2;
constexpr std::uint16_t nfproto_ipv6 = 10;

std::uint16_t network_order(std::uint16_t number) {
  return static_cast<std::uint16_t>(number << 8 | number >> 8);
}

engine::Connection::Side side_of(const packet::ConnectionSide& from) {
  engine::Connection::Side side;
  std::ranges::copy(from.source, side.source.begin());
  std::ranges::copy(from.destination, side.destination.begin());
  side.source_port = network_order(from.source_port);
  side.destination_port = network_order(from.destination_port);
  side.packets = from.packets;
  side.bytes = from.bytes;
  return side;
}

engine::Connection connection_of(const packet::Connection& from) {
  const unsigned directions = (from.zone.of_original ? 1U : 0U) | (from.zone.of_reply ? 2U : 0U);
  // Where there is nothing to count there may as well be no counters.
  return {.status = from.status,
          .mark = from.mark,
          .zone = from.zone.id,
          .zone_directions = static_cast<std::uint8_t>(directions),
          .l3proto = from.ipv6 ? nfproto_ipv6 : nfproto_ipv4,
          .protocol = from.protocol,
          .sides = {side_of(from.original), side_of(from.reply)},
          .accounted = (from.original.packets | from.original.bytes | from.reply.packets |
                        from.reply.bytes) != 0,
          .labelled = std::ranges::any_of(from.labels, [](auto byte) { return byte != 0; }),
          .labels = from.labels,
          .helper = from.helper};
}

engine::Route route_of(const packet::Route& from) {
  constexpr std::uint8_t family_ipv4 = 2;  // AF_INET, AF_INET6
  constexpr std::uint8_t family_ipv6 = 10;
  constexpr std::uint32_t by_gateway = 0x2;  // RTF_GATEWAY, RTF_CACHE
  constexpr std::uint32_t cached = 0x01000000;
  engine::Route route{.tclassid = from.realms, .transformed = from.transformed};
  if (from.next_hop.size() == route.gateway.size()) {
    route.gateway_family = family_ipv4;
    std::ranges::copy(from.next_hop, route.gateway.begin());
  } else if (!from.next_hop.empty()) {
    route.gateway_family = family_ipv6;
    route.flags = from.cached ? cached : by_gateway;
    std::ranges::copy(from.next_hop, (from.cached ? route.destination : route.gateway6).begin());
  }
  return route;
}

}  // namespace

void give_facts(const packet::Packet& packet, engine::Input& input) {
  if (packet.vlan) {
    input.vlan_present = true;
    input.vlan_protocol = packet.vlan->protocol;
    input.vlan_tci = packet.vlan->tci;
  }
  input.mark = packet.mark;
  input.priority = packet.priority;
  input.cpu = packet.cpu;
  input.iif = packet.in.index;
  input.oif = packet.out.index;
  input.iifname = packet.in.name;
  input.oifname = packet.out.name;
  input.iifgroup = packet.in.group;
  input.oifgroup = packet.out.group;
  input.iifkind = packet.in.kind;
  input.oifkind = packet.out.kind;
  input.pkttype = static_cast<std::uint8_t>(packet.type);
  input.protocol = network_order(packet.ethertype);
  input.ct_info = static_cast<std::uint64_t>(packet.ct_info);
  input.has_connection = packet.has_connection;
  if (packet.has_connection) input.connection = connection_of(packet.connection);
  if (packet.route) input.route = route_of(*packet.route);
  if (packet.socket) {
    input.socket = {.has_file = packet.socket->has_file,
                    .user = packet.socket->user,
                    .group = packet.socket->group,
                    .cgroup_class = packet.socket->cgroup_class};
  }
}

}  // namespace weir::driver
