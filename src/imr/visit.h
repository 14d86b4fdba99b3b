// SPDX-License-Identifier: BSD-2-Clause
//
// Exhaustive visits of the variants in imr.h: one lambda an alternative, and a forgotten
// alternative does not compile.
#pragma once

#include <utility>
#include <variant>

namespace weir::imr {

template <typename... Lambdas>
struct Overloaded : Lambdas... {
  using Lambdas::operator()...;
};
template <typename... Lambdas>
Overloaded(Lambdas...) -> Overloaded<Lambdas...>;

template <typename Variant, typename... Lambdas>
decltype(auto) match_on(Variant&& variant, Lambdas&&... lambdas) {
  return std::visit(Overloaded{std::forward<Lambdas>(lambdas)...}, std::forward<Variant>(variant));
}

}  // namespace weir::imr
