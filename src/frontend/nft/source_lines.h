// SPDX-License-Identifier: BSD-2-Clause
//
// Where each rule of a script stands. The kernel does not know it, so the script is scanned for
// what adds rules, without understanding rules themselves. The scan gives up on a chain, or on
// everything, wherever it cannot be sure of the order in which rules end up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hook.h"

namespace weir::frontend::nft {

struct ChainKey {
  Family family = Family::ip;
  std::string table;
  std::string chain;
  friend auto operator<=>(const ChainKey&, const ChainKey&) = default;
};

struct RulePlace {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

// The bytes of the statement that makes a rule, less what ends it.
struct RuleExtent {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool adjacent = false;  // nothing but ends of statements between the rule before it and this one
};

struct ScannedScript {
  // The places of the rules of every chain, in order; chains that are not known are left out. A
  // caller must not believe a chain that has another number of rules.
  std::map<ChainKey, std::vector<RulePlace>> places;
  // Whether any of the rules can be left out and the others mean the same: see
  // frontend/nft/division.h. False where that is not certain.
  bool divisible = false;
  std::vector<RuleExtent> extents;  // all rules in order, of divisible scripts
};

[[nodiscard]] ScannedScript scan_script(std::string_view script);

}  // namespace weir::frontend::nft
