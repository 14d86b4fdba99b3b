// SPDX-License-Identifier: BSD-2-Clause
//
// A generated nft script that still knows its parts, so that a failing one can be made smaller.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/hook.h"

namespace weir::differential {

struct Script {
  struct Set {
    std::string name;
    std::string definition;  // "set s1 { ... }" or "map s1 { ... }"
  };
  struct Chain {
    std::string name;
    std::string base;  // "type filter hook ...;" of base chains, else empty
    std::vector<std::string> rules;
  };
  struct Table {
    Family family = Family::inet;
    std::string name;
    std::vector<Set> sets;
    std::vector<Chain> chains;
  };
  std::vector<Table> tables;

  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::size_t rules() const;
  // Without rules [from, to) (counted over the whole script), nor any set, user chain or empty base
  // chain that is then of no use.
  [[nodiscard]] Script without(std::size_t from, std::size_t to) const;
};

}  // namespace weir::differential
