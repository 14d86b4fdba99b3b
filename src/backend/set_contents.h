// SPDX-License-Identifier: BSD-2-Clause
//
// What a set says, in the terms of the structures that are made of it: what a search answers for
// each element, prefixes that cover intervals, and the division of concatenations with intervals
// into classes of each field. Nothing here knows of code or maps.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "imr/imr.h"

namespace weir::backend {

// Of every element the number of its answer: of a verdict map into `verdicts`, of a data map into
// `data`, both without repeats, in order of their first occurrence; of a set always 0.
struct Answers {
  std::vector<std::uint32_t> numbers;  // empty: all 0
  std::vector<imr::Verdict> verdicts;
  std::vector<Bytes> data;
  [[nodiscard]] std::uint32_t of(std::size_t element) const {
    return numbers.empty() ? 0 : numbers[element];
  }
};
// The verdict and the data of the catch-all element come last. Verdicts that are given count first.
[[nodiscard]] Answers answers_of(const imr::Set& set, std::vector<imr::Verdict> verdicts = {});

struct Prefix {
  Bytes data;
  std::uint32_t length = 0;  // bits
  friend bool operator==(const Prefix&, const Prefix&) = default;
};
// The fewest prefixes that cover [first, last] and nothing else, ascending.
[[nodiscard]] std::vector<Prefix> prefixes_of(const Bytes& first, const Bytes& last);

// Up to 16 bytes, most significant first, in the way big_endian_chunks() cuts them.
using Wide = std::array<std::uint64_t, 2>;
[[nodiscard]] Wide wide(ByteView bytes);

// A concatenation with intervals, divided. The values of each field fall into classes, so that all
// of a class are in the same elements: class i begins at starts[i]. An element covers a range of
// classes in each field; the range is cut into blocks of 2^shift aligned classes. All combinations
// of blocks are entries of a hash table, keyed by the shifts (a tuple, by its number) and the
// shifted classes. An entry is of the first element that has it.
struct FieldClasses {
  struct Tuple {
    std::vector<std::uint8_t> shifts;
    std::uint32_t first_element = 0;  // no element of the tuple comes before
  };
  struct Entry {
    std::uint32_t tuple = 0;
    std::vector<std::uint32_t> classes;  // shifted
    std::uint32_t element = 0;
  };
  std::vector<std::vector<Wide>> starts;  // of each field, ascending; the first is 0
  std::vector<Tuple> tuples;              // ascending by first_element
  std::vector<Entry> entries;
};
constexpr std::size_t most_class_entries = 4'000'000;
constexpr std::size_t most_class_tuples = 512;
constexpr std::size_t widest_class_field = 16;  // bytes; NFT_PIPAPO_MAX_BYTES allows no more either

// An input error where the elements overlap too irregularly for these bounds.
[[nodiscard]] Result<FieldClasses> divide(const imr::Set& set);

// Whether the element is one key alone.
[[nodiscard]] bool is_single(const imr::Element& element);

}  // namespace weir::backend
