// SPDX-License-Identifier: BSD-2-Clause
//
// nftables in a namespace: rulesets in, counters out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernel/support/netns.h"

struct nft_ctx;

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

// libnftables on a socket of one namespace.
class Nft {
 public:
  explicit Nft(const Netns& netns);
  // Runs commands; their output, or what nft says against them.
  [[nodiscard]] Result<std::string> run(const std::string& commands);
  // All counters in rules, in the order of the listing.
  [[nodiscard]] std::vector<RuleCounter> counters();

 private:
  struct Free {
    void operator()(::nft_ctx* context) const;
  };
  const Netns* netns_;
  std::unique_ptr<::nft_ctx, Free> context_;
};

}  // namespace weir::test
