// SPDX-License-Identifier: BSD-2-Clause
//
// Finding the IPv6 headers, options and chunks that rules look at (imr::Extension): one loop over a
// packet's list looks for all types at once. Like the walk to the transport header, a loop counts
// from a zero that the verifier does not know and forgets each round where it is, so that what was
// seen in one round is the same to the verifier as what is seen in the next.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/builder.h"
#include "imr/imr.h"

namespace weir::backend {

struct Headers;

// One and how many bytes from its place on can be loaded, 0 of what the packet has not: so an empty
// item is told from none. `place` counts from the packet's first byte.
struct Item {
  flow::Reg place;
  flow::Reg have;
};

// What Item::have is where all bytes up to the packet's end can be loaded; no item has more.
constexpr std::uint64_t to_the_end = 0x20000;

// 1 where there is such an item, 0 where not.
[[nodiscard]] flow::Reg is_there(Builder& out, const Item& item);

// What a loop over a list needs.
struct ItemLoop {
  Builder& out;
  const Headers& headers;
  flow::Reg opaque;                     // a zero that the verifier does not know
  std::span<const std::uint8_t> types;  // what is looked for; the items come in their order
};

// ipv6_find_hdr(skb, &offset, type, NULL, NULL). Packets with more than 200 headers are dropped.
[[nodiscard]] std::vector<Item> find_ipv6_headers(const ItemLoop& loop);
// nft_exthdr_tcp_eval(). Of one type, an option that reaches beyond the header has a place, but
// nothing to load. With `no_header`, leaves to there where the packet has no whole TCP header.
[[nodiscard]] std::vector<Item> find_tcp_options(const ItemLoop& loop,
                                                 flow::BlockId no_header = {});
// nft_exthdr_sctp_eval(); `in_later_fragments`: it does not look at the fragment offset. Packets
// with more than 200 chunks are dropped.
[[nodiscard]] std::vector<Item> find_sctp_chunks(const ItemLoop& loop, bool in_later_fragments);
// ipv4_find_option(); the header is at `header`, not valid: at the packet's first byte, which has
// `extent` bytes from there on.
[[nodiscard]] std::vector<Item> find_ipv4_options(const ItemLoop& loop, flow::Reg header,
                                                  flow::Reg extent);

// For the loops.

// The same value without what the verifier knows about it, nor will learn.
[[nodiscard]] inline flow::Reg blurred(const ItemLoop& loop, flow::Reg reg) {
  return loop.out.binary(flow::Op::add, reg, loop.opaque);
}
// dst = reg, blurred.
void assign_blurred(const ItemLoop& loop, flow::Reg dst, flow::Reg reg);
// Leaves to `elsewhere` where the byte is another one than `type`; where it is, respectively.
void leave_if_other(const ItemLoop& loop, flow::Reg byte, std::uint64_t type,
                    flow::BlockId elsewhere);
void leave_if_same(const ItemLoop& loop, flow::Reg byte, std::uint64_t type,
                   flow::BlockId elsewhere);
// Leaves where a condition holds between two registers.
void leave_if(Builder& out, flow::Condition condition, flow::Reg a, flow::Reg b,
              flow::BlockId elsewhere);

}  // namespace weir::backend
