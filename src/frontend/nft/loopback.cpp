// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/loopback.h"

#include <algorithm>
#include <variant>

namespace weir::frontend::nft {

bool names_loopback(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  const Bytes index = native_bytes(loopback_index, 4);
  return std::ranges::any_of(rule.statements, [&](const imr::Statement& statement) {
    const auto* match = std::get_if<imr::Match>(&statement);
    if (match == nullptr || match->rhs != index) return false;
    const auto* meta = std::get_if<imr::Meta>(&ruleset[match->lhs]);
    return meta != nullptr && (meta->key == imr::MetaKey::iif || meta->key == imr::MetaKey::oif);
  });
}

bool names_loopback(const imr::Set& set) {
  const Bytes index = native_bytes(loopback_index, 4);
  return set.key_type == "iface_index" &&
         std::ranges::any_of(set.elements,
                             [&](const imr::Element& element) { return element.key == index; });
}

}  // namespace weir::frontend::nft
