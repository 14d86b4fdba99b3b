// SPDX-License-Identifier: BSD-2-Clause
//
// Network namespaces, and the one thing that weir does in them through nft: a helper table that
// keeps connection tracking on, since a netfilter link does not ask for it (nf_ct_netns_get() is
// called by nft rules that read ct, and by nobody for a BPF program).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/hook.h"

namespace weir::service {

// The inode that tells the calling thread's network namespace from others.
[[nodiscard]] Result<std::uint64_t> current_namespace();

// "weir_conntrack_NAME" in family inet: a chain that no hook reaches, with one rule that reads ct.
[[nodiscard]] std::string conntrack_table(const std::string& policy);
// In the calling thread's namespace.
[[nodiscard]] Status keep_connections(const std::string& policy);
// In the namespace `id`; success when that namespace is gone, and the table with it.
[[nodiscard]] Status drop_connections(const std::string& policy, std::uint64_t id);

// nft base chains of the current namespace that hold a place among the netfilter hooks:
// "nft chain inet filter forward".
[[nodiscard]] std::vector<std::string> nft_chains_at(Nfproto nfproto, NfHook hook,
                                                     std::int32_t priority);

}  // namespace weir::service
