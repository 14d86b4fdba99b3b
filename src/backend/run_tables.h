// SPDX-License-Identifier: BSD-2-Clause
//
// The merged tuples of a run of rules (classify/tuples.h), and what the rules do, as bytes of a
// map's value.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/run_map.h"
#include "base/bytes.h"
#include "classify/runs.h"
#include "classify/tuples.h"

namespace weir::backend {

// Rules of the list are told by their rank: the number that first_rank has for the first one, one
// less for each that follows. So 0 is none, and of two the higher one decides.
constexpr std::uint32_t first_rank = 0xffffffff;

// Of a slot's number: the entry in its lower bits, and behind them the marks of its keys.
constexpr unsigned slot_marks_shift = 24;
constexpr std::uint32_t most_entries = 1U << slot_marks_shift;

struct TupleLayout {
  // {the rank of its first rule (4), 0 (4), a mask for each word of a key (8)}
  RunTable tables;
  static constexpr std::uint64_t table_masks = 8;
  // {masks of the words (8), of each field that is ranged the first value and how far it is to the
  // last one (4, or 8 of fields of more than 32 bits)}
  RunTable shapes;
  // One number of 8 bytes: the rank of the first entry in its upper half, marks and entry in the
  // lower one; or 0
  RunTable slots;
  // From 1 on: {rank (4), the next entry of the slot or 0 (4), the number of the rule's counter and
  // 1 or 0 (4), a RunEnd with the shape behind it (4), values of the words (8)}
  RunTable entries;
  static constexpr std::uint64_t entry_action = 8;
  static constexpr std::uint64_t entry_shape = 12;
  static constexpr std::uint64_t entry_words = 16;
  // Of each rule of the list, where programs are traced or go on: {the entry that it leaves in a
  // trace or run_untraced (4), the rank from which on the search goes on (4)}
  RunTable notes;
  std::uint64_t size = 0;  // bytes
};
[[nodiscard]] TupleLayout tuple_layout(const classify::Run& run,
                                       const classify::TupleTables& tables);
[[nodiscard]] Bytes tuple_bytes(const imr::Ruleset& ruleset, const classify::Run& run,
                                const classify::TupleTables& tables, const TupleLayout& layout);

// Bytes of each number of a field's range in a shape.
[[nodiscard]] constexpr std::uint8_t range_size(unsigned field_bits) {
  return field_bits > 32 ? 8 : 4;
}

}  // namespace weir::backend
