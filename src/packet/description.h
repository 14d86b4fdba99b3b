// SPDX-License-Identifier: BSD-2-Clause
//
// A packet in words: "ip saddr 10.0.0.1 tcp dport 22", in the names that rules use.
#pragma once

#include <optional>
#include <string_view>

#include "base/error.h"
#include "packet/packet.h"

namespace weir::packet {

struct Description {
  Packet packet;  // an Ethernet frame
  // What was said of things that lie outside the packet's bytes.
  struct Connection {
    bool exists = false;
    CtInfo info = CtInfo::established;
  };
  std::optional<Connection> connection;
};

// Protocols and their fields as rows of fields.def name them, in any order within a header and the
// headers from the outside in; a field keeps the protocol of the one before it:
//   ip saddr 10.0.0.1 daddr 10.0.0.2 tcp sport 1024 dport 22 flags syn
//   ether daddr 02:00:00:00:00:01 vlan id 5 vlan id 6 ip6 frag frag-off 0 udp dport 53
//   meta mark 7, meta pkttype broadcast, ct state new, payload 100 (bytes behind the last header)
// Numbers are decimal or 0x…; ports may be names of /etc/services, ICMP types, TCP flags and
// protocols their nft names. What is not said has a sensible value, lengths and checksums are right
// unless they are said. Anything else is an input error at its column.
[[nodiscard]] Result<Description> parse_description(std::string_view text);

}  // namespace weir::packet
