// SPDX-License-Identifier: BSD-2-Clause
#include "classify/structure.h"

#include <algorithm>

#include "base/error.h"
#include "classify/bit_vectors.h"
#include "classify/decision_tree.h"
#include "classify/tuples.h"

namespace weir::classify {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::tree:
      return "tree";
    case Kind::bit_vectors:
      return "bit-vectors";
    case Kind::tuples:
      return "tuples";
  }
  throw InvariantError("kind of structure out of range");
}

std::optional<Kind> parse_kind(std::string_view text) {
  const auto found =
      std::ranges::find_if(all_kinds, [&](Kind kind) { return to_string(kind) == text; });
  if (found == all_kinds.end()) return std::nullopt;
  return *found;
}

std::unique_ptr<Structure> build(Kind kind, const RuleList& rules) {
  switch (kind) {
    case Kind::tree:
      return build_decision_tree(rules);
    case Kind::bit_vectors:
      return build_bit_vectors(rules);
    case Kind::tuples:
      return build_tuples(rules);
  }
  throw InvariantError("kind of structure out of range");
}

}  // namespace weir::classify
