// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_editor.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <variant>

#include "base/error.h"

namespace weir::backend {

using classify::RunAction;
using classify::TupleTables;

namespace {

// How far from the last rank at an end the next one is.
constexpr std::uint32_t step_at_an_end = 1024;

// Ranks of `count` rows between two others, descending; nothing where they do not fit.
std::vector<std::uint32_t> ranks_between(std::uint32_t above, std::uint32_t below,
                                         std::size_t count, bool at_front, bool at_back) {
  const std::uint64_t room = above - below - 1;
  if (above <= below || room < count) return {};
  std::uint64_t step = room / (count + 1);
  if (step == 0) step = 1;
  if (at_front || at_back) step = std::min<std::uint64_t>(step, step_at_an_end);
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t rank = at_front ? below + step * (count - i) : above - step * (i + 1);
    out.push_back(static_cast<std::uint32_t>(rank));
  }
  return out;
}

}  // namespace

RunEditor::RunEditor(const RunPlace& place, Bytes value)
    : place_(place),
      tables_(std::get<TupleTables>(place.index.structure)),
      layout_(std::get<TupleLayout>(place.layout)),
      value_(std::move(value)),
      used_shapes_(tables_.shapes.size()) {
  invariant(layout_.updatable && value_.size() == layout_.size, "a run that does not change");
  slot_of_.resize(layout_.entries.rows);
  for (std::size_t slot = 0; slot < tables_.slots.size(); ++slot) {
    std::uint32_t entry = tables_.slots[slot].entry;
    for (; entry != TupleTables::none; entry = tables_.entries[entry].next) {
      slot_of_[entry + 1] = static_cast<std::uint32_t>(slot);
    }
  }
  for (std::size_t i = 0; i < tables_.shapes.size(); ++i) {
    shapes_.emplace(tables_.shapes[i], static_cast<std::uint32_t>(i));
  }
  for (std::size_t entry = layout_.entries.rows; --entry > tables_.entries.size();) {
    free_.push_back(static_cast<std::uint32_t>(entry));
  }
}

std::uint64_t RunEditor::get(std::uint64_t offset, std::uint8_t size) const {
  if (size == 8) {
    std::uint64_t out = 0;
    std::memcpy(&out, &value_.at(offset), sizeof(out));
    return out;
  }
  std::uint32_t out = 0;
  std::memcpy(&out, &value_.at(offset), sizeof(out));
  return out;
}

void RunEditor::store(std::vector<RunStore>& to, std::uint64_t offset, std::uint64_t value,
                      std::uint8_t size) {
  if (get(offset, size) == value) return;
  RunWriter(value_, offset).put(value, size);
  to.push_back({.map = place_.map, .offset = offset, .value = value, .size = size});
}

void RunEditor::store_row(std::vector<RunStore>& to, std::uint64_t offset, const Bytes& row) {
  for (std::size_t at = 0; at < row.size(); at += 4) {
    store(to, offset + at, load_native(ByteView(row).subspan(at, 4)), 4);
  }
}

std::uint32_t RunEditor::rank_of(std::uint32_t entry) const {
  return static_cast<std::uint32_t>(get(layout_.entries.at(entry), 4));
}

std::uint32_t RunEditor::first_in(std::uint32_t slot) const {
  return static_cast<std::uint32_t>(get(layout_.slots.at(slot), 8) & (most_entries - 1));
}
std::uint32_t RunEditor::next_of(std::uint32_t entry) const {
  return static_cast<std::uint32_t>(get(layout_.entries.at(entry) + 4, 4));
}

// Behind the entries of higher ranks.
RunEditor::Spot RunEditor::place_for(std::size_t table, const Words& value,
                                     std::uint32_t rank) const {
  const TupleTables::Row& row = tables_.rows[table];
  const std::uint64_t hash = classify::tuple_hash(value, row.masks, tables_.words);
  Spot out{.table = table, .slot = row.slot_of(hash), .mark = row.mark_of(hash)};
  for (std::uint32_t entry = first_in(out.slot); entry != 0; entry = next_of(entry)) {
    if (rank_of(entry) > rank) out.before = entry;
    ++out.length;
  }
  return out;
}

