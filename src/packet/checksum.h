// SPDX-License-Identifier: BSD-2-Clause
//
// The checksums of IP and of what it carries.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "packet/packet.h"

namespace weir::packet {

// RFC 1071: the complement of the ones' complement sum of 16-bit big-endian words, an odd last byte
// padded with zero. `sum` is what was added up before (of a pseudo header, say).
[[nodiscard]] std::uint16_t internet_checksum(ByteView bytes, std::uint32_t sum = 0);

// RFC 9260 appendix A.
[[nodiscard]] std::uint32_t crc32c(ByteView bytes);

// Writes the right checksums into the IPv4 header and into the transport header (TCP, UDP,
// UDP-Lite, DCCP, SCTP, ICMP, ICMPv6, IGMP, GRE if it has one), as far as the packet has them
// whole. Fragments keep what stands in their transport header: its checksum covers bytes that are
// elsewhere.
void repair_checksums(Packet& packet);

}  // namespace weir::packet
