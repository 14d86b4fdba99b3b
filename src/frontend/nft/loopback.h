// SPDX-License-Identifier: BSD-2-Clause
//
// The loopback interface is in every namespace without being made: that rules name it is found by
// its index in what was translated.
#pragma once

#include "imr/imr.h"

namespace weir::frontend::nft {

inline constexpr std::uint32_t loopback_index = 1;  // LOOPBACK_IFINDEX in the kernel

[[nodiscard]] bool names_loopback(const imr::Ruleset& ruleset, const imr::Rule& rule);
[[nodiscard]] bool names_loopback(const imr::Set& set);

}  // namespace weir::frontend::nft
