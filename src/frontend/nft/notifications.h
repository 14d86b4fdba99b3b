// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel tells of changes of nf_tables in the calling process's network namespace.
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "frontend/nft/netlink.h"

namespace weir::frontend::nft {

class Notifications {
 public:
  // From here on. Of the namespace that the process is in now.
  [[nodiscard]] Status open();
  // The messages of all transactions since the last call that ended before this one, less those
  // about generations. The kernel has queued them when it answers who made the change
  // (nft_commit_notify() in net/netfilter/nf_tables_api.c). A system error where some got lost.
  [[nodiscard]] Result<Bytes> take();

 private:
  Socket socket_;
};

}  // namespace weir::frontend::nft
