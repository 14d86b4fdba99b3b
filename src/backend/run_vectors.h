// SPDX-License-Identifier: BSD-2-Clause
//
// The value classes and bit vectors of a run of rules (classify/bit_vectors.h), and what the rules
// do, as bytes of a map's value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/run_map.h"
#include "base/bytes.h"
#include "classify/bit_vectors.h"
#include "classify/runs.h"

namespace weir::backend {

struct VectorLayout {
  struct Field {
    RunTable starts;   // {first value of the class (8)}, behind the last class
                       // the highest number
    RunTable vectors;  // {a vector} of each row of `starts`
  };
  std::vector<Field> fields;
  // {which bit of a word it is (1)} by the upper bits of that bit alone times `factor`
  RunTable bits;
  static constexpr std::uint64_t factor = 0x03f79d71b4cb0a89;
  static constexpr unsigned factor_shift = 58;
  // Of each rule of the list: {its counter's number and 1 or 0 (4), a RunEnd (4), the entry that it
  // leaves in a trace or run_untraced (4), the rule from which on the search goes on (4), extras}
  RunTable actions;
  static constexpr std::uint64_t action_extras = 16;
  RunExtras extras;
  std::uint64_t size = 0;  // bytes
};

[[nodiscard]] VectorLayout vector_layout(const classify::Run& run,
                                         const classify::BitVectors& vectors);
[[nodiscard]] Bytes vector_bytes(const imr::Ruleset& ruleset, const classify::Run& run,
                                 const classify::BitVectors& vectors, const VectorLayout& layout);

}  // namespace weir::backend
