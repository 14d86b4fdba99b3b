// SPDX-License-Identifier: BSD-2-Clause
#include "backend/run_tables.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "imr/identity.h"

namespace weir::backend {
namespace {

using classify::Run;
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

void write_entries(const Run& run, const TupleTables& tables, const RunTable& place, Bytes& value) {
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
      const std::uint8_t size = end_size(run.list.bits(tables.ranged[field]));
      out.put(range.first, size);
      out.put(range.last, size);
    }
  }
}

void write_actions(const imr::Ruleset& ruleset, const Run& run, const RunTable& place,
                   Bytes& value) {
  for (std::size_t i = 0; i < run.owner.size(); ++i) {
    const classify::RunRule& rule = run.rules[run.owner[i]];
    Writer out(value, row_at(place, i));
    out.put(imr::as_written(ruleset, rule.rule).value, 4);
    out.put(rule.counter.valid() ? rule.counter.value + 1 : 0, 4);
    out.put(rule.verdict == imr::Verdict::Kind::accept ? ends_with_accept
            : rule.verdict == imr::Verdict::Kind::drop ? ends_with_drop
                                                       : ends_with_return,
            4);
  }
}

}  // namespace

RunLayout run_layout(const Run& run, const TupleTables& tables) {
  RunLayout out;
  const auto place = [&](RunTable& table, std::size_t rows, std::size_t row_size) {
    table.row_size = static_cast<std::uint32_t>(std::bit_ceil(row_size));
    table.rows = static_cast<std::uint32_t>(std::bit_ceil(rows));
    table.offset = (out.size + table.row_size - 1) / table.row_size * table.row_size;
    out.size = table.offset + std::uint64_t{table.rows} * table.row_size;
  };
  std::size_t entry_size = RunLayout::entry_words + 16 * tables.words;
  for (const std::size_t field : tables.ranged) entry_size += 2U * end_size(run.list.bits(field));
  place(out.tables, tables.rows.size() + 1, RunLayout::table_masks + 8 * tables.words);
  place(out.entries, tables.entries.size() + 1, entry_size);
  place(out.actions, std::max<std::size_t>(run.owner.size(), 1), 16);
  place(out.slots, std::max<std::size_t>(tables.slots.size(), 1), 4);
  out.size = (out.size + 7) / 8 * 8;
  return out;
}

isa::MapSpec run_map(const imr::Ruleset& ruleset, const Run& run, const TupleTables& tables,
                     const RunLayout& layout, std::string name) {
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
  write_entries(run, tables, layout.entries, value);
  write_actions(ruleset, run, layout.actions, value);
  isa::MapSpec map;
  map.name = std::move(name);
  map.type = isa::MapType::array;
  map.key_size = 4;
  map.value_size = static_cast<std::uint32_t>(value.size());
  map.max_entries = 1;
  map.entries.push_back({Bytes(4, 0), std::move(value)});
  for (const classify::RunRule& rule : run.rules) {
    map.rules.push_back(imr::as_written(ruleset, rule.rule).value);
  }
  return map;
}

}  // namespace weir::backend
