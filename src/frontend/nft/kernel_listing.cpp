// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/kernel_listing.h"

namespace weir::frontend::nft {

NftContext new_context() {
  NftContext context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (context) {
    nft_ctx_buffer_output(context.get());
    nft_ctx_buffer_error(context.get());
  }
  return context;
}

Result<std::string> list(nft_ctx* context, const std::string& what) {
  nft_ctx_output_set_flags(context, NFT_CTX_OUTPUT_HANDLE);
  // What a script itself printed ("list" commands in it) is not the listing.
  nft_ctx_unbuffer_output(context);
  nft_ctx_buffer_output(context);
  if (nft_run_cmd_from_buffer(context, ("list " + what).c_str()) != 0) {
    return system_error("nft cannot list the " + what + ": " + nft_ctx_get_error_buffer(context));
  }
  return std::string(nft_ctx_get_output_buffer(context));
}

Result<std::string> list_ruleset(nft_ctx* context) {
  return list(context, "ruleset");
}

}  // namespace weir::frontend::nft
