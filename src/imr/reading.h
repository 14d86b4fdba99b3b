// SPDX-License-Identifier: BSD-2-Clause
//
// How the chains of a unit read packets, which follows from their family and the hook that runs
// them. docs/imr.md tells it at length; the reference evaluator and lowering both go by it.
#pragma once

#include <cstdint>

#include "imr/imr.h"

namespace weir::imr {

enum class Reading : std::uint8_t {
  // ip, ip6 and inet chains at netfilter and cgroup hooks: packets start at the network header.
  stack,
  // The same families at XDP, TC and packet sockets: frames. Up to two VLAN tags are skipped, one
  // in metadata
  // included; packets of other protocols pass; what cannot be parsed gets the policies.
  frame,
  // netdev and bridge chains at XDP and TC: frames, as nft_do_chain_netdev() and
  // nft_do_chain_bridge() see them. One VLAN tag, that in metadata or at XDP the outermost one, is
  // no part of the network packet. Every packet meets the rules, in exactly one of the three units:
  // what cannot be parsed is `other`.
  netdev,
  // inet chains of the hook ingress, at XDP and TC: frames, as nft_do_chain_inet_ingress() sees
  // them. Tags as `netdev`; packets of other protocols pass; what cannot be parsed is dropped,
  // whatever the policies.
  ingress,
  // arp chains at XDP and TC: ARP packets behind up to two VLAN tags; all others pass.
  arp,
};

[[nodiscard]] Reading reading_of(const Ruleset& ruleset, const Hook& hook, ChainId root);
// Of all its roots, which read alike.
[[nodiscard]] Reading reading_of(const Unit& unit);
// The family of the first root: chains of families other than ip, ip6 and inet are never mixed.
[[nodiscard]] Family family_of(const Unit& unit);

// Whether aligned loads of 1, 2 and 4 bytes are there in later fragments (Payload::
// in_later_fragments): where the interpreter of nf_tables is the reference. In IPv6 packets they
// then count from where counters count from.
[[nodiscard]] bool has_nf_tables_quirks(const Unit& unit);

// Whether counters and meta length take the link header with them (skb->len where skb->data is at
// the link header), but no tag in metadata; else both start at the network header.
[[nodiscard]] bool counts_link_header(const Unit& unit);

// What nft_pf() says there: NFPROTO_NETDEV in netdev chains, and so on.
[[nodiscard]] std::uint8_t nfproto_value(const Unit& unit);

// Devices that nf_hook_state does not name: an egress chain of family netdev has no input device,
// even for a packet that came in by one.
[[nodiscard]] bool has_input_device(const Unit& unit);
[[nodiscard]] bool has_output_device(const Unit& unit);
// Whether the key is about that device.
[[nodiscard]] bool is_of_input(MetaKey key);
[[nodiscard]] bool is_of_output(MetaKey key);

}  // namespace weir::imr
