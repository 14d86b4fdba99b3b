// SPDX-License-Identifier: BSD-2-Clause
//
// How the chains of a ruleset jump to one another while rules come and go, for what the kernel
// checks over all of them (nft_chain_validate() in net/netfilter/nf_tables_api.c).
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "imr/imr.h"

namespace weir::frontend::nft {

class Jumps {
 public:
  explicit Jumps(const imr::Ruleset& ruleset);
  void add(const imr::Ruleset& ruleset, const imr::Rule& rule);
  void remove(const imr::Ruleset& ruleset, const imr::Rule& rule);

  // Whether the kernel is sure to take the rules together, each of which it took by itself: no
  // circle, none too deep, and no expressions that may have no place at the hook of a chain that
  // leads to them. What is translated has its place at every hook.
  [[nodiscard]] bool sound() const;

 private:
  std::vector<std::map<imr::ChainId, std::size_t>> targets_;  // of each chain, and how many rules'
  std::size_t natives_ = 0;  // rules with what is not translated, jumps perhaps
};

[[nodiscard]] bool is_native(const imr::Rule& rule);

}  // namespace weir::frontend::nft
