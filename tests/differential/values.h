// SPDX-License-Identifier: BSD-2-Clause
//
// Constants for generated rules: numbers of a domain, drawn from small pools and their
// neighbourhood, and how nft writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "differential/random.h"

namespace weir::differential {

// How the values of a key are written. IPv6 addresses are numbered: a few networks in ascending
// order, and 65,536 addresses in each.
enum class Notation : std::uint8_t { number, ipv4, ipv6, mac };

struct Domain {
  Notation notation = Notation::number;
  unsigned bits = 8;  // of a number; IPv6 addresses ignore it
  std::span<const std::uint64_t> pool;

  [[nodiscard]] std::uint64_t max() const;
};

struct Interval {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

[[nodiscard]] std::string write(const Domain& domain, std::uint64_t value);
// "5", "5-9", and now and then "10.0.0.0/30".
[[nodiscard]] std::string write(const Domain& domain, const Interval& interval, Random& random);

[[nodiscard]] std::uint64_t draw(const Domain& domain, Random& random);
// Never a single value, never the whole domain of more than one bit.
[[nodiscard]] Interval draw_range(const Domain& domain, Random& random);
// At least one interval, at most `count`; ascending, without overlap. All single when `exact`.
[[nodiscard]] std::vector<Interval> draw_intervals(const Domain& domain, std::size_t count,
                                                   bool exact, Random& random);
// Not zero.
[[nodiscard]] std::uint64_t draw_mask(const Domain& domain, Random& random);

}  // namespace weir::differential
