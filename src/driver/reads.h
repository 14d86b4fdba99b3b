// SPDX-License-Identifier: BSD-2-Clause
//
// Which rules are run, and which facts beside its IP packet they ask of a packet, for whoever has
// to supply them: an engine that cannot, or the service, which has to switch connection tracking
// on.
#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::driver {

struct Reads {
  std::set<imr::MetaKey> meta;
  bool connection = false;
  bool connection_details = false;  // beyond its state
  bool connection_counts = false;   // bytes and packets, which are not always counted
  bool next_hop = false;            // of its route
  bool link_header = false;
  bool writes_packet = false;
  bool answers = false;
  bool forwards = false;    // packets are sent out in place of going on
  bool duplicates = false;  // copies of packets are sent out
  // Where both go: indexes of devices, the device that the packet came in by, and devices that
  // only packets tell.
  std::set<std::uint32_t> sends_to;
  bool sends_back = false;
  bool sends_anywhere = false;
  bool random = false;  // numbers that are drawn anew, from packet to packet
};

// Of the chains that the attachments take, and of those that they reach.
[[nodiscard]] Reads scan_reads(const imr::Ruleset& ruleset,
                               const std::vector<Attachment>& attachments);
[[nodiscard]] Reads scan_reads(const imr::Ruleset& ruleset, const imr::Rule& rule);
// How many rules these chains have.
[[nodiscard]] std::size_t count_rules(const imr::Ruleset& ruleset,
                                      std::span<const Attachment> attachments);

}  // namespace weir::driver
