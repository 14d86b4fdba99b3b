// SPDX-License-Identifier: BSD-2-Clause
//
// Network interfaces of chosen names and indexes in the calling process's namespace, so that nft
// can resolve `iif "eth7"`. They are ends of veth pairs, which every kernel that runs containers
// has.
#pragma once

#include "base/error.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// The other ends of the pairs have indexes from here on.
inline constexpr std::uint32_t first_peer_index = 0x40000000;

// `ordinal` tells the pairs of one namespace apart.
[[nodiscard]] Status make_link(const imr::Interface& link, std::uint32_t ordinal);

}  // namespace weir::frontend::nft
