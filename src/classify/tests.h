// SPDX-License-Identifier: BSD-2-Clause
//
// What a statement of a rule asks of a packet, as intervals of values.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "imr/imr.h"

namespace weir::classify {

// From `first` to `last`, as memcmp(3) orders them; both of one size.
struct Interval {
  Bytes first;
  Bytes last;
};
// An interval for each value that a test looks at.
using Box = std::vector<Interval>;

struct TestedValue {
  imr::ExprId expr;
  std::size_t size = 0;  // bytes
  // Valid: what is looked at is whether the set has the value, one byte, 0 or 1.
  imr::SetId set = {};
};

// The values are in one of the boxes. Those of one test never overlap. Of an interval of values of
// more than 8 bytes, the first 8 are the same at both ends, or the others have all values.
struct Test {
  std::vector<TestedValue> values;
  std::vector<Box> boxes;
};

// Elements of a set that are told one by one.
constexpr std::size_t most_elements = 1024;

// Nothing of statements that are no such tests.
[[nodiscard]] std::optional<Test> test_of(const imr::Ruleset& ruleset,
                                          const imr::Statement& statement);
// Whether that test is of the set as a whole: named ones may change while a program runs, others
// have too many elements.
[[nodiscard]] bool tests_membership(const imr::Ruleset& ruleset, const imr::MatchSet& match);
// Of a map to verdicts without a name: a test for each of its elements, in their order, then one
// for all that has none if the map has an answer for that.
struct TestedVerdict {
  Test test;
  imr::Verdict verdict;
};
[[nodiscard]] std::optional<std::vector<TestedVerdict>> tests_of(const imr::Ruleset& ruleset,
                                                                 const imr::VerdictMap& map);

// Whether every packet of the unit has the value.
[[nodiscard]] bool always_there(const imr::Unit& unit, imr::ExprId expr);

// The bytes, and as many of the other behind them as fill the size.
[[nodiscard]] Bytes filled(const Bytes& bytes, std::size_t size, std::uint8_t with);

}  // namespace weir::classify
