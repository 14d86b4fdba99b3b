// SPDX-License-Identifier: BSD-2-Clause
//
// Interfaces that rules name by their index. The loopback interface is in every namespace without
// being made: that rules name it is found by its index in what was translated.
#pragma once

#include <cstdint>

#include "imr/imr.h"

namespace weir::frontend::nft {

inline constexpr std::uint32_t loopback_index = 1;  // LOOPBACK_IFINDEX in the kernel

// By "iif", by "oif", or to send packets there.
[[nodiscard]] bool names_interface(const imr::Ruleset& ruleset, const imr::Rule& rule,
                                   std::uint32_t index);
// As a key or as data.
[[nodiscard]] bool names_interface(const imr::Set& set, std::uint32_t index);
// Any rule or set of it.
[[nodiscard]] bool names_interface(const imr::Ruleset& ruleset, std::uint32_t index);

}  // namespace weir::frontend::nft
