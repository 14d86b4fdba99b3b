// SPDX-License-Identifier: BSD-2-Clause
//
// Directed packets: those that reach the edges of a ruleset. The caller lists the constants that
// the ruleset compares bytes with; the packets hold these values, their neighbours, and the shapes
// that compilers of filters get wrong: truncation at every header's end, IPv4 options, fragments,
// IPv6 extension chains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "packet/address.h"
#include "packet/fields.h"
#include "packet/items.h"
#include "packet/packet.h"

namespace weir::packet {

// A constant that rules compare packet bytes with. Both ends of a range are two probes.
struct Probe {
  Layer layer = Layer::network;  // `extension` with an item, and there only
  std::uint16_t offset = 0;      // bytes, from the start of that layer's header or of the item
  std::uint16_t length = 0;      // bytes; the value counts as padded with zero bytes, or as cut; 0:
                                 // it is about whether there is such an item
  Bytes value;                   // in packet order
  std::uint32_t group = 0;       // probes that must hold together: those of one rule, say
  // What packets the rule is about, where it says so: most packets of this probe are of that kind.
  std::optional<std::uint16_t> ethertype = {};  // IPv4 or IPv6
  std::optional<std::uint8_t> ip_protocol = {};
  std::optional<ItemName> item = {};  // whose bytes the rule compares, where the packet has it
};

struct Ipv4Prefix {
  Ipv4Address address{};
  unsigned length = 0;  // bits
};
struct Ipv6Prefix {
  Ipv6Address address{};
  unsigned length = 0;
};

struct DirectedOptions {
  std::size_t count = 200;
  bool link_header = false;  // Ethernet in front (XDP), or from the network header on (netfilter)
  bool vlan_tags = false;    // with a link header: some packets with one tag, two, or too many
  bool other_protocols = false;  // with a link header: some ARP and unknown ethertypes
  bool ipv4 = true;
  bool ipv6 = true;
  std::size_t max_size = 1500;  // bytes, the link header included; at least 128
  // Bytes from the network header on that truncation leaves: a kernel test run wants 20 and 40.
  std::size_t min_ipv4_size = 20;
  std::size_t min_ipv6_size = 40;

  // Only packets that a Linux router forwards: IP headers whole and in order, lengths that fit, TTL
  // or hop limit above 1, no martian addresses. Addresses are moved into the prefixes below where
  // they are given, the host part staying as a probe made it, all zeros and all ones excepted. That
  // the router has a route, and owns none of these addresses, is up to the caller.
  bool deliverable = false;
  std::optional<Ipv4Prefix> ipv4_sources = {};
  std::optional<Ipv4Prefix> ipv4_destinations = {};
  std::optional<Ipv6Prefix> ipv6_sources = {};
  std::optional<Ipv6Prefix> ipv6_destinations = {};
};

// options.count packets. Every probe gets its turn if there are enough packets, its value first,
// then one above and one below. Beside it a packet holds either a value for every other place of
// its group, or random ones of all places. The same state of `random` gives the same packets.
// Checksums are right but in a few packets where the wrong one is the point.
[[nodiscard]] std::vector<Packet> directed_packets(std::span<const Probe> probes,
                                                   const DirectedOptions& options,
                                                   std::mt19937_64& random);

}  // namespace weir::packet
