// SPDX-License-Identifier: BSD-2-Clause
//
// Reading a script in parts (frontend/nft/division.h), by several processes.
#pragma once

#include <optional>
#include <string>

#include "frontend/nft/division.h"
#include "frontend/nft/nft.h"
#include "frontend/nft/source_lines.h"

namespace weir::frontend::nft {

// No value where anything is in the way, an error of the script included: it then has to be read in
// one piece, which says what is wrong.
[[nodiscard]] std::optional<imr::Ruleset> read_divided(const Division& division,
                                                       const ScannedScript& scanned,
                                                       const std::string& file,
                                                       const Options& options);

}  // namespace weir::frontend::nft
