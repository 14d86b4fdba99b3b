// SPDX-License-Identifier: BSD-2-Clause
//
// What interfaces a script wants that are not in its scratch namespace.
#pragma once

#include <vector>

#include "frontend/nft/nft.h"
#include "frontend/nft/nft_errors.h"
#include "frontend/nft/wire.h"

namespace weir::frontend::nft {

// Interfaces whose absence may be why nft refused the request, less those that it had already.
[[nodiscard]] Result<std::vector<imr::Interface>> missing_links(const std::vector<NftError>& errors,
                                                                const Request& request,
                                                                const Options& options);

}  // namespace weir::frontend::nft
