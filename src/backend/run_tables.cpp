// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_tables.h"

#include <algorithm>

namespace weir::backend {
namespace {

using classify::Run;
using classify::RunAction;
using classify::TupleTables;

void write_entries(const Run& run, const TupleTables& tables, const RunTable& place, Bytes& value) {
  for (std::size_t i = 0; i < tables.entries.size(); ++i) {
    const TupleTables::Entry& entry = tables.entries[i];
    const RunAction& action = run.actions[run.action[entry.rule]];
    RunWriter out(value, place.at(i + 1));
    out.put(first_rank - entry.rule, 4);
    out.put(entry.next == TupleTables::none ? 0 : entry.next + 1, 4);
    out.put(counter_number(action), 4);
    out.put(static_cast<std::uint32_t>(end_of(run, action)) | entry.shape << shape_shift, 4);
    for (std::size_t word = 0; word < tables.words; ++word) {
      out.put(tables.values[i * tables.words + word], 8);
    }
  }
}

void write_shapes(const Run& run, const TupleTables& tables, const RunTable& place, Bytes& value) {
  for (std::size_t i = 0; i < tables.shapes.size(); ++i) {
    const TupleTables::Shape& shape = tables.shapes[i];
    RunWriter out(value, place.at(i));
    for (const std::uint64_t mask : shape.masks) out.put(mask, 8);
    for (std::size_t field = 0; field < tables.ranged.size(); ++field) {
      const std::uint8_t size = range_size(run.list.bits(tables.ranged[field]));
      out.put(shape.ranges[field].first, size);
      out.put(shape.ranges[field].last - shape.ranges[field].first, size);
    }
  }
}

void write_notes(const imr::Ruleset& ruleset, const Run& run, const RunTable& place, Bytes& value) {
  for (std::size_t i = 0; i < run.action.size(); ++i) {
    const RunAction& action = run.actions[run.action[i]];
    RunWriter out(value, place.at(i));
    out.put(trace_entry(ruleset, action), 4);
    out.put(first_rank - action.resume, 4);
  }
}

// Whether notes are needed.
bool has_notes(const Run& run) {
  return std::ranges::any_of(run.actions, [](const RunAction& action) {
    return action.matched || action.end == RunAction::End::on;
  });
}

}  // namespace

TupleLayout tuple_layout(const Run& run, const TupleTables& tables) {
  TupleLayout out;
  std::size_t shape_size = 8 * tables.words;
  for (const std::size_t field : tables.ranged) {
    shape_size += 2U * range_size(run.list.bits(field));
  }
  invariant(tables.entries.size() < most_entries, "more rules than a slot can tell");
  out.tables = run_table(out.size, tables.rows.size(), TupleLayout::table_masks + 8 * tables.words);
  out.shapes = run_table(out.size, tables.shapes.size(), shape_size);
  out.slots = run_table(out.size, tables.slots.size(), 8);
  out.entries =
      run_table(out.size, tables.entries.size() + 1, TupleLayout::entry_words + 8 * tables.words);
  if (has_notes(run)) out.notes = run_table(out.size, run.action.size(), 8);
  return out;
}

Bytes tuple_bytes(const imr::Ruleset& ruleset, const Run& run, const TupleTables& tables,
                  const TupleLayout& layout) {
  Bytes value(layout.size, 0);
  for (std::size_t i = 0; i < tables.rows.size(); ++i) {
    const TupleTables::Row& row = tables.rows[i];
    RunWriter out(value, layout.tables.at(i));
    out.put(first_rank - row.first_rule, 4);
    out.put(0, 4);
    for (std::size_t word = 0; word < tables.words; ++word) out.put(row.masks.at(word), 8);
  }
  for (std::size_t i = 0; i < tables.slots.size(); ++i) {
    const TupleTables::Slot& slot = tables.slots[i];
    if (slot.entry == TupleTables::none) continue;
    const std::uint64_t rank = first_rank - tables.entries[slot.entry].rule;
    const std::uint64_t marks = slot.marks;
    RunWriter(value, layout.slots.at(i))
        .put(rank << 32U | marks << slot_marks_shift | (slot.entry + 1), 8);
  }
  write_shapes(run, tables, layout.shapes, value);
  write_entries(run, tables, layout.entries, value);
  if (layout.notes.rows != 0) write_notes(ruleset, run, layout.notes, value);
  return value;
}

}  // namespace weir::backend
