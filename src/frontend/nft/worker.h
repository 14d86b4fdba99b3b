// SPDX-License-Identifier: BSD-2-Clause
//
// The process that lives in the scratch namespace.
#pragma once

namespace weir::frontend::nft {

// Leaves the caller's network namespace and then serves requests on `socket` until it is closed.
// The first frame sent is an answer of outcome `loaded`, or `failed` when no namespace was to be
// had. Runs in a forked child; the caller ends the process when it returns.
void serve(int socket);

}  // namespace weir::frontend::nft
