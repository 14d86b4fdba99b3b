// SPDX-License-Identifier: BSD-2-Clause
//
// The values that a ruleset compares packets with, and where in a packet they would stand: what a
// generator of packets needs to reach the edges of the rules.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "imr/imr.h"

namespace weir::imr {

// A rule compares `length` bytes at `offset` of a header with `value`, which is as long. Masks,
// flips, shifts and byte swaps are undone: put into the packet, the value makes the two sides equal
// (bits that a mask hides are 0).
struct PacketConstant {
  RuleId rule;
  HeaderBase base = HeaderBase::network;
  std::uint16_t offset = 0;
  std::uint16_t length = 0;
  Bytes value;
  friend bool operator==(const PacketConstant&, const PacketConstant&) = default;
};

// The same of an item of a list: of presence, 1 or 0.
struct ExtensionConstant {
  RuleId rule;
  Extension extension;
  Bytes value;
  friend bool operator==(const ExtensionConstant&, const ExtensionConstant&) = default;
};

// The same of a meta key; the value is in the order in which registers hold the key.
struct MetaConstant {
  RuleId rule;
  MetaKey key = MetaKey::l4proto;
  Bytes value;
  friend bool operator==(const MetaConstant&, const MetaConstant&) = default;
};

// The same of a conntrack key: of ct state, the bits that are asked for.
struct CtConstant {
  RuleId rule;
  CtKey key = CtKey::state;
  Bytes value;
  friend bool operator==(const CtConstant&, const CtConstant&) = default;
};

// The same of a next hop: of the destination that it is made of, too, there is a packet constant.
struct NexthopConstant {
  RuleId rule;
  Bytes value;  // 4 or 16 bytes
  friend bool operator==(const NexthopConstant&, const NexthopConstant&) = default;
};

struct Constants {
  std::vector<PacketConstant> packet;
  std::vector<ExtensionConstant> extension;
  std::vector<MetaConstant> meta;
  std::vector<CtConstant> ct;
  std::vector<NexthopConstant> next_hop;
};

// In the order of the rules: right sides of comparisons, both ends of ranges, both ends of all
// elements of sets and maps. Of a mask compared with zero ("none of these bits") the mask itself is
// there too. A Ruleset counts with all rules that a chain lists, a Unit with those it can reach.
[[nodiscard]] Constants constants(const Ruleset& ruleset);
[[nodiscard]] Constants constants(const Unit& unit);

}  // namespace weir::imr
