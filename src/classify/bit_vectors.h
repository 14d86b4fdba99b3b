// SPDX-License-Identifier: BSD-2-Clause
//
// Value classes and bit vectors: each field's values fall into classes that no rule tells apart; of
// each class it is known which rules it may meet, a bit a rule. The rules that a key meets are
// those whose bits are set for all of its fields (T. V. Lakshman, D. Stiliadis, "High-Speed
// Policy-Based Packet Forwarding Using Efficient Multi-Dimensional Range Matching", SIGCOMM 1998).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "classify/structure.h"

namespace weir::classify {

struct BitVectors {
  struct Field {
    std::vector<std::uint64_t> starts;   // of the classes, ascending, the first one is 0
    std::vector<std::uint64_t> vectors;  // of each class `words` words; the lowest bit comes first
  };
  std::vector<Field> fields;
  std::size_t words = 0;  // of a vector: a bit for each rule

  // As Structure says them.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] double cost() const;
};

// Nothing where they would be too large.
[[nodiscard]] std::optional<BitVectors> make_bit_vectors(const RuleList& rules);

[[nodiscard]] std::unique_ptr<Structure> build_bit_vectors(const RuleList& rules);

}  // namespace weir::classify
