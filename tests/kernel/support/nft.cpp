// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/support/nft.h"

#include <nlohmann/json.hpp>

namespace weir::test {

Result<std::string> Nft::run(const std::string& commands) {
  const Inside inside(*netns_);
  return run_command({"nft", "-f", "-"}, commands);
}

Result<std::vector<RuleCounter>> Nft::counters() {
  const Inside inside(*netns_);
  WEIR_TRY(text, run_command({"nft", "-j", "list", "ruleset"}));
  const auto listing = nlohmann::json::parse(text);
  std::vector<RuleCounter> counters;
  for (const auto& item : listing.at("nftables")) {
    if (!item.contains("rule")) continue;
    const auto& rule = item["rule"];
    for (const auto& expression : rule.at("expr")) {
      // "counter": {"packets": ..., "bytes": ...}; a string would name a counter object, and a map
      // lead to some.
      if (!expression.contains("counter") || !expression["counter"].contains("packets")) continue;
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

Result<std::map<std::string, std::pair<std::uint64_t, std::uint64_t>>> Nft::named_counters() {
  const Inside inside(*netns_);
  WEIR_TRY(text, run_command({"nft", "-j", "list", "counters"}));
  const auto listing = nlohmann::json::parse(text);
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> counters;
  for (const auto& item : listing.at("nftables")) {
    if (!item.contains("counter")) continue;
    const auto& counter = item["counter"];
    counters[counter.at("name")] = {counter.at("packets"), counter.at("bytes")};
  }
  return counters;
}

}  // namespace weir::test
