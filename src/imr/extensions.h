// SPDX-License-Identifier: BSD-2-Clause
//
// Where the extension headers, options and chunks of a packet are that rules name: a part of the
// reference evaluator, with the rules of net/netfilter/nft_exthdr.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "imr/imr.h"
#include "imr/packet_view.h"

namespace weir::imr {

// The value of the expression; nothing where the packet has none.
[[nodiscard]] std::optional<Bytes> find_extension(const PacketView& view,
                                                  const Extension& extension);

// The first TCP option of a type, counted from the TCP header on.
struct TcpOption {
  std::size_t at = 0;  // 0: there is none
  std::size_t size = 0;
  bool whole = true;  // not where it reaches beyond the header
};
// Nothing where the packet has no whole TCP header, nor in later fragments.
[[nodiscard]] std::optional<TcpOption> find_tcp_option(const PacketView& view, std::uint8_t type);

// nf_tables looks for four options of IPv4 (nft_exthdr_ipv4_init()).
[[nodiscard]] bool is_found_ipv4_option(std::uint8_t type);

}  // namespace weir::imr
