// SPDX-License-Identifier: BSD-2-Clause
//
// A packet as a hook sees it: its bytes, where its network header starts, and what the kernel knows
// about it beside its bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace weir::packet {

// enum ip_conntrack_info in linux/netfilter/nf_conntrack_common.h.
enum class CtInfo : std::uint8_t {
  established = 0,
  related = 1,
  new_ = 2,
  established_reply = 3,
  related_reply = 4,
  untracked = 7,
};

// skb->pkt_type, linux/if_packet.h.
enum class PacketType : std::uint8_t {
  host = 0,
  broadcast = 1,
  multicast = 2,
  otherhost = 3,
  outgoing = 4,
  loopback = 5
};

struct Device {
  std::uint32_t index = 0;  // 0: there is none
  std::string name;         // at most 15 bytes
  std::uint32_t group = 0;
  std::string kind = {};  // "veth", at most 15 bytes; empty: none, as of devices of a card
  friend bool operator==(const Device&, const Device&) = default;
};

// A VLAN tag that a device or the stack took out of the bytes: what the kernel calls hwaccel
// (skb->vlan_proto and vlan_tci in linux/if_vlan.h).
struct HwaccelTag {
  std::uint16_t protocol = 0x8100;  // host order
  std::uint16_t tci = 0;            // host order
  friend bool operator==(const HwaccelTag&, const HwaccelTag&) = default;
};

// What a connection is known by in one direction.
struct ConnectionSide {
  Bytes source;                   // 4 or 16 bytes
  Bytes destination;              // as many
  std::uint16_t source_port = 0;  // or what the protocol has in its place
  std::uint16_t destination_port = 0;
  std::uint64_t bytes = 0;
  std::uint64_t packets = 0;
};

struct ConnectionZone {
  std::uint16_t id = 0;
  bool of_original = true;  // which directions it tells apart
  bool of_reply = true;
};

// struct nf_conn in include/net/netfilter/nf_conntrack.h.
struct Connection {
  std::uint32_t status = 0;  // bits of enum ip_conntrack_status
  std::uint32_t mark = 0;
  std::string helper;  // that expected it; empty: none
  bool ipv6 = false;
  std::uint8_t protocol = 0;
  ConnectionZone zone;
  std::array<std::uint8_t, 16> labels = {};
  ConnectionSide original;
  ConnectionSide reply;
};

// The socket that a packet is of, where it is one of this network namespace.
struct Socket {
  bool has_file = true;  // or was closed
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint32_t cgroup_class = 0;
};

struct Route {
  std::uint32_t realms = 0;
  Bytes next_hop = {};       // 4 or 16 bytes; empty: where the packet says
  bool cached = false;       // of IPv6: not by a gateway, but a cached route with this destination
  bool transformed = false;  // by IPsec
};

struct Packet {
  Bytes bytes;                       // from the first header that there is
  std::uint32_t network_offset = 0;  // of the network header in `bytes`; 0: no link-layer header
  std::uint16_t ethertype = 0;       // of the network header, host order: 0x0800
  std::optional<HwaccelTag> vlan;    // `bytes` and network_offset are without it
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint32_t cpu = 0;  // that it is on
  std::optional<Socket> socket;
  std::optional<Route> route;  // if it has one yet
  Device in;
  Device out;
  PacketType type = PacketType::host;
  bool has_connection = false;           // skb->_nfct holds a connection
  CtInfo ct_info = CtInfo::established;  // meaningful with a connection, or untracked without one
  Connection connection;                 // meaningful with one
  std::int64_t time_ns = 0;              // of its capture, since the epoch

  // The bytes from the network header on: what a netfilter hook sees.
  [[nodiscard]] ByteView network() const { return ByteView(bytes).subspan(network_offset); }
};

}  // namespace weir::packet
