// SPDX-License-Identifier: BSD-2-Clause
//
// VLAN tags between bytes and metadata.
#pragma once

#include "base/bytes.h"
#include "packet/packet.h"

namespace weir::packet {

// The frame as TC and netdev chains see it when it comes in: its outermost tag is in the metadata,
// and the network header follows the Ethernet header at once (skb_vlan_untag() in
// net/core/skbuff.c). A second tag is then the network header, of ethertype 0x8100 or 0x88a8.
// Packets without a link header and those with a tag in metadata already stay as they are; of a
// frame that is cut within its tag the bytes do.
[[nodiscard]] Packet as_received(Packet packet);

// The bytes of the frame on the wire, with the tag of the metadata put back.
[[nodiscard]] Bytes on_wire(const Packet& packet);

}  // namespace weir::packet