// By itself: one that takes its place may have its rank.
std::uint32_t RunEditor::before(std::uint32_t entry) const {
  std::uint32_t out = 0;
  for (std::uint32_t at = first_in(slot_of_[entry]); at != entry; at = next_of(at)) {
    invariant(at != 0, "an entry that its slot does not lead to");
    out = at;
  }
  return out;
}

// Of the tables that it may stand in, that with the shortest chain for it; earlier ones first.
std::optional<RunEditor::Spot> RunEditor::choose(const Words& value,
                                                 const TupleTables::Shape& shape,
                                                 std::uint32_t rank) const {
  std::optional<Spot> best;
  for (std::size_t table = 0; table < tables_.rows.size(); ++table) {
    const TupleTables::Row& row = tables_.rows[table];
    bool fits = true;
    for (std::size_t i = 0; i < tables_.words; ++i) {
      fits = fits && (row.masks.at(i) & ~shape.masks[i]) == 0;
    }
    if (!fits) continue;
    const Spot spot = place_for(table, value, rank);
    if (spot.length >= row.longest_chain + chain_room) continue;
    if (!best || spot.length < best->length) best = spot;
  }
  return best;
}

std::optional<std::uint32_t> RunEditor::shape_number(const TupleTables::Shape& shape,
                                                     std::vector<RunStore>& to) {
  const auto known = shapes_.find(shape);
  if (known != shapes_.end()) return known->second;
  if (used_shapes_ >= layout_.shapes.rows) return std::nullopt;
  const auto number = static_cast<std::uint32_t>(used_shapes_++);
  Bytes row(layout_.shapes.row_size, 0);
  RunWriter out(row, 0);
  write_shape(place_.index.run, tables_, shape, out);
  store_row(to, layout_.shapes.at(number), row);
  shapes_.emplace(shape, number);
  return number;
}

// Its code is there already.
bool RunEditor::known_to_program(const classify::Run& rows) const {
  const auto goes_on = [](const RunAction& action) { return action.end == RunAction::End::on; };
  const auto counts = [](const RunAction& action) { return action.counter.valid(); };
  const std::vector<RunAction>& known = place_.index.run.actions;
  return (std::ranges::none_of(rows.actions, goes_on) || place_.index.goes_on()) &&
         (std::ranges::none_of(rows.actions, counts) || std::ranges::any_of(known, counts)) &&
         (!writes_marks(rows) || layout_.extras.marks) && rows.tails.empty() &&
         std::ranges::none_of(rows.actions, &RunAction::matched);
}

void RunEditor::raise_first(std::size_t table, std::uint32_t rank, std::vector<RunStore>& to) {
  // Those before it are searched first, and nothing behind them is to come before them.
  for (std::size_t i = 0; i <= table; ++i) {
    if (get(layout_.tables.at(i), 4) < rank) store(to, layout_.tables.at(i), rank, 4);
  }
}

void RunEditor::link(const Spot& spot, std::uint32_t entry, std::uint32_t rank,
                     std::vector<RunStore>& to) {
  const std::uint64_t at = layout_.slots.at(spot.slot);
  const std::uint64_t slot = get(at, 8);
  const auto marks = static_cast<std::uint8_t>(slot >> slot_marks_shift | spot.mark);
  if (spot.before == 0) {
    store(to, at, slot_number(rank, marks, entry), 8);
    return;
  }
  store(to, layout_.entries.at(spot.before) + 4, entry, 4);
  store(to, at, slot | std::uint64_t{marks} << slot_marks_shift, 8);
}

bool RunEditor::put(std::uint32_t entry, const classify::Run& rows, std::size_t row,
                    std::uint32_t rank, std::uint32_t turn, RunChange& change) {
  const auto tested = tables_.tested(rows.list[row]);
  if (!tested) return false;
  const auto spot = choose(tested->values, tested->shape, rank);
  if (!spot) return false;
  const auto shape = shape_number(tested->shape, change.before);
  if (!shape) return false;

  const RunAction& action = rows.actions[rows.action[row]];
  const RunEnd end = end_of(rows, action);
  Bytes bytes(layout_.entries.row_size, 0);
  RunWriter out(bytes, 0);
  write_entry({.rank = rank,
               .next = spot->before == 0 ? first_in(spot->slot) : next_of(spot->before),
               .end = end == RunEnd::behind ? RunEnd::on : end,
               .shape = *shape,
               .turns = turn},
              action, std::span(tested->values).first(tables_.words), out);
  store_row(change.before, layout_.entries.at(entry), bytes);
  slot_of_[entry] = spot->slot;
  link(*spot, entry, rank, change.before);
  raise_first(spot->table, rank, change.before);
  return true;
}

