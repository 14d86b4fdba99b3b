// SPDX-License-Identifier: BSD-2-Clause
//
// The lists that packets have inside of their headers: extension headers, options, chunks. Drawing
// them for directed packets, and finding in such a packet what was drawn. Never a part of what
// rules mean, where the evaluator looks for itself.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "packet/builder.h"

namespace weir::packet {

enum class ItemKind : std::uint8_t { ipv6_header, tcp_option, ipv4_option, sctp_chunk };

struct ItemName {
  ItemKind kind = ItemKind::ipv6_header;
  std::uint8_t type = 0;
  friend auto operator<=>(const ItemName&, const ItemName&) = default;
};

// Where the first such item begins, in bytes of the packet; it may be cut off.
[[nodiscard]] std::optional<std::size_t> find_item(const Built& built, const ItemName& name);

class Random;

// Up to 40 bytes of them, a few of which are broken. `wanted` is among them if there is room.
[[nodiscard]] Bytes draw_tcp_options(std::optional<ItemName> wanted, Random& random);
// `deliverable`: such that a router takes, and does not change.
[[nodiscard]] Bytes draw_ipv4_options(std::optional<ItemName> wanted, bool deliverable,
                                      Random& random);
// All that stands behind the common header.
[[nodiscard]] Bytes draw_sctp_chunks(std::optional<ItemName> wanted, Random& random);

}  // namespace weir::packet
