// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_tables.h"

#include <algorithm>

namespace weir::backend {
namespace {

using classify::Run;
using classify::RunAction;
using classify::TupleTables;

void write_entries(const Run& run, const TupleTables& tables, const TupleLayout& layout,
                   Bytes& value) {
  for (std::size_t i = 0; i < tables.entries.size(); ++i) {
    const TupleTables::Entry& entry = tables.entries[i];
    const RunAction& action = run.actions[run.action[entry.rule]];
    // Other rules may come behind the last one.
    RunEnd end = end_of(run, action);
    if (end == RunEnd::behind && layout.updatable) end = RunEnd::on;
    RunWriter out(value, layout.entries.at(i + 1));
    write_entry({.rank = layout.ranks.of(entry.rule),
                 .next = entry.next == TupleTables::none ? 0 : entry.next + 1,
                 .end = end,
                 .shape = entry.shape},
                action, std::span(tables.values).subspan(i * tables.words, tables.words), out);
  }
}

// The search goes on behind the last rule before the one that the action says.
void write_notes(const imr::Ruleset& ruleset, const Run& run, const TupleTables& tables,
                 const TupleLayout& layout, Bytes& value) {
  for (std::size_t i = 0; i < tables.entries.size(); ++i) {
    const RunAction& action = run.actions[run.action[tables.entries[i].rule]];
    RunWriter out(value, layout.notes.at(i + 1));
    const auto from = [&](std::uint32_t rule) {
      return rule == 0 ? layout.ranks.first : layout.ranks.of(rule - 1) - 1;
    };
    TailNumbers tail = tail_numbers(ruleset, action);
    const bool last = tail.otherwise >= run.list.size() && !layout.updatable;
    tail.otherwise = last ? 0 : from(tail.otherwise);
    write_note(layout, action,
               {.trace = trace_entry(ruleset, action), .resume = from(action.resume), .tail = tail},
               out);
  }
}

// Whether notes are needed.
bool has_notes(const Run& run) {
  return std::ranges::any_of(run.actions, [](const RunAction& action) {
    return action.matched || action.mark || action.tail || action.may_go_on();
  });
}

}  // namespace

void write_entry(const TupleEntry& entry, const RunAction& action,
                 std::span<const std::uint64_t> values, RunWriter& out) {
  out.put(entry.rank, 4);
  out.put(entry.next, 4);
  out.put(counter_number(action), 4);
  out.put(static_cast<std::uint32_t>(entry.end) | entry.turns | entry.shape << shape_shift, 4);
  for (const std::uint64_t one : values) out.put(one, 8);
}

void write_shape(const Run& run, const TupleTables& tables, const TupleTables::Shape& shape,
                 RunWriter& out) {
  for (const std::uint64_t mask : shape.masks) out.put(mask, 8);
  for (std::size_t field = 0; field < tables.ranged.size(); ++field) {
    const std::uint8_t size = range_size(run.list.bits(tables.ranged[field]));
    out.put(shape.ranges[field].first, size);
    out.put(shape.ranges[field].last - shape.ranges[field].first, size);
  }
}

void write_note(const TupleLayout& layout, const RunAction& action, const TupleNote& note,
                RunWriter& out) {
  out.put(note.trace, 4);
  out.put(note.resume, 4);
  write_extras(layout.extras, action, note.tail, out);
}

RunRanks run_ranks(std::size_t rules, bool updatable) {
  if (!updatable) return {};
  constexpr std::uint32_t at_an_end = 1U << 30U;
  return {.first = 0xffffffff - at_an_end,
          .step = static_cast<std::uint32_t>((2ULL << 30U) / (rules + 1))};
}

TupleLayout tuple_layout(const Run& run, const TupleTables& tables, bool updatable) {
  TupleLayout out;
  out.updatable = updatable;
  out.ranks = run_ranks(run.list.size(), updatable);
  std::size_t shape_size = 8 * tables.words;
  for (const std::size_t field : tables.ranged) {
    shape_size += 2U * range_size(run.list.bits(field));
  }
  const auto with_room = [&](std::size_t rows) { return updatable ? rows + rows / 8 + 64 : rows; };
  const std::size_t entries = with_room(tables.entries.size()) + 1;
  invariant(entries <= most_entries, "more rules than a slot can tell");
  out.tables = run_table(out.size, tables.rows.size(), TupleLayout::table_masks + 8 * tables.words);
  out.shapes = run_table(out.size, with_room(tables.shapes.size()), shape_size);
  out.slots = run_table(out.size, tables.slots.size(), 8);
  out.entries = run_table(out.size, entries, TupleLayout::entry_words + 8 * tables.words);
  out.extras = extras_of(run);
  if (has_notes(run)) {
    out.notes = run_table(out.size, entries, TupleLayout::note_extras + out.extras.size());
  }
  return out;
}

Bytes tuple_bytes(const imr::Ruleset& ruleset, const Run& run, const TupleTables& tables,
                  const TupleLayout& layout) {
  Bytes value(layout.size, 0);
  for (std::size_t i = 0; i < tables.rows.size(); ++i) {
    const TupleTables::Row& row = tables.rows[i];
    RunWriter out(value, layout.tables.at(i));
    out.put(row.first_rule == TupleTables::none ? 0 : layout.ranks.of(row.first_rule), 4);
    out.put(0, 4);
    for (std::size_t word = 0; word < tables.words; ++word) out.put(row.masks.at(word), 8);
  }
  for (std::size_t i = 0; i < tables.slots.size(); ++i) {
    const TupleTables::Slot& slot = tables.slots[i];
    if (slot.entry == TupleTables::none) continue;
    const std::uint32_t rank = layout.ranks.of(tables.entries[slot.entry].rule);
    RunWriter(value, layout.slots.at(i)).put(slot_number(rank, slot.marks, slot.entry + 1), 8);
  }
  for (std::size_t i = 0; i < tables.shapes.size(); ++i) {
    RunWriter out(value, layout.shapes.at(i));
    write_shape(run, tables, tables.shapes[i], out);
  }
  write_entries(run, tables, layout, value);
  if (layout.notes.rows != 0) write_notes(ruleset, run, tables, layout, value);
  return value;
}

}  // namespace weir::backend