std::optional<RunEditor::Entries> RunEditor::insert(const classify::Run& rows, std::uint32_t behind,
                                                    std::uint32_t before, std::uint32_t turn,
                                                    RunChange& change) {
  const std::size_t count = rows.list.size();
  if (!known_to_program(rows) || free_.size() < count) return std::nullopt;
  const std::vector<std::uint32_t> ranks =
      ranks_between(behind == 0 ? 0xffffffff : rank_of(behind), before == 0 ? 0 : rank_of(before),
                    count, behind == 0, before == 0);
  if (ranks.size() != count) return std::nullopt;
  Entries out;
  for (std::size_t row = 0; row < count; ++row) {
    const std::uint32_t entry = free_.back();
    free_.pop_back();
    const RunAction& action = rows.actions[rows.action[row]];
    const bool goes_on = action.end == RunAction::End::on;
    if (goes_on && ++stops_ > stop_room) return std::nullopt;
    if (layout_.notes.rows != 0) {
      Bytes note(layout_.notes.row_size, 0);
      RunWriter to(note, 0);
      const std::uint32_t resume = goes_on ? ranks[action.resume - 1] - 1 : 0;
      write_note(layout_, action, {.resume = resume}, to);
      store_row(change.before, layout_.notes.at(entry), note);
    }
    if (!put(entry, rows, row, ranks[row], turn, change)) return std::nullopt;
    out.push_back(entry);
    coming_.push_back(entry);
  }
  return out;
}

void RunEditor::remove(std::span<const std::uint32_t> entries, std::uint32_t turn,
                       RunChange& change) {
  const std::uint32_t next_turn = run_turn_one + run_turn_other - turn;
  for (const std::uint32_t entry : entries) {
    const std::uint64_t at = layout_.entries.at(entry) + TupleLayout::entry_shape;
    store(change.before, at, get(at, 4) | next_turn, 4);
    going_.push_back(entry);
  }
}

void RunEditor::unlink(std::uint32_t entry, std::vector<RunStore>& to) {
  const std::uint32_t next = next_of(entry);
  if (const std::uint32_t link = before(entry); link != 0) {
    store(to, layout_.entries.at(link) + 4, next, 4);
    return;
  }
  const std::uint64_t at = layout_.slots.at(slot_of_[entry]);
  const auto marks = static_cast<std::uint8_t>(get(at, 8) >> slot_marks_shift);
  store(to, at, next == 0 ? 0 : slot_number(rank_of(next), marks, next), 8);
}

void RunEditor::finish(RunChange& change) {
  free_.insert(free_.end(), unlinked_.begin(), unlinked_.end());
  unlinked_ = std::exchange(going_, {});
  for (const std::uint32_t entry : unlinked_) unlink(entry, change.after);
  for (const std::uint32_t entry : std::exchange(coming_, {})) {
    const std::uint64_t at = layout_.entries.at(entry) + TupleLayout::entry_shape;
    store(change.after, at, get(at, 4) & ~(run_turn_one | run_turn_other), 4);
  }
}

bool RunEditor::holds_always(std::uint32_t entry) const {
  const std::uint64_t number =
      get(layout_.entries.at(entry) + TupleLayout::entry_shape, 4) >> shape_shift;
  std::uint64_t at = layout_.shapes.at(number);
  for (std::size_t i = 0; i < tables_.words; ++i, at += 8) {
    if (get(at, 8) != 0) return false;
  }
  for (const std::size_t field : tables_.ranged) {
    const unsigned bits = place_.index.run.list.bits(field);
    const std::uint8_t size = range_size(bits);
    if (get(at, size) != 0 || get(at + size, size) != classify::prefix_mask(bits, bits)) {
      return false;
    }
    at += 2U * size;
  }
  return true;
}

}  // namespace weir::backend
