// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/nft.h"

#include "frontend/nft/scratch.h"

namespace weir::frontend::nft {

Result<imr::Ruleset> read_script(const std::string& script, const std::string& file,
                                 const Options& options) {
  WEIR_TRY(scratch, ScratchNamespace::create());
  return scratch.read(script, file, options);
}

}  // namespace weir::frontend::nft
