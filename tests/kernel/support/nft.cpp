// SPDX-License-Identifier: BSD-2-Clause
//
// libnftables opens its netlink socket when a context is made, and resolves interface names in the
// namespace of the calling thread: both happen inside.
#include "kernel/support/nft.h"

#include <nftables/libnftables.h>

#include <nlohmann/json.hpp>

namespace weir::test {

void Nft::Free::operator()(::nft_ctx* context) const {
  nft_ctx_free(context);
}

Nft::Nft(const Netns& netns) : netns_(&netns) {
  const Inside inside(netns);
  context_.reset(nft_ctx_new(NFT_CTX_DEFAULT));
  if (context_ == nullptr) give_up("libnftables gives no context");
  nft_ctx_buffer_output(context_.get());
  nft_ctx_buffer_error(context_.get());
}

Result<std::string> Nft::run(const std::string& commands) {
  const Inside inside(*netns_);
  const int status = nft_run_cmd_from_buffer(context_.get(), commands.c_str());
  std::string output = nft_ctx_get_output_buffer(context_.get());
  const std::string error = nft_ctx_get_error_buffer(context_.get());
  if (status != 0) return input_error("nft: " + error);
  return output;
}

std::vector<RuleCounter> Nft::counters() {
  nft_ctx_output_set_flags(context_.get(), NFT_CTX_OUTPUT_JSON);
  const auto text = run("list ruleset");
  nft_ctx_output_set_flags(context_.get(), 0);
  const auto listing = nlohmann::json::parse(expect(text));
  std::vector<RuleCounter> counters;
  for (const auto& item : listing.at("nftables")) {
    if (!item.contains("rule")) continue;
    const auto& rule = item["rule"];
    for (const auto& expression : rule.at("expr")) {
      // "counter": {"packets": ..., "bytes": ...}; a string would name a counter object.
      if (!expression.contains("counter") || !expression["counter"].is_object()) continue;
      counters.push_back({.family = rule.at("family"),
                          .table = rule.at("table"),
                          .chain = rule.at("chain"),
                          .handle = rule.at("handle"),
                          .packets = expression["counter"].at("packets"),
                          .bytes = expression["counter"].at("bytes")});
    }
  }
  return counters;
}

}  // namespace weir::test
