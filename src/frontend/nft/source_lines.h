// SPDX-License-Identifier: BSD-2-Clause
//
// Which line each rule of a script stands in. The kernel does not know it, so the script is scanned
// for what adds rules, without understanding rules themselves. The scan gives up on a chain, or on
// everything, wherever it cannot be sure of the order in which rules end up.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hook.h"

namespace weir::frontend::nft {

struct ChainKey {
  Family family = Family::ip;
  std::string table;
  std::string chain;
  friend auto operator<=>(const ChainKey&, const ChainKey&) = default;
};

// The places of the rules of every chain, in order; chains that are not known are left out. A
// caller must not believe a chain that has another number of rules.
[[nodiscard]] std::map<ChainKey, std::vector<SourceLocation>> rule_lines(std::string_view script,
                                                                         const std::string& file);

}  // namespace weir::frontend::nft
