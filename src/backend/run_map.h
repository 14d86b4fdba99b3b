// SPDX-License-Identifier: BSD-2-Clause
//
// What the maps have in common that runs of rules (classify/runs.h) are searched in, and what a
// program learns there of a rule. Such a map has one value; numbers in it are native.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "classify/runs.h"
#include "isa/program.h"

namespace weir::backend {

// Rows in the map's value.
struct RunTable {
  std::uint64_t offset = 0;    // of the first one
  std::uint32_t rows = 0;      // a power of two
  std::uint32_t row_size = 0;  // bytes, a power of two
  [[nodiscard]] std::uint64_t at(std::size_t row) const {
    return offset + std::uint64_t{row_size} * row;
  }
};
// Behind what takes `size` bytes so far.
[[nodiscard]] RunTable run_table(std::uint64_t& size, std::size_t rows, std::size_t row_size);

// How a rule ends.
enum class RunEnd : std::uint32_t {
  accept,
  drop,
  leave,   // the chain that the run stands in
  on,      // with the search
  behind,  // to what follows the run
};
// Of the number that a RunEnd stands in, the bits that are its own.
constexpr std::uint32_t run_end_mask = 15;
constexpr unsigned shape_shift = 8;
// And those of an entry that is not in force at one turn and at the other.
constexpr std::uint32_t run_turn_one = 1U << 4U;
constexpr std::uint32_t run_turn_other = 1U << 5U;
// Whether rules of the run give packets a mark by the search.
[[nodiscard]] bool writes_marks(const classify::Run& run);
[[nodiscard]] RunEnd end_of(const classify::Run& run, const classify::RunAction& action);

// Marks of trace entries; their meaning is told at driver::trace_capacity.
constexpr std::uint32_t trace_decided = 0x80000000;
constexpr std::uint32_t trace_policy = 0xffffffff;
// The entry of a trace that the action leaves; run_untraced: none.
constexpr std::uint32_t run_untraced = 0xffffffff;
[[nodiscard]] std::uint32_t trace_entry(const imr::Ruleset& ruleset,
                                        const classify::RunAction& action);
// The number of the action's counter and 1, or 0.
[[nodiscard]] constexpr std::uint32_t counter_number(const classify::RunAction& action) {
  return action.counter.valid() ? action.counter.value + 1 : 0;
}

// What is told of a rule besides, in runs of which some rule needs it.
struct RunExtras {
  bool marks = false;  // {1 or 0, and from bit 8 on the code of its tail and 1, or 0 (4); mark (4)}
  bool tails = false;  // TailNumbers, each of 4 bytes; only with marks
  static constexpr std::uint64_t what = 0;
  static constexpr std::uint64_t mark = 4;
  static constexpr std::uint64_t otherwise = 8;
  static constexpr std::uint64_t rule = 12;
  static constexpr std::uint64_t meter = 16;
  static constexpr std::uint64_t counter = 20;
  static constexpr unsigned code_shift = 8;
  [[nodiscard]] std::size_t size() const { return tails ? 24 : marks ? 8 : 0; }
};
[[nodiscard]] RunExtras extras_of(const classify::Run& run);

// What the code of a tail learns of the rule.
struct TailNumbers {
  std::uint32_t otherwise = 0;  // where the search goes on for whom it does not let through; 0:
                                // behind the run
  std::uint32_t rule = 0;       // as written
  std::uint32_t meter = 0;
  std::uint32_t counter = 0;  // and 1; 0: none
};
[[nodiscard]] TailNumbers tail_numbers(const imr::Ruleset& ruleset,
                                       const classify::RunAction& action);

// Writes numbers into a value, from a place on.
class RunWriter {
 public:
  RunWriter(Bytes& value, std::uint64_t at) : value_(value), at_(at) {}
  void put(std::uint64_t number, std::size_t size);

 private:
  Bytes& value_;
  std::uint64_t at_;
};

void write_extras(const RunExtras& extras, const classify::RunAction& action,
                  const TailNumbers& numbers, RunWriter& out);

// The rules at the beginning of a part of a chain that are one run, or the first one.
[[nodiscard]] std::span<const imr::RuleId> run_at(const imr::Ruleset& ruleset,
                                                  std::span<const imr::RuleId> rules);

// See RunMaps::turn().
[[nodiscard]] isa::MapSpec run_turn_map();
[[nodiscard]] isa::MapSpec run_map(const imr::Ruleset& ruleset, const classify::Run& run,
                                   Bytes value, std::string name);

}  // namespace weir::backend
