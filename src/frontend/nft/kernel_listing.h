// SPDX-License-Identifier: BSD-2-Clause
//
// What nft prints of the calling process's network namespace.
#pragma once

#include <nftables/libnftables.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "frontend/nft/netlink.h"

namespace weir::frontend::nft {

using NftContext = std::unique_ptr<nft_ctx, Deleter<nft_ctx_free>>;
// One that keeps what it prints; null when libnftables cannot start.
[[nodiscard]] NftContext new_context();

// "nft -a list WHAT"
[[nodiscard]] Result<std::string> list(nft_ctx* context, const std::string& what);
[[nodiscard]] Result<std::string> list_ruleset(nft_ctx* context);

}  // namespace weir::frontend::nft
