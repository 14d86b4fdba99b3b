// SPDX-License-Identifier: BSD-2-Clause
//
// Network namespaces, and the one thing that weir does in them through nft: a helper table that
// keeps connection tracking on, since a netfilter link does not ask for it (nf_ct_netns_get() is
// called by nft rules that read ct, and by nobody for a BPF program).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "driver/reads.h"

struct nft_ctx;

namespace weir::service {

// The inode that tells the calling thread's network namespace from others.
[[nodiscard]] Result<std::uint64_t> current_namespace();

// Runs `work` in the network namespace `id`; success, without it, when that namespace is gone.
[[nodiscard]] Status in_namespace(std::uint64_t id, const std::function<Status()>& work);

// "weir_conntrack_NAME" in family inet: a chain that no hook reaches, with one rule that reads ct.
[[nodiscard]] std::string conntrack_table(const std::string& policy);
// In the calling thread's namespace.
[[nodiscard]] Status keep_connections(const std::string& policy);
// Has bytes and packets of connections counted in the calling thread's namespace, as a rule of
// nf_tables that reads them does (nf_ct_set_acct()): they stay so.
[[nodiscard]] Status count_connections();
// An input error where rules ask for owners of sockets in a namespace whose users are not those of
// the kernel: nf_tables tells such ids as its user namespace names them, and programs cannot.
[[nodiscard]] Status check_owners(const driver::Reads& reads);
// In the namespace `id`; success when that namespace is gone, and the table with it.
[[nodiscard]] Status drop_connections(const std::string& policy, std::uint64_t id);

// Such a table that its process owns (NFT_TABLE_F_OWNER): nobody else can change it, and it goes
// with the last descriptor of the netlink socket that made it, also when the process is killed.
class OwnedTable {
 public:
  // In the calling thread's namespace. A child process that is forked shares it.
  [[nodiscard]] static Result<OwnedTable> create(const std::string& policy);

 private:
  struct Free {
    void operator()(::nft_ctx* context) const;
  };
  std::unique_ptr<::nft_ctx, Free> context_;
};

// nft base chains of the current namespace that hold a place among the netfilter hooks:
// "nft chain inet filter forward".
[[nodiscard]] std::vector<std::string> nft_chains_at(Nfproto nfproto, NfHook hook,
                                                     std::int32_t priority);

}  // namespace weir::service
