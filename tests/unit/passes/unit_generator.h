// SPDX-License-Identifier: BSD-2-Clause
//
// Random units in text, of the shapes that rulesets have and some that they seldom have: rules that
// begin alike, neighbouring loads, contradictions, maps in the middle of a rule, empty chains. Each
// is one that imr::verify() accepts. And packets that reach the edges of a unit.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "base/hook.h"
#include "imr/imr.h"
#include "packet/packet.h"

namespace weir::test {

using Random = std::mt19937_64;

struct UnitOptions {
  bool at_xdp = false;
  Nfproto nfproto = Nfproto::ipv4;
  bool named_fields = true;
  // Facts of sockets, routes, devices and connections, too, whatever the hook knows.
  bool all_facts = false;
};

[[nodiscard]] std::string random_unit(const UnitOptions& options, Random& random);

// Packets with the values that the unit compares with and their neighbours, malformed ones among
// them, and contexts of the same kind.
[[nodiscard]] std::vector<packet::Packet> packets_for(const imr::Unit& unit, std::size_t count,
                                                      Random& random);

}  // namespace weir::test
