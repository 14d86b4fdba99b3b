// SPDX-License-Identifier: BSD-2-Clause
//
// nftables in a namespace: rulesets in, counters out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernel/support/netns.h"

namespace weir::test {

// One counter statement of a rule, as "nft list ruleset" has it.
struct RuleCounter {
  std::string family;  // "inet"
  std::string table;
  std::string chain;
  std::uint64_t handle = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  friend bool operator==(const RuleCounter&, const RuleCounter&) = default;
};

// The nft command in one namespace. A process of its own each time: libnftables has assertions that
// fail on some rulesets, when it reads them or when it lists them.
class Nft {
 public:
  explicit Nft(const Netns& netns) : netns_(&netns) {}
  // Runs commands; their output, or what nft says against them.
  [[nodiscard]] Result<std::string> run(const std::string& commands);
  // All counters in rules, in the order of the listing.
  [[nodiscard]] Result<std::vector<RuleCounter>> counters();
  // Packets and bytes of those with names, by these.
  [[nodiscard]] Result<std::map<std::string, std::pair<std::uint64_t, std::uint64_t>>>
  named_counters();

 private:
  const Netns* netns_;
};

}  // namespace weir::test
