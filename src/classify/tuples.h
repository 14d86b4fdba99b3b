// SPDX-License-Identifier: BSD-2-Clause
//
// Merged tuples: rules are kept in hash tables, each with a prefix length for every field; a rule
// may stand in any table whose lengths are no longer than its own, so that a few tables hold all
// (J. Daly et al., "TupleMerge: Fast Software Packet Processing for Online Packet Classification",
// IEEE/ACM Transactions on Networking 27(4), 2019). Tables are searched in the order of their first
// rules, until none of those left could come before what was found.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "classify/structure.h"

namespace weir::classify {

// In flat arrays, as a program walks them.
struct TupleTables {
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::size_t most_words = 8;
  using Words = std::array<std::uint64_t, most_words>;

  // Where a field is in the words of a key: none stands in two.
  struct Place {
    std::uint8_t word = 0;
    std::uint8_t shift = 0;
    std::uint8_t bits = 0;
  };
  struct Row {
    std::uint32_t first_rule = 0;  // none: it has no rules
    std::uint32_t first_slot = 0;
    std::uint32_t shift = 63;         // what of a hash is the slot
    std::uint32_t longest_chain = 0;  // entries
    Words masks = {};
    [[nodiscard]] std::size_t slots() const { return std::size_t{1} << (64 - shift); }
    [[nodiscard]] std::uint32_t slot_of(std::uint64_t hash) const {
      return first_slot + static_cast<std::uint32_t>(hash >> shift);
    }
    [[nodiscard]] std::uint8_t mark_of(std::uint64_t hash) const {
      return static_cast<std::uint8_t>(1U << (hash >> (shift - mark_bits) & 7U));
    }
  };
  // A key with none of the marks of a slot holds no entry there: the bits of its hash behind the
  // slot's tell which of 8 it has.
  static constexpr unsigned mark_bits = 3;
  struct Slot {
    std::uint32_t entry = none;
    std::uint8_t marks = 0;
  };
  struct Entry {
    std::uint32_t rule = 0;
    std::uint32_t next = none;  // of the same slot, of a later rule
    std::uint32_t shape = 0;
  };
  // What many rules have alike: how much of each word they test, and what they ask of those fields
  // of which they test no prefix.
  struct Shape {
    std::vector<std::uint64_t> masks;  // of the words
    std::vector<Range> ranges;         // of the ranged fields; all values where a prefix is tested
    friend auto operator<=>(const Shape&, const Shape&) = default;
  };

  std::vector<Place> places;  // of the fields
  std::size_t words = 0;
  std::vector<std::size_t> ranged;    // the fields that not all rules test by prefixes
  std::vector<Row> rows;              // one a table, ascending by first_rule
  std::vector<Slot> slots;            // a power of two for each row
  std::vector<Entry> entries;         // one a rule
  std::vector<std::uint64_t> values;  // `words` an entry: what it tests of them
  std::vector<Shape> shapes;          // those of most rules first

  // What a rule that asks for these ranges tests. Nothing where it is a range of a field of which
  // no other rule tests one.
  struct Tested {
    Shape shape;
    Words values = {};
  };
  [[nodiscard]] std::optional<Tested> tested(std::span<const Range> ranges) const;
  // The last row becomes one that any rule may stand in, and has none, where there is none such.
  void add_catch_all();
  // Rows and entries that a search looks at, at most.
  [[nodiscard]] std::size_t longest_search() const;
  // As Structure says them.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] double cost() const;
};

// What a row's slots are told by, of the words of a key under its masks. Its upper bits are the
// good ones.
[[nodiscard]] std::uint64_t tuple_hash(const TupleTables::Words& key,
                                       const TupleTables::Words& masks, std::size_t words);
// The factor of each word in it.
extern const TupleTables::Words tuple_factors;

// Nothing for keys of more words than there may be.
[[nodiscard]] std::optional<TupleTables> make_tuple_tables(const RuleList& rules);

[[nodiscard]] std::unique_ptr<Structure> build_tuples(const RuleList& rules);

}  // namespace weir::classify
