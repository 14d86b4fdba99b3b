// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_tables.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "imr/identity.h"

namespace weir::backend {
namespace {

using classify::Run;
using classify::RunAction;
using classify::RunIndex;
using classify::TupleTables;

// Writes numbers into the value at a place.
class Writer {
 public:
  Writer(Bytes& value, std::uint64_t at) : value_(value), at_(at) {}

  void put(std::uint64_t number, std::size_t size) {
    const Bytes bytes = native_bytes(number, size);
    std::ranges::copy(bytes, value_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ += size;
  }

 private:
  Bytes& value_;
  std::uint64_t at_;
};

std::uint64_t row_at(const RunTable& table, std::size_t row) {
  return table.offset + std::uint64_t{table.row_size} * row;
}

void write_entries(const RunIndex& index, const RunTable& place, Bytes& value) {
  const TupleTables& tables = index.tables;
  for (std::size_t i = 0; i < tables.entries.size(); ++i) {
    const TupleTables::Entry& entry = tables.entries[i];
    Writer out(value, row_at(place, i + 1));
    out.put(first_rank - entry.rule, 4);
    out.put(entry.next == TupleTables::none ? 0 : entry.next + 1, 4);
    for (std::size_t word = 0; word < tables.words; ++word) {
      out.put(tables.values[i * tables.words + word], 8);
    }
    for (std::size_t word = 0; word < tables.words; ++word) {
      out.put(tables.masks[i * tables.words + word], 8);
    }
    for (std::size_t field = 0; field < tables.ranged.size(); ++field) {
      const classify::Range& range = tables.ranges[i * tables.ranged.size() + field];
      const std::uint8_t size = end_size(index.run.list.bits(tables.ranged[field]));
      out.put(range.first, size);
      out.put(range.last, size);
    }
  }
}

RunEnd end_of(const RunAction& action, std::size_t rules) {
  switch (action.end) {
    case RunAction::End::accept:
      return RunEnd::accept;
    case RunAction::End::drop:
      return RunEnd::drop;
    case RunAction::End::leave:
      return RunEnd::leave;
    case RunAction::End::on:
      return action.resume < rules ? RunEnd::on : RunEnd::behind;
  }
  throw InvariantError("end of a rule out of range");
}

std::uint32_t trace_entry(const imr::Ruleset& ruleset, const RunAction& action) {
  if (!action.matched) return run_untraced;
  const bool decides = action.end == RunAction::End::accept || action.end == RunAction::End::drop;
  return static_cast<std::uint32_t>(imr::as_written(ruleset, action.rule).value) |
         (decides ? trace_decided : 0);
}

void write_actions(const imr::Ruleset& ruleset, const Run& run, const RunTable& place,
                   Bytes& value) {
  for (std::size_t i = 0; i < run.action.size(); ++i) {
    const RunAction& action = run.actions[run.action[i]];
    Writer out(value, row_at(place, i));
    out.put(trace_entry(ruleset, action), 4);
    out.put(action.counter.valid() ? action.counter.value + 1 : 0, 4);
    out.put(static_cast<std::uint32_t>(end_of(action, run.action.size())), 4);
    out.put(first_rank - action.resume, 4);
  }
}

}  // namespace

std::span<const imr::RuleId> run_at(const imr::Ruleset& ruleset,
                                    std::span<const imr::RuleId> rules) {
  const std::uint32_t number = ruleset[rules.front()].run;
  std::size_t size = 1;
  while (number != 0 && size < rules.size() && ruleset[rules[size]].run == number) ++size;
  return rules.first(size);
}

RunLayout run_layout(const RunIndex& index) {
  const TupleTables& tables = index.tables;
  RunLayout out;
  const auto place = [&](RunTable& table, std::size_t rows, std::size_t row_size) {
    table.row_size = static_cast<std::uint32_t>(std::bit_ceil(row_size));
    table.rows = static_cast<std::uint32_t>(std::bit_ceil(rows));
    table.offset = (out.size + table.row_size - 1) / table.row_size * table.row_size;
    out.size = table.offset + std::uint64_t{table.rows} * table.row_size;
  };
  std::size_t entry_size = RunLayout::entry_words + 16 * tables.words;
  for (const std::size_t field : tables.ranged)
    entry_size += 2U * end_size(index.run.list.bits(field));
  place(out.tables, tables.rows.size() + 1, RunLayout::table_masks + 8 * tables.words);
  place(out.entries, tables.entries.size() + 1, entry_size);
  place(out.actions, std::max<std::size_t>(index.run.action.size(), 1), 16);
  place(out.slots, std::max<std::size_t>(tables.slots.size(), 1), 4);
  out.size = (out.size + 7) / 8 * 8;
  return out;
}

isa::MapSpec run_map(const imr::Ruleset& ruleset, const RunIndex& index, const RunLayout& layout,
                     std::string name) {
  const TupleTables& tables = index.tables;
  Bytes value(layout.size, 0);
  for (std::size_t i = 0; i < tables.rows.size(); ++i) {
    const TupleTables::Row& row = tables.rows[i];
    Writer out(value, row_at(layout.tables, i));
    out.put(first_rank - row.first_rule, 4);
    out.put(row.first_slot, 4);
    out.put(row.slot_mask, 4);
    out.put(0, 4);
    for (std::size_t word = 0; word < tables.words; ++word) out.put(row.masks.at(word), 8);
  }
  for (std::size_t i = 0; i < tables.slots.size(); ++i) {
    const std::uint32_t entry = tables.slots[i];
    Writer(value, row_at(layout.slots, i)).put(entry == TupleTables::none ? 0 : entry + 1, 4);
  }
  write_entries(index, layout.entries, value);
  write_actions(ruleset, index.run, layout.actions, value);
  isa::MapSpec map;
  map.name = std::move(name);
  map.type = isa::MapType::array;
  map.key_size = 4;
  map.value_size = static_cast<std::uint32_t>(value.size());
  map.max_entries = 1;
  map.entries.push_back({Bytes(4, 0), std::move(value)});
  for (const imr::RuleId rule : index.run.rules) {
    map.rules.push_back(imr::as_written(ruleset, rule).value);
  }
  return map;
}

}  // namespace weir::backend
