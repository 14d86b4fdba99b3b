// SPDX-License-Identifier: BSD-2-Clause
//
// Making a directed packet one that a Linux router forwards. Inside of directed.cpp.
#pragma once

#include <cstddef>

#include "packet/builder.h"
#include "packet/directed.h"

namespace weir::packet {

// What a router reads of a packet beside the fixed headers.
struct ReadByRouters {
  bool hop_by_hop = false;  // an IPv6 header begins the extension headers with one
  Bytes ipv4_options = {};
};
[[nodiscard]] ReadByRouters read_by_routers(const Built& built);

// Undoes what probes did to the parts of the IP header that ip_rcv(), ip_forward() and their IPv6
// counterparts (net/ipv4/ip_input.c, net/ipv6/ip6_input.c, ip6_output.c) would drop the packet for.
// `read` is what read_by_routers() said before any probe was written.
void make_deliverable(Built& built, const ReadByRouters& read, const DirectedOptions& options);

// Whether the IPv6 header says that a hop-by-hop header follows.
[[nodiscard]] bool begins_with_hop_by_hop(const Built& built);

// Writes the length of the packet into its IP header. Its checksum is left to repair_checksums().
void adjust_ip_length(Built& built);

// Bytes that a router wants to see whole: the IPv4 header, or the IPv6 header and a hop-by-hop
// header right behind it.
[[nodiscard]] std::size_t smallest_deliverable(const Built& built);

}  // namespace weir::packet
