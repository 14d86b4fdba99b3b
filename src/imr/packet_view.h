// SPDX-License-Identifier: BSD-2-Clause
//
// A packet as nf_tables looks at it (struct nft_pktinfo): where its headers are and what its last
// protocol is. Part of the reference evaluator, and so written for itself: it uses neither
// packet/parse nor anything that lowering uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/hook.h"
#include "imr/imr.h"
#include "packet/packet.h"

namespace weir::imr {

struct PacketView {
  ByteView frame;                 // all bytes there are, the link header included
  std::size_t link_size = 0;      // bytes before the network header; 0: there is no link header
  ByteView network;               // from the network header to the end of the packet
  std::size_t counted_bytes = 0;  // what a counter adds, and meta length
  bool short_loads_in_later_fragments = false;  // whether Payload::in_later_fragments has effect

  // NFT_PKTINFO_L4PROTO: the header chain could be walked to its end.
  bool has_transport = false;
  std::uint8_t l4proto = 0;
  std::size_t transport_offset = 0;  // from the network header
  bool later_fragment = false;

  // `length` bytes at `offset` of a header, if the packet has them there.
  [[nodiscard]] std::optional<Bytes> load(const Payload& place) const;
};

// As nft_set_pktinfo_ipv4() and nft_set_pktinfo_ipv6() see the packet at a netfilter hook.
[[nodiscard]] PacketView view_at_netfilter(const packet::Packet& packet, Nfproto nfproto);

// What an Ethernet frame is to a unit at XDP.
struct FrameView {
  enum class Kind : std::uint8_t {
    other_protocol,  // not of the unit's ethertype behind up to two VLAN tags
    unparsable,      // refused by nft_set_pktinfo_ipv4_validate() or its IPv6 sister
    parsed,
  };
  Kind kind = Kind::other_protocol;
  PacketView view;
};
[[nodiscard]] FrameView view_at_xdp(const packet::Packet& packet, Nfproto nfproto);

}  // namespace weir::imr
