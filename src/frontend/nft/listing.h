// SPDX-License-Identifier: BSD-2-Clause
//
// The text of each rule, out of what `nft -a list ruleset` prints.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "base/hook.h"

namespace weir::frontend::nft {

// Handles are unique in a table.
struct RuleKey {
  Family family = Family::ip;
  std::string table;
  std::uint64_t handle = 0;
  friend auto operator<=>(const RuleKey&, const RuleKey&) = default;
};

// Rule texts without their handles; a rule over several lines becomes one, joined by single spaces.
[[nodiscard]] std::map<RuleKey, std::string> rule_texts(std::string_view listing);

}  // namespace weir::frontend::nft
