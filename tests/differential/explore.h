// SPDX-License-Identifier: BSD-2-Clause
//
// Packets that reach the rules of long rulesets, far behind jumps and maps to verdicts. Directed
// packets are a rule's own; what led to its chain they meet by chance only. So packets that met a
// rule first are kept, the constants of other rules are written over them, and what comes of that
// is tried again.
#pragma once

#include <cstddef>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "differential/subject.h"

namespace weir::differential {

// What the packets have beside their bytes.
enum class PacketFacts : std::uint8_t {
  test_run,  // what a kernel test run carries
  drawn,     // devices, marks, types and connections that the rules ask for, and others
  routed,    // the same of packets that a router forwards, by devices that rules name
};

struct Explored {
  std::vector<packet::Packet> packets;
  std::set<std::size_t> reached;  // indices of rules that some packet matches
};

// `count` packets for what `compilation` is of, those that reached rules first among them, in no
// order. Times go on from packet to packet where `facts` are drawn.
[[nodiscard]] Result<Explored> explore(const RulesetAtHook& subject,
                                       const driver::Compilation& compilation, std::size_t count,
                                       PacketFacts facts, std::mt19937_64& random);

}  // namespace weir::differential
