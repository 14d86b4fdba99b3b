// SPDX-License-Identifier: BSD-2-Clause
//
// From the bytes of a capture to a Packet, and from a Packet to a line of text for people.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "packet/packet.h"

namespace weir::packet {

// What the first bytes of a captured packet are; https://www.tcpdump.org/linktypes.html.
enum class LinkType : std::uint8_t {
  ethernet,
  raw_ip,         // IPv4 or IPv6, told apart by the version
  linux_cooked,   // LINKTYPE_LINUX_SLL
  linux_cooked2,  // LINKTYPE_LINUX_SLL2
  null,           // BSD loopback: the address family, 4 bytes of either byte order
};

// Takes any bytes. Ethernet keeps its header, and up to two VLAN tags behind it are skipped, as a
// NIC without offload would deliver them; the pseudo headers of the other link types are removed,
// so that the packet has none. A header that is cut off leaves a packet of ethertype 0 that starts
// at the end of its bytes.
[[nodiscard]] Packet parse_frame(ByteView frame, LinkType link_type);

// What the kernel makes of the ethertype at `at` of a frame, skb->protocol: lengths of IEEE 802.3
// frames become ETH_P_802_2, or ETH_P_802_3 before 0xffff (eth_type_trans() in net/ethernet/eth.c,
// vlan_set_encap_proto() in linux/if_vlan.h). The two bytes must be there.
[[nodiscard]] std::uint16_t protocol_of_frame(ByteView frame, std::size_t at);

// "IP 10.0.0.1.1234 > 10.0.0.2.22 TCP S", "vlan 5 IP6 2001:db8::1 > 2001:db8::2 ICMPv6 type 128".
// Takes any packet.
[[nodiscard]] std::string summary(const Packet& packet);

}  // namespace weir::packet
