// SPDX-License-Identifier: BSD-2-Clause
//
// Expressions of a ruleset, each once: a hundred thousand rules look at the same few values.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "imr/imr.h"

namespace weir::frontend::nft {

class ExpressionPool {
 public:
  ExpressionPool() = default;
  // With those that the ruleset has.
  explicit ExpressionPool(const imr::Ruleset& ruleset);
  // Of a ruleset that gets its expressions from here alone.
  imr::ExprId add(imr::Ruleset& ruleset, imr::Expr expr);
  // Takes those behind the first `count` back.
  void shrink(imr::Ruleset& ruleset, std::size_t count);

 private:
  std::unordered_multimap<std::size_t, imr::ExprId> by_hash_;
};

}  // namespace weir::frontend::nft
