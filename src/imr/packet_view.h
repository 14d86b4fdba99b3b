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
#include "imr/reading.h"
#include "packet/packet.h"

namespace weir::imr {

struct PacketView {
  ByteView frame;             // all bytes there are, the link header included
  std::size_t link_size = 0;  // bytes before the network header; 0: there is no link header
  // What link-layer loads read where a tag is in metadata: the frame with the tag put back.
  std::optional<Bytes> retagged;
  ByteView network;                             // from the network header to the end of the packet
  std::uint16_t protocol = 0;                   // skb->protocol, host order
  std::size_t counted_bytes = 0;                // what a counter adds, and meta length
  bool short_loads_in_later_fragments = false;  // whether Payload::in_later_fragments has effect

  // NFT_PKTINFO_L4PROTO: the header chain could be walked to its end.
  bool has_transport = false;
  std::uint8_t l4proto = 0;
  std::size_t transport_offset = 0;  // in `data`
  ByteView data;                     // from skb->data to the end of the packet
  bool later_fragment = false;

  // Where in `data` that begins which the transport header is in front of
  // (nft_payload_inner_offset()): of UDP, TCP, GRE and IP in IP; not in later fragments.
  [[nodiscard]] std::optional<std::size_t> find_inner() const;
  // `length` bytes at `offset` of a header, if the packet has them there.
  [[nodiscard]] std::optional<Bytes> load(const Payload& place) const;
};

// As a unit that reads Reading::stack sees the packet: nft_set_pktinfo_ipv4() and
// nft_set_pktinfo_ipv6() at a netfilter hook.
[[nodiscard]] PacketView view_of_stack(const Unit& unit, const packet::Packet& packet);

// What a frame is to a unit at XDP or TC.
struct FrameView {
  enum class Kind : std::uint8_t {
    not_seen,    // of another protocol than the unit's: it passes
    unparsable,  // refused by nft_set_pktinfo_ipv4_validate() or its IPv6 sister: the policies
    refused,     // the same where the kernel drops it at once
    parsed,      // the rules decide
  };
  Kind kind = Kind::not_seen;
  PacketView view;
};
[[nodiscard]] FrameView view_of_frame(const Unit& unit, const packet::Packet& packet);

}  // namespace weir::imr
