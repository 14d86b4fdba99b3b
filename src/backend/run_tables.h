// SPDX-License-Identifier: BSD-2-Clause
//
// The merged tuples of a run of rules (classify/tuples.h), and what the rules do, as bytes of a
// map's value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/run_map.h"
#include "base/bytes.h"
#include "classify/runs.h"
#include "classify/tuples.h"

namespace weir::backend {

// Rules of the list are told by their rank, of which the earlier rule has the higher one; 0 is
// none. Where rules may come later (backend/run_editor.h), there is room between ranks, and most of
// it at both ends.
struct RunRanks {
  std::uint32_t first = 0xffffffff;
  std::uint32_t step = 1;
  [[nodiscard]] std::uint32_t of(std::uint32_t rule) const { return first - rule * step; }
};
[[nodiscard]] RunRanks run_ranks(std::size_t rules, bool updatable);
// What may come in place: entries more in a slot, rules behind which a packet goes on.
constexpr std::size_t chain_room = 16;
constexpr std::size_t stop_room = 16;

// Of a slot's number: the entry in its lower bits, and behind them the marks of its keys.
constexpr unsigned slot_marks_shift = 24;
constexpr std::uint32_t most_entries = 1U << slot_marks_shift;

// The number that stands in a slot.
[[nodiscard]] constexpr std::uint64_t slot_number(std::uint32_t rank, std::uint8_t marks,
                                                  std::uint32_t entry) {
  return std::uint64_t{rank} << 32U | std::uint64_t{marks} << slot_marks_shift | entry;
}

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
  // 1 or 0 (4), a RunEnd with the shape behind it (4), values of the words (8)}. Where rules may
  // change, those that are not in force at a turn have its bit beside the RunEnd.
  RunTable entries;
  static constexpr std::uint64_t entry_action = 8;
  static constexpr std::uint64_t entry_shape = 12;
  static constexpr std::uint64_t entry_words = 16;
  // Of each entry, where programs are traced, go on, write marks or have tails: {what it leaves in
  // a trace, or run_untraced (4), the rank from which on the search goes on (4), extras}
  RunTable notes;
  static constexpr std::uint64_t note_extras = 8;
  RunExtras extras;
  RunRanks ranks;
  bool updatable = false;
  std::uint64_t size = 0;  // bytes
};
// Its rows, each written from its beginning on.
struct TupleEntry {
  std::uint32_t rank = 0;
  std::uint32_t next = 0;
  RunEnd end = RunEnd::accept;
  std::uint32_t shape = 0;
  std::uint32_t turns = 0;  // at which it is not in force: of run_turn_one and run_turn_other
};
void write_entry(const TupleEntry& entry, const classify::RunAction& action,
                 std::span<const std::uint64_t> values, RunWriter& out);
void write_shape(const classify::Run& run, const classify::TupleTables& tables,
                 const classify::TupleTables::Shape& shape, RunWriter& out);
struct TupleNote {
  std::uint32_t trace = run_untraced;
  std::uint32_t resume = 0;  // the rank from which on the search goes on
  TailNumbers tail = {};     // with such a rank
};
void write_note(const TupleLayout& layout, const classify::RunAction& action, const TupleNote& note,
                RunWriter& out);

// `updatable`: rules may come and go in place, which takes room.
[[nodiscard]] TupleLayout tuple_layout(const classify::Run& run,
                                       const classify::TupleTables& tables, bool updatable);
[[nodiscard]] Bytes tuple_bytes(const imr::Ruleset& ruleset, const classify::Run& run,
                                const classify::TupleTables& tables, const TupleLayout& layout);

// Bytes of each number of a field's range in a shape.
[[nodiscard]] constexpr std::uint8_t range_size(unsigned field_bits) {
  return field_bits > 32 ? 8 : 4;
}

}  // namespace weir::backend
