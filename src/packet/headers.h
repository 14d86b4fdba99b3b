// SPDX-License-Identifier: BSD-2-Clause
//
// Finding the transport header behind an IPv4 or IPv6 header. For people (summaries), for checksums
// and for placing bytes in test packets; never a part of what rules mean, where the evaluator walks
// by itself.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace weir::packet {

inline constexpr std::uint16_t ethertype_ipv4 = 0x0800;
inline constexpr std::uint16_t ethertype_arp = 0x0806;
inline constexpr std::uint16_t ethertype_vlan = 0x8100;
inline constexpr std::uint16_t ethertype_qinq = 0x88a8;
inline constexpr std::uint16_t ethertype_ipv6 = 0x86dd;

// IP protocol numbers, https://www.iana.org/assignments/protocol-numbers
enum class IpProtocol : std::uint8_t {
  hop_by_hop = 0,
  icmp = 1,
  igmp = 2,
  tcp = 6,
  udp = 17,
  dccp = 33,
  routing = 43,
  fragment = 44,
  gre = 47,
  esp = 50,
  ah = 51,
  icmpv6 = 58,
  none = 59,
  destination = 60,
  sctp = 132,
  udplite = 136,
};

struct TransportPlace {
  std::uint8_t protocol = 0;          // behind the last extension header
  std::uint32_t offset = 0;           // from the network header
  bool more_fragments = false;        // of an IPv4 header or an IPv6 fragment header
  std::uint32_t fragment_offset = 0;  // bytes

  [[nodiscard]] bool is_fragment() const { return more_fragments || fragment_offset != 0; }
};

// The place behind the header of `network` (bytes from the network header on) and the IPv6
// extension headers behind it: hop-by-hop, routing, fragment, destination options and AH. Behind
// the fragment header of a later fragment is data, so the walk ends there. Nothing when the packet
// is neither IPv4 nor IPv6 or a header is malformed or reaches beyond the bytes; the place itself
// may be their very end.
[[nodiscard]] std::optional<TransportPlace> find_transport(ByteView network,
                                                           std::uint16_t ethertype);

}  // namespace weir::packet
