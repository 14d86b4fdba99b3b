// SPDX-License-Identifier: BSD-2-Clause
//
// The table of keys that generated rules match: one row a key.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "differential/matches.h"

namespace weir::differential {

struct Key {
  std::string_view text;
  L3 l3 = L3::any;
  L4 l4 = L4::any;
  Notation notation = Notation::number;
  unsigned bits = 8;
  std::array<std::uint64_t, 8> pool = {};
  bool ordered = true;  // nft knows ranges of it
  bool in_inet_only = false;
};

[[nodiscard]] std::span<const Key> keys();
// Of options, chunks and extension headers. Each takes the verifier a loop.
[[nodiscard]] std::span<const Key> extension_keys();
// Keys of tables that see frames: of the Ethernet header and of a VLAN tag, and protocols, which
// settle the network protocol.
[[nodiscard]] std::span<const Key> address_keys();
[[nodiscard]] std::span<const Key> tag_keys();
[[nodiscard]] std::span<const Key> protocol_keys();
// Keys that read more than the packet's bytes, within Facts::test_run and beyond.
[[nodiscard]] std::span<const Key> fact_keys();

}  // namespace weir::differential
