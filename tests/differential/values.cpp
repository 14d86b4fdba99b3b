// SPDX-License-Identifier: BSD-2-Clause
#include "differential/values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

namespace weir::differential {
namespace {

constexpr std::array<std::string_view, 5> ipv6_networks = {
    "2001:db8::", "2001:db8:1::", "fd00::", "fe80::", "ff02::"};

std::string hex(std::uint64_t value) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) {
    const auto digit = static_cast<std::size_t>(value >> shift & 15);
    if (digit != 0 || !out.empty() || shift == 0) out += digits[digit];
  }
  return out;
}

}  // namespace

std::uint64_t Domain::max() const {
  if (notation == Notation::ipv6) return ipv6_networks.size() * 65536 - 1;
  return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

std::string write(const Domain& domain, std::uint64_t value) {
  switch (domain.notation) {
    case Notation::number:
      return std::to_string(value);
    case Notation::ipv4: {
      std::string out;
      for (int shift = 24; shift >= 0; shift -= 8) {
        out += std::to_string(value >> shift & 255) + (shift == 0 ? "" : ".");
      }
      return out;
    }
    case Notation::ipv6:
      return std::string(ipv6_networks.at(value >> 16)) + hex(value & 0xffff);
    case Notation::mac: {
      std::string out;
      for (int shift = 40; shift >= 0; shift -= 8) {
        out += hex(value >> shift & 255) + (shift == 0 ? "" : ":");
      }
      return out;
    }
  }
  return {};
}

std::string write(const Domain& domain, const Interval& interval, Random& random) {
  if (interval.first == interval.last) return write(domain, interval.first);
  const std::uint64_t size = interval.last - interval.first + 1;
  const bool prefix = std::has_single_bit(size) && interval.first % size == 0 && size <= 65536;
  const bool address = domain.notation == Notation::ipv4 || domain.notation == Notation::ipv6;
  if (prefix && address && random.chance(80)) {
    const unsigned whole = domain.notation == Notation::ipv4 ? 32 : 128;
    return write(domain, interval.first) + "/" +
           std::to_string(whole - static_cast<unsigned>(std::countr_zero(size)));
  }
  return write(domain, interval.first) + "-" + write(domain, interval.last);
}

std::uint64_t draw(const Domain& domain, Random& random) {
  const std::uint64_t max = domain.max();
  const std::uint64_t way = random.below(20);
  if (way == 0) return random.chance(50) ? 0 : max;
  if (way == 1 || domain.pool.empty()) {
    return max == ~std::uint64_t{0} ? random.bits() : random.below(max + 1);
  }
  const std::uint64_t value = std::min(random.pick(domain.pool), max);
  if (way == 2) return value == max ? max : value + 1;
  if (way == 3) return value == 0 ? 0 : value - 1;
  return value;
}

Interval draw_range(const Domain& domain, Random& random) {
  const std::uint64_t max = domain.max();
  std::uint64_t first = draw(domain, random);
  if (domain.notation != Notation::number && random.chance(50)) {
    const std::uint64_t size = std::uint64_t{1} << (1 + random.below(12));
    first -= first % size;
    return {first, first + size - 1};
  }
  if (first == max) --first;
  const std::uint64_t reach = std::uint64_t{1} << random.below(domain.bits > 16 ? 16 : domain.bits);
  const std::uint64_t last = first + std::min(max - first, 1 + random.below(reach));
  if (max > 1 && first == 0 && last == max) return {0, max - 1};
  return {first, last};
}

std::vector<Interval> draw_intervals(const Domain& domain, std::size_t count, bool exact,
                                     Random& random) {
  std::vector<Interval> drawn;
  const std::uint64_t max = domain.max();
  const std::uint64_t start = draw(domain, random);
  for (std::size_t i = 0; i < count; ++i) {
    if (!exact && random.chance(40)) {
      drawn.push_back(draw_range(domain, random));
      continue;
    }
    std::uint64_t value = draw(domain, random);
    // Large sets: the pool is soon used up, so most lie close together.
    if (count > 12 && random.chance(85)) value = start + random.below(count * 6);
    value = std::min(value, max);
    drawn.push_back({value, value});
  }
  std::ranges::sort(drawn, {}, &Interval::first);
  std::vector<Interval> out;
  for (const Interval& interval : drawn) {
    if (out.empty() || interval.first > out.back().last) out.push_back(interval);
  }
  // nft refuses an interval set that holds everything.
  if (out.size() == 1 && out[0].first == 0 && out[0].last == max && max > 0) out[0].last = max - 1;
  return out;
}

std::uint64_t draw_mask(const Domain& domain, Random& random) {
  const std::uint64_t max = domain.max();
  for (;;) {
    std::uint64_t mask = 0;
    switch (random.below(4)) {
      case 0:
        mask = random.bits();
        break;
      case 1:
        mask = max << random.below(domain.bits);
        break;
      case 2:
        mask = max >> random.below(domain.bits);
        break;
      default:
        mask = std::uint64_t{1} << random.below(domain.bits);
        break;
    }
    if ((mask & max) != 0) return mask & max;
  }
}

}  // namespace weir::differential
