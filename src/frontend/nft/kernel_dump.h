// SPDX-License-Identifier: BSD-2-Clause
//
// The nf_tables state of the calling process's network namespace over netlink.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::frontend::nft {

// The NEWTABLE, NEWCHAIN, NEWOBJ, NEWSET, NEWSETELEM and NEWRULE messages of everything, in this
// order.
[[nodiscard]] Result<Bytes> dump_ruleset();
// The first two kinds of them.
[[nodiscard]] Result<Bytes> dump_chains();

// Gives the messages to `take`, one after another, until it fails. A system error where the bytes
// are none.
[[nodiscard]] Status each_message(ByteView messages,
                                  const std::function<Status(const nlmsghdr*)>& take);

// A number that changes with every change of the ruleset.
[[nodiscard]] Result<std::uint32_t> ruleset_generation();

}  // namespace weir::frontend::nft
