// SPDX-License-Identifier: BSD-2-Clause
#include "classify/structure.h"

#include "base/error.h"
#include "classify/bit_vectors.h"
#include "classify/tuples.h"

namespace weir::classify {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::bit_vectors:
      return "bit-vectors";
    case Kind::tuples:
      return "tuples";
  }
  throw InvariantError("kind of structure out of range");
}

std::unique_ptr<Structure> build(Kind kind, const RuleList& rules) {
  switch (kind) {
    case Kind::bit_vectors:
      return build_bit_vectors(rules);
    case Kind::tuples:
      return build_tuples(rules);
  }
  throw InvariantError("kind of structure out of range");
}

}  // namespace weir::classify
