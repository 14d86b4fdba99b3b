// SPDX-License-Identifier: BSD-2-Clause
//
// The nf_tables state of the calling process's network namespace over netlink.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::frontend::nft {

// The NEWTABLE, NEWCHAIN, NEWSET, NEWSETELEM and NEWRULE messages of everything, in this order.
[[nodiscard]] Result<Bytes> dump_ruleset();

// A number that changes with every change of the ruleset.
[[nodiscard]] Result<std::uint32_t> ruleset_generation();

}  // namespace weir::frontend::nft
