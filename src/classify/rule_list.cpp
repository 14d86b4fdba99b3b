// SPDX-License-Identifier: BSD-2-Clause
#include "classify/rule_list.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"

namespace weir::classify {

std::uint64_t prefix_mask(unsigned length, unsigned bits) {
  if (length == 0) return 0;
  const std::uint64_t all = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  const unsigned behind = bits - length;
  return behind == 0 ? all : all & ~((std::uint64_t{1} << behind) - 1);
}

unsigned common_prefix(const Range& range, unsigned bits) {
  return bits - static_cast<unsigned>(std::bit_width(range.first ^ range.last));
}

bool is_prefix(const Range& range, unsigned bits) {
  const std::uint64_t mask = prefix_mask(common_prefix(range, bits), bits);
  return (range.first & ~mask) == 0 && (range.last | mask) == prefix_mask(bits, bits);
}

RuleList::RuleList(std::vector<std::uint8_t> field_bits) : field_bits_(std::move(field_bits)) {
  invariant(!field_bits_.empty(), "classification by no field");
  invariant(std::ranges::all_of(field_bits_, [](auto bits) { return bits >= 1 && bits <= 64; }),
            "classification by a field of no bits, or too many");
}

void RuleList::add(std::span<const Range> ranges) {
  invariant(ranges.size() == fields(), "classification: a rule of other fields");
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    invariant(ranges[i].first <= ranges[i].last && ranges[i].last <= prefix_mask(bits(i), bits(i)),
              "classification: a range that is empty or too wide");
  }
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
}

bool RuleList::matches(std::size_t rule, std::span<const std::uint64_t> key) const {
  const auto ranges = (*this)[rule];
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (!ranges[i].contains(key[i])) return false;
  }
  return true;
}

std::optional<std::uint32_t> RuleList::next_match(std::span<const std::uint64_t> key,
                                                  std::uint32_t from) const {
  for (std::size_t rule = from; rule < size(); ++rule) {
    if (matches(rule, key)) return static_cast<std::uint32_t>(rule);
  }
  return std::nullopt;
}

}  // namespace weir::classify
