// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/interface_index.h"

#include <algorithm>
#include <variant>

namespace weir::frontend::nft {
namespace {

bool is_device(const imr::Ruleset& ruleset, imr::ExprId expr) {
  const auto* meta = std::get_if<imr::Meta>(&ruleset[expr]);
  return meta != nullptr && (meta->key == imr::MetaKey::iif || meta->key == imr::MetaKey::oif);
}

bool is_constant(const imr::Ruleset& ruleset, imr::ExprId expr, const Bytes& value) {
  const auto* constant = std::get_if<imr::Immediate>(&ruleset[expr]);
  return constant != nullptr && constant->value == value;
}

}  // namespace

bool names_interface(const imr::Ruleset& ruleset, const imr::Rule& rule, std::uint32_t index) {
  const Bytes wanted = native_bytes(index, 4);
  return std::ranges::any_of(rule.statements, [&](const imr::Statement& statement) {
    if (const auto* match = std::get_if<imr::Match>(&statement)) {
      return match->rhs == wanted && is_device(ruleset, match->lhs);
    }
    if (const auto* forward = std::get_if<imr::Forward>(&statement)) {
      return is_constant(ruleset, forward->device, wanted);
    }
    const auto* duplicate = std::get_if<imr::Duplicate>(&statement);
    return duplicate != nullptr && is_constant(ruleset, duplicate->device, wanted);
  });
}

bool names_interface(const imr::Set& set, std::uint32_t index) {
  constexpr const char* type = "iface_index";
  const Bytes wanted = native_bytes(index, 4);
  return std::ranges::any_of(set.elements, [&](const imr::Element& element) {
    return (set.key_type == type && element.key == wanted) ||
           (set.data_type == type && element.data == wanted);
  });
}

bool names_interface(const imr::Ruleset& ruleset, std::uint32_t index) {
  return std::ranges::any_of(
             ruleset.rules,
             [&](const imr::Rule& rule) { return names_interface(ruleset, rule, index); }) ||
         std::ranges::any_of(ruleset.sets,
                             [&](const imr::Set& set) { return names_interface(set, index); });
}

}  // namespace weir::frontend::nft
