// SPDX-License-Identifier: BSD-2-Clause
//
// What is classified: an ordered list of rules, each a conjunction of ranges, one for each field of
// a key. What fields stand for is not known here. Values of more than 64 bits are several fields,
// the most significant first: a prefix of them is a range in each.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weir::classify {

struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // inclusive
  [[nodiscard]] bool contains(std::uint64_t value) const { return first <= value && value <= last; }
  friend auto operator<=>(const Range&, const Range&) = default;
};

// How many leading bits all values of the range share, of `bits`.
[[nodiscard]] unsigned common_prefix(const Range& range, unsigned bits);
// Whether the range is all values with its common prefix.
[[nodiscard]] bool is_prefix(const Range& range, unsigned bits);
// The bits of a prefix of that length, of `bits`.
[[nodiscard]] std::uint64_t prefix_mask(unsigned length, unsigned bits);

class RuleList {
 public:
  // The bits of each field, 1 to 64 each.
  explicit RuleList(std::vector<std::uint8_t> field_bits);

  // A range for each field, within its bits.
  void add(std::span<const Range> ranges);

  [[nodiscard]] std::size_t size() const { return ranges_.size() / field_bits_.size(); }
  [[nodiscard]] std::size_t fields() const { return field_bits_.size(); }
  [[nodiscard]] unsigned bits(std::size_t field) const { return field_bits_[field]; }
  [[nodiscard]] std::span<const Range> operator[](std::size_t rule) const {
    return std::span(ranges_).subspan(rule * fields(), fields());
  }
  // By looking at one rule after another: what every structure must answer. `key` has a value for
  // each field.
  [[nodiscard]] bool matches(std::size_t rule, std::span<const std::uint64_t> key) const;
  [[nodiscard]] std::optional<std::uint32_t> next_match(std::span<const std::uint64_t> key,
                                                        std::uint32_t from) const;

 private:
  std::vector<std::uint8_t> field_bits_;
  std::vector<Range> ranges_;  // fields() a rule
};

}  // namespace weir::classify
