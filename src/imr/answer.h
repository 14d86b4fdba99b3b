// SPDX-License-Identifier: BSD-2-Clause
//
// What answers to packets look like, of the reference evaluator: written for itself, as
// imr/packet_view.h is.
//
// They are those of nft_reject_netdev.c (Linux 6.18; nf_reject_skb_v4_unreach() and its sisters in
// net/ipv4/netfilter/nf_reject_ipv4.c and net/ipv6/netfilter/nf_reject_ipv6.c): addresses swapped,
// no tag, the packet quoted as far as fits. No answer goes to what came as a broadcast or
// multicast, to later fragments, to errors, or to a packet whose checksum is wrong.
//
// Chains of the families ip, ip6 and inet answer through the kernel's routes, which no program has:
// theirs look like those of netdev here, but that they are to the packet as the IP stack takes it,
// without what stands behind it in the frame; that no error of ICMP is answered, nor a packet from
// or to what is no address of one host; and that their number is limited, of all together (Linux:
// icmp_global_allow()). They keep the tags of the packet, but that at TC one with two tags gets no
// answer.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "imr/imr.h"
#include "imr/packet_view.h"

namespace weir::imr {

// How many errors of ICMP answer the packets of ip, ip6 and inet chains: as many as the kernel
// sends by itself (net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst).
[[nodiscard]] MeterState limit_of_answers();

// The code that ICMP or ICMPv6 has for `code`, which is one of enum nft_reject_inet_code.
[[nodiscard]] std::uint8_t icmp_code(std::uint8_t code, Nfproto nfproto);

// The frame that goes back to the sender; nothing where none does. `ttl` is the time to live or the
// hop limit. Checksums are whole, and that of a packet is taken for right where it is that of its
// pseudo header alone, as of packets whose checksum is left to a device.
[[nodiscard]] std::optional<Bytes> make_answer(const Unit& unit, const PacketView& view,
                                               const Answer& answer, std::uint8_t ttl);

}  // namespace weir::imr
