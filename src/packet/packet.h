// SPDX-License-Identifier: BSD-2-Clause
//
// A packet as a hook sees it: its bytes, where its network header starts, and what the kernel knows
// about it beside its bytes.
#pragma once

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
  friend bool operator==(const Device&, const Device&) = default;
};

// A VLAN tag that a device or the stack took out of the bytes: what the kernel calls hwaccel
// (skb->vlan_proto and vlan_tci in linux/if_vlan.h).
struct HwaccelTag {
  std::uint16_t protocol = 0x8100;  // host order
  std::uint16_t tci = 0;            // host order
  friend bool operator==(const HwaccelTag&, const HwaccelTag&) = default;
};

struct Packet {
  Bytes bytes;                       // from the first header that there is
  std::uint32_t network_offset = 0;  // of the network header in `bytes`; 0: no link-layer header
  std::uint16_t ethertype = 0;       // of the network header, host order: 0x0800
  std::optional<HwaccelTag> vlan;    // `bytes` and network_offset are without it
  std::uint32_t mark = 0;
  Device in;
  Device out;
  PacketType type = PacketType::host;
  bool has_connection = false;           // skb->_nfct holds a connection
  CtInfo ct_info = CtInfo::established;  // meaningful with a connection, or untracked without one
  std::int64_t time_ns = 0;              // of its capture, since the epoch

  // The bytes from the network header on: what a netfilter hook sees.
  [[nodiscard]] ByteView network() const { return ByteView(bytes).subspan(network_offset); }
};

}  // namespace weir::packet
