// SPDX-License-Identifier: BSD-2-Clause
//
// A script with many rules, in parts: each is the whole script with some of the rules, and has the
// meaning that these rules have in it. What libnftables needs of memory, and what the kernel takes
// to list a ruleset, are then those of a part: __nf_tables_dump_rules() in
// net/netfilter/nf_tables_api.c walks all rules anew for each message of some 45 rules.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/nft/source_lines.h"

namespace weir::frontend::nft {

// Rules of a part at least.
constexpr std::size_t least_rules_of_part = 4096;

class Division {
 public:
  // Both stay with the caller.
  Division(std::string_view script, const std::vector<RuleExtent>& rules);

  // 1 where it is not worth it.
  [[nodiscard]] std::size_t parts() const { return parts_; }
  [[nodiscard]] std::string part(std::size_t index) const {
    return with_rules(first(index), last(index));
  }
  [[nodiscard]] std::string without_rules() const { return with_rules(0, 0); }
  [[nodiscard]] std::size_t rules_in(std::size_t index) const { return last(index) - first(index); }

 private:
  struct Run {
    std::size_t first;  // rules that follow one another, with nothing between them
    std::size_t last;
  };
  // The script with these of its rules.
  [[nodiscard]] std::string with_rules(std::size_t first, std::size_t last) const;
  [[nodiscard]] std::size_t first(std::size_t index) const;
  [[nodiscard]] std::size_t last(std::size_t index) const { return first(index + 1); }

  std::string_view script_;
  const std::vector<RuleExtent>& rules_;
  std::vector<Run> runs_;
  std::size_t parts_ = 1;
};

}  // namespace weir::frontend::nft
