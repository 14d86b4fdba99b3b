// SPDX-License-Identifier: BSD-2-Clause
//
// A small connection tracker for packets that come out of a capture, with the states that
// net/netfilter/nf_conntrack_*.c would give them, were the capture all that the machine sees:
// no timeouts, no translation, and every packet counts, whatever the rules do with it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>

#include "packet/packet.h"

namespace weir::driver {

class Tracker {
 public:
  // Sets has_connection, ct_info and the connection of the next packet of the capture; of that its
  // ends, protocol and status (never assured), and nothing else. A packet that no connection
  // can own (malformed, impossible flags, an error about an unknown flow) gets none: `invalid`.
  void track(packet::Packet& packet);

  using Address = std::array<std::uint8_t, 16>;  // IPv4: the first 4 bytes

  // What tells one direction of a flow from all others. Ports, or what stands for them: the
  // identifier of an ICMP query on both sides, 0 for protocols that have none.
  struct Tuple {
    std::uint8_t version = 4;
    std::uint8_t protocol = 0;
    Address source = {};
    Address destination = {};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint8_t icmp_kind = 0;  // the query's type, for a query and its reply alike
    friend auto operator<=>(const Tuple&, const Tuple&) = default;
  };

 private:
  struct Connection {
    bool replied = false;
    bool reset = false;
    bool fin_original = false;
    bool fin_reply = false;
    [[nodiscard]] bool closed() const { return reset || (fin_original && fin_reply); }
  };
  struct FragmentKey {
    Address source = {};
    Address destination = {};
    std::uint32_t id = 0;
    std::uint8_t protocol = 0;
    friend auto operator<=>(const FragmentKey&, const FragmentKey&) = default;
  };
  struct State {
    bool has_connection = false;
    packet::CtInfo info = packet::CtInfo::established;
    Tuple original = {};  // of the connection, and whether packets came from its other end
    bool replied = false;
    bool confirmed = false;  // whether a packet came before this one
  };

  State classify(ByteView bytes);
  State classify_transport(Tuple tuple, ByteView transport);
  State classify_tcp(Tuple tuple, ByteView transport);
  State classify_icmp(Tuple tuple, ByteView transport);
  State classify_icmp_error(const Tuple& outer, ByteView inner);
  State follow(const Tuple& tuple, bool may_open);
  // Of a connection that there is.
  [[nodiscard]] State known(packet::CtInfo info, const Tuple& original) const;
  static packet::Connection connection_of(const State& state);

  std::map<Tuple, Connection> connections_;  // by the tuple of the original direction
  std::map<FragmentKey, State> fragments_;   // what the first fragment of a packet got
};

}  // namespace weir::driver
