// SPDX-License-Identifier: BSD-2-Clause
//
// What elements of dynamic sets keep, as nf_tables says it: of a set, of an element, or of a rule
// that makes elements.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "frontend/nft/netlink.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// Statements and what they hold: the words of imr/dynamic_sets.h. `reason` is not empty where one
// of them is not translated.
struct ElementState {
  std::vector<imr::ElementStatement> statements;
  std::vector<std::uint64_t> held;
  std::string reason;
};
[[nodiscard]] ElementState state_of(const nftnl_set* set);
[[nodiscard]] ElementState state_of(nftnl_set_elem* element);
[[nodiscard]] ElementState state_of_rule(const nftnl_expr* dynset);

// Makes the statements of an element those of the set, where it is the first, or finds that they
// are the same; a reason where they are not. What it holds beyond what a new one would is left.
[[nodiscard]] std::string take_element(imr::Dynamics& dynamics, bool first, ElementState& state);

// In the kernel each element has the statements of whoever made it. In a program all those of a set
// have the same ones: what the set says, or else its first element or the first rule that makes
// any.
struct DynamicSets {
  std::set<imr::SetId> own;      // whose statements are the set's
  std::set<imr::SetId> settled;  // whose statements are known by an element or a rule
  // Of a rule that makes elements: why it cannot; empty where it can.
  [[nodiscard]] std::string settle(imr::Set& set, imr::SetId id, const ElementState& made);
  // The same of one that only takes elements away.
  [[nodiscard]] static std::string settle(imr::Set& set);
};

}  // namespace weir::frontend::nft
