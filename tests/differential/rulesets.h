// SPDX-License-Identifier: BSD-2-Clause
//
// The whole rulesets of tests/rulesets, chain by chain, at every hook where a chain can run.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "differential/subject.h"
#include "frontend/nft/scratch.h"

namespace weir::differential {

struct WholeRuleset {
  std::string name;  // "home-router"
  std::string text;
};
// In the order of their names.
[[nodiscard]] std::vector<WholeRuleset> whole_rulesets();

// The same rules with limits that are used up by a few packets, and fill up too slowly for any test
// to see, and quotas of a few packets: programs that run by the kernel's clock can be compared.
[[nodiscard]] std::string with_tight_limits(const std::string& text);

// A base chain of a ruleset by itself, at another place than it names.
struct Move {
  std::string chain;
  std::string place;  // "hook forward priority 0"
  // Its devices, and those that are there.
  std::vector<std::pair<std::string, std::string>> devices = {};
  // In place of the tables'; netdev has neither connections nor nfproto, and lacks rules with them.
  std::string family = {};
};
// The other base chains are hooked in nowhere, and named counters are such as nft lists with rules.
[[nodiscard]] std::string moved(const std::string& text, const Move& move);

// One base chain at one hook.
struct ChainAtHook {
  std::string chain;  // "inet filter input"
  Hook hook;
  std::size_t rules = 0;                           // of the chain, and of those that it reaches
  std::map<std::string, std::string> stay_native;  // rules, by handle: why
  // A drop stands in for a rule that stays native for what it is, at every hook.
  RulesetAtHook subject;
  std::shared_ptr<const driver::Compilation> compiled = {};  // where the hook serves all the rules
};
// Each base chain of type filter at the hook that it names, if that is one of weir's, and at all
// others that it can run at.
[[nodiscard]] Result<std::vector<ChainAtHook>> chains_at_hooks(
    frontend::nft::ScratchNamespace& scratch, const std::string& text);

}  // namespace weir::differential
