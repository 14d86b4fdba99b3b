// SPDX-License-Identifier: BSD-2-Clause
//
// What a search in a run of rules (classify/runs.h) reads, as bytes of one map's value: the tables
// of classify/tuples.h, and what the rules do. Numbers are native.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "classify/run_index.h"
#include "isa/program.h"

namespace weir::backend {

// Rows in the map's value.
struct RunTable {
  std::uint64_t offset = 0;    // of the first one
  std::uint32_t rows = 0;      // a power of two
  std::uint32_t row_size = 0;  // bytes, a power of two
};

// Rules of the list are told by their rank: the number that first_rank has for the first one, one
// less for each that follows. So 0 is none, and of two the higher one decides.
constexpr std::uint32_t first_rank = 0xffffffff;

struct RunLayout {
  // {the rank of its first rule (4), first slot (4), slots less one (4), 0 (4), a mask for each
  // word of a key (8)}; behind the last one rows of zeros.
  RunTable tables;
  static constexpr std::uint64_t table_masks = 16;
  // {entry or 0 (4)}
  RunTable slots;
  // From 1 on: {rank (4), the next entry of the slot or 0 (4), values of the words (8), their
  // masks (8), the first and the last value of each field that is ranged (4, or 8 of fields of
  // more than 32 bits)}
  RunTable entries;
  static constexpr std::uint64_t entry_words = 8;
  // Of each rule of the list: {the entry that it leaves in a trace or run_untraced (4), its
  // counter's number and 1 or 0 (4), a RunEnd (4), the rank from which on the search goes on (4)}
  RunTable actions;
  std::uint64_t size = 0;  // bytes
};
enum class RunEnd : std::uint32_t {
  accept,
  drop,
  leave,   // the chain that the run stands in
  on,      // with the search
  behind,  // to what follows the run
};
constexpr std::uint32_t run_untraced = 0xffffffff;

// Marks of trace entries; their meaning is told at driver::trace_capacity.
constexpr std::uint32_t trace_decided = 0x80000000;
constexpr std::uint32_t trace_policy = 0xffffffff;

// The rules at the beginning of a part of a chain that are one run, or the first one.
[[nodiscard]] std::span<const imr::RuleId> run_at(const imr::Ruleset& ruleset,
                                                  std::span<const imr::RuleId> rules);

[[nodiscard]] RunLayout run_layout(const classify::RunIndex& index);
[[nodiscard]] isa::MapSpec run_map(const imr::Ruleset& ruleset, const classify::RunIndex& index,
                                   const RunLayout& layout, std::string name);

// Bytes of each end of the range of a field in an entry.
[[nodiscard]] constexpr std::uint8_t end_size(unsigned field_bits) {
  return field_bits > 32 ? 8 : 4;
}

}  // namespace weir::backend
