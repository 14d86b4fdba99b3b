// SPDX-License-Identifier: BSD-2-Clause
#include "engine/scalar.h"

#include <algorithm>

#include "base/error.h"

namespace weir::engine {
namespace {

constexpr std::uint64_t all_ones = ~std::uint64_t{0};
constexpr std::int64_t signed_min = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t signed_max = std::numeric_limits<std::int64_t>::max();

std::int64_t as_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}
std::uint64_t as_unsigned(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

// All bits below the highest set one, and that one.
std::uint64_t smear(std::uint64_t value) {
  return value == 0 ? 0 : all_ones >> std::countl_zero(value);
}

// What is common to all numbers from low to high.
Bits bits_of_range(std::uint64_t low, std::uint64_t high) {
  const std::uint64_t differing = smear(low ^ high);
  return {.value = low & ~differing, .mask = differing};
}

Bits add_bits(Bits a, Bits b) {
  const std::uint64_t masks = a.mask + b.mask;
  const std::uint64_t values = a.value + b.value;
  const std::uint64_t unknown = ((masks + values) ^ values) | a.mask | b.mask;
  return {.value = values & ~unknown, .mask = unknown};
}

Bits sub_bits(Bits a, Bits b) {
  const std::uint64_t difference = a.value - b.value;
  const std::uint64_t highest = difference + a.mask;
  const std::uint64_t lowest = difference - b.mask;
  const std::uint64_t unknown = (highest ^ lowest) | a.mask | b.mask;
  return {.value = difference & ~unknown, .mask = unknown};
}

}  // namespace

Scalar Scalar::of_bits(Bits bits) {
  Scalar result;
  result.bits_ = bits;
  result.settle();
  return result;
}

Scalar Scalar::constant(std::uint64_t value) {
  return range(value, value);
}

Scalar Scalar::range(std::uint64_t low, std::uint64_t high) {
  Scalar result;
  result.umin_ = low;
  result.umax_ = high;
  result.settle();
  return result;
}

Scalar Scalar::of_size(std::uint32_t size) {
  return size >= 8 ? Scalar() : range(0, (std::uint64_t{1} << (size * 8)) - 1);
}

Scalar Scalar::sign_extended_of_size(std::uint32_t size) {
  return sign_extend({}, size * 8);
}

bool Scalar::impossible() const {
  return umin_ > umax_ || smin_ > smax_ || (bits_.value & bits_.mask) != 0;
}

void Scalar::settle() {
  // Twice: what the second part learned from the third may tell the first one something.
  for (int round = 0; round < 2; ++round) {
    umin_ = std::max(umin_, bits_.value);
    umax_ = std::min(umax_, bits_.value | bits_.mask);
    if (as_signed(umin_) <= as_signed(umax_)) {
      smin_ = std::max(smin_, as_signed(umin_));
      smax_ = std::min(smax_, as_signed(umax_));
    }
    if ((smin_ < 0) == (smax_ < 0)) {
      umin_ = std::max(umin_, as_unsigned(smin_));
      umax_ = std::min(umax_, as_unsigned(smax_));
    }
    if (umin_ > umax_ || smin_ > smax_) return;  // impossible, and to be left so
    const Bits from_range = bits_of_range(umin_, umax_);
    const std::uint64_t known = ~(bits_.mask & from_range.mask);
    if ((bits_.value ^ from_range.value) & ~bits_.mask & ~from_range.mask) {
      umin_ = 1;  // no number has these bits and this range
      umax_ = 0;
      return;
    }
    bits_ = {.value = (bits_.value | from_range.value) & known, .mask = ~known};
  }
}

bool Scalar::covers(const Scalar& other) const {
  return umin_ <= other.umin_ && umax_ >= other.umax_ && smin_ <= other.smin_ &&
         smax_ >= other.smax_ && (other.bits_.mask & ~bits_.mask) == 0 &&
         (other.bits_.value & ~bits_.mask) == bits_.value;
}

void Scalar::at_least(std::uint64_t low) {
  umin_ = std::max(umin_, low);
  settle();
}

void Scalar::at_most(std::uint64_t high) {
  umax_ = std::min(umax_, high);
  settle();
}

void Scalar::signed_at_least(std::int64_t low) {
  smin_ = std::max(smin_, low);
  settle();
}

void Scalar::signed_at_most(std::int64_t high) {
  smax_ = std::min(smax_, high);
  settle();
}

void Scalar::meet(const Scalar& other) {
  umin_ = std::max(umin_, other.umin_);
  umax_ = std::min(umax_, other.umax_);
  smin_ = std::max(smin_, other.smin_);
  smax_ = std::min(smax_, other.smax_);
  const std::uint64_t contradiction =
      (bits_.value ^ other.bits_.value) & ~bits_.mask & ~other.bits_.mask;
  if (contradiction != 0) {
    umin_ = 1;
    umax_ = 0;
    return;
  }
  const std::uint64_t unknown = bits_.mask & other.bits_.mask;
  bits_ = {.value = (bits_.value | other.bits_.value) & ~unknown, .mask = unknown};
  settle();
}

void Scalar::without(std::uint64_t value) {
  if (umin_ == value && umax_ == value) {
    umin_ = 1;
    umax_ = 0;
    return;
  }
  if (umin_ == value) ++umin_;
  if (umax_ == value) --umax_;
  if (smin_ == as_signed(value)) ++smin_;
  if (smax_ == as_signed(value)) --smax_;
  settle();
}

void Scalar::with_bits_clear(std::uint64_t mask) {
  if ((bits_.value & mask) != 0) {
    umin_ = 1;
    umax_ = 0;
    return;
  }
  bits_.mask &= ~mask;
  settle();
}

std::string Scalar::text() const {
  if (impossible()) return "no number";
  if (is_constant()) return std::to_string(as_signed(umin_));
  if (smin_ < 0 && smax_ >= 0 && (smin_ != signed_min || smax_ != signed_max)) {
    return "a number from " + std::to_string(smin_) + " to " + std::to_string(smax_);
  }
  if (umin_ == 0 && umax_ == all_ones) return "any number";
  return "a number from " + std::to_string(umin_) + " to " + std::to_string(umax_);
}

Scalar add(const Scalar& a, const Scalar& b) {
  Scalar result;
  result.bits_ = add_bits(a.bits_, b.bits_);
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (!__builtin_add_overflow(a.umin_, b.umin_, &low) &&
      !__builtin_add_overflow(a.umax_, b.umax_, &high)) {
    result.umin_ = low;
    result.umax_ = high;
  }
  std::int64_t signed_low = 0;
  std::int64_t signed_high = 0;
  if (!__builtin_add_overflow(a.smin_, b.smin_, &signed_low) &&
      !__builtin_add_overflow(a.smax_, b.smax_, &signed_high)) {
    result.smin_ = signed_low;
    result.smax_ = signed_high;
  }
  result.settle();
  return result;
}

Scalar sub(const Scalar& a, const Scalar& b) {
  Scalar result;
  result.bits_ = sub_bits(a.bits_, b.bits_);
  if (a.umin_ >= b.umax_) {
    result.umin_ = a.umin_ - b.umax_;
    result.umax_ = a.umax_ - b.umin_;
  }
  std::int64_t signed_low = 0;
  std::int64_t signed_high = 0;
  if (!__builtin_sub_overflow(a.smin_, b.smax_, &signed_low) &&
      !__builtin_sub_overflow(a.smax_, b.smin_, &signed_high)) {
    result.smin_ = signed_low;
    result.smax_ = signed_high;
  }
  result.settle();
  return result;
}

Scalar mul(const Scalar& a, const Scalar& b) {
  if (a.is_constant() && b.is_constant()) return Scalar::constant(a.umin_ * b.umin_);
  Scalar result;
  // A product has at least as many trailing zero bits as its factors together.
  const int zeros = std::min(63, std::countr_zero(a.bits_.value | a.bits_.mask) +
                                     std::countr_zero(b.bits_.value | b.bits_.mask));
  result.bits_ = {.value = 0, .mask = all_ones << zeros};
  std::uint64_t high = 0;
  if (!__builtin_mul_overflow(a.umax_, b.umax_, &high)) {
    result.umin_ = a.umin_ * b.umin_;
    result.umax_ = high;
  }
  result.settle();
  return result;
}

// RFC 9669: a division by zero yields 0, the rest of one the dividend.
Scalar div(const Scalar& a, const Scalar& b) {
  if (b.umin_ == 0) return Scalar::range(0, a.umax_);
  return Scalar::range(a.umin_ / b.umax_, a.umax_ / b.umin_);
}

Scalar mod(const Scalar& a, const Scalar& b) {
  if (a.is_constant() && b.is_constant() && b.umin_ != 0) {
    return Scalar::constant(a.umin_ % b.umin_);
  }
  if (b.umin_ == 0) return Scalar::range(0, a.umax_);
  return Scalar::range(0, std::min(a.umax_, b.umax_ - 1));
}

Scalar bit_and(const Scalar& a, const Scalar& b) {
  const std::uint64_t value = a.bits_.value & b.bits_.value;
  const std::uint64_t possible = (a.bits_.value | a.bits_.mask) & (b.bits_.value | b.bits_.mask);
  Scalar result = Scalar::of_bits({.value = value, .mask = possible & ~value});
  result.at_most(std::min(a.umax_, b.umax_));
  return result;
}

Scalar bit_or(const Scalar& a, const Scalar& b) {
  const std::uint64_t value = a.bits_.value | b.bits_.value;
  Scalar result = Scalar::of_bits({.value = value, .mask = (a.bits_.mask | b.bits_.mask) & ~value});
  result.at_least(std::max(a.umin_, b.umin_));
  return result;
}

Scalar bit_xor(const Scalar& a, const Scalar& b) {
  const std::uint64_t unknown = a.bits_.mask | b.bits_.mask;
  return Scalar::of_bits({.value = (a.bits_.value ^ b.bits_.value) & ~unknown, .mask = unknown});
}

Scalar lsh(const Scalar& a, const Scalar& b) {
  if (!b.is_constant()) return {};
  const auto count = static_cast<int>(b.umin_ & 63);
  Scalar result;
  result.bits_ = {.value = a.bits_.value << count, .mask = a.bits_.mask << count};
  if (a.umax_ <= all_ones >> count) {
    result.umin_ = a.umin_ << count;
    result.umax_ = a.umax_ << count;
  }
  result.settle();
  return result;
}

Scalar rsh(const Scalar& a, const Scalar& b) {
  if (!b.is_constant()) return Scalar::range(0, a.umax_);
  const auto count = static_cast<int>(b.umin_ & 63);
  Scalar result;
  result.bits_ = {.value = a.bits_.value >> count, .mask = a.bits_.mask >> count};
  result.umin_ = a.umin_ >> count;
  result.umax_ = a.umax_ >> count;
  result.settle();
  return result;
}

Scalar arsh(const Scalar& a, const Scalar& b) {
  if (!b.is_constant()) return {};
  const auto count = static_cast<int>(b.umin_ & 63);
  Scalar result;
  // An unknown sign bit is unknown wherever it is copied to.
  const std::uint64_t unknown = as_unsigned(as_signed(a.bits_.mask) >> count);
  result.bits_ = {.value = as_unsigned(as_signed(a.bits_.value) >> count) & ~unknown,
                  .mask = unknown};
  result.smin_ = a.smin_ >> count;
  result.smax_ = a.smax_ >> count;
  result.settle();
  return result;
}

Scalar truncate(const Scalar& a, unsigned bits) {
  if (bits >= 64) return a;
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  if (a.umax_ <= mask) return a;
  Scalar result = Scalar::of_bits({.value = a.bits_.value & mask, .mask = a.bits_.mask & mask});
  if ((a.umin_ & ~mask) == (a.umax_ & ~mask)) {
    result.at_least(a.umin_ & mask);
    result.at_most(a.umax_ & mask);
  }
  return result;
}

Scalar sign_extend(const Scalar& a, unsigned bits) {
  if (bits >= 64) return a;
  const std::int64_t high = (std::int64_t{1} << (bits - 1)) - 1;
  if (a.smin_ >= -high - 1 && a.smax_ <= high) return a;
  const Scalar count = Scalar::constant(64 - bits);
  return arsh(lsh(a, count), count);
}

Comparison opposite(Comparison comparison) {
  switch (comparison) {
    using enum Comparison;
    case eq:
      return ne;
    case ne:
      return eq;
    case gt:
      return le;
    case ge:
      return lt;
    case lt:
      return ge;
    case le:
      return gt;
    case sgt:
      return sle;
    case sge:
      return slt;
    case slt:
      return sge;
    case sle:
      return sgt;
    case set:
      return clear;
    case clear:
      return set;
  }
  throw InvariantError("a comparison without an opposite");
}

Comparison mirrored(Comparison comparison) {
  switch (comparison) {
    using enum Comparison;
    case gt:
      return lt;
    case ge:
      return le;
    case lt:
      return gt;
    case le:
      return ge;
    case sgt:
      return slt;
    case sge:
      return sle;
    case slt:
      return sgt;
    case sle:
      return sge;
    case eq:
    case ne:
    case set:
    case clear:
      return comparison;
  }
  throw InvariantError("a comparison without a mirror image");
}

void assume(Scalar& a, Comparison comparison, Scalar& b) {
  const Scalar before_a = a;
  const Scalar before_b = b;
  switch (comparison) {
    using enum Comparison;
    case eq:
      a.meet(before_b);
      b.meet(before_a);
      return;
    case ne:
      if (before_b.is_constant()) a.without(before_b.umin());
      if (before_a.is_constant()) b.without(before_a.umin());
      return;
    case gt:
      // A bound that no number can pass makes the path impossible.
      a.at_least(before_b.umin() == all_ones ? all_ones : before_b.umin() + 1);
      b.at_most(before_a.umax() == 0 ? 0 : before_a.umax() - 1);
      return;
    case ge:
      a.at_least(before_b.umin());
      b.at_most(before_a.umax());
      return;
    case sgt:
      a.signed_at_least(before_b.smin() == signed_max ? signed_max : before_b.smin() + 1);
      b.signed_at_most(before_a.smax() == signed_min ? signed_min : before_a.smax() - 1);
      return;
    case sge:
      a.signed_at_least(before_b.smin());
      b.signed_at_most(before_a.smax());
      return;
    case lt:
    case le:
    case slt:
    case sle:
      assume(b, mirrored(comparison), a);
      return;
    case set:
      // With one bit to test, that bit is known now.
      if (before_b.is_constant() && std::has_single_bit(before_b.umin())) {
        Scalar one_bit = Scalar::constant(before_b.umin());
        a = bit_or(before_a, one_bit);
        a.meet(before_a);
      }
      return;
    case clear:
      if (before_b.is_constant()) a.with_bits_clear(before_b.umin());
      return;
  }
}

std::optional<bool> decide(const Scalar& a, Comparison comparison, const Scalar& b) {
  switch (comparison) {
    using enum Comparison;
    case eq:
      if (a.is_constant() && b.is_constant() && a.umin() == b.umin()) return true;
      break;
    case ne:
    case clear:
    case lt:
    case le:
    case slt:
    case sle: {
      const auto answer = decide(a, opposite(comparison), b);
      return answer ? std::optional(!*answer) : std::nullopt;
    }
    case gt:
      if (a.umin() > b.umax()) return true;
      if (a.umax() <= b.umin()) return false;
      return std::nullopt;
    case ge:
      if (a.umin() >= b.umax()) return true;
      if (a.umax() < b.umin()) return false;
      return std::nullopt;
    case sgt:
      if (a.smin() > b.smax()) return true;
      if (a.smax() <= b.smin()) return false;
      return std::nullopt;
    case sge:
      if (a.smin() >= b.smax()) return true;
      if (a.smax() < b.smin()) return false;
      return std::nullopt;
    case set: {
      const Scalar both = bit_and(a, b);
      if (both.bits().value != 0) return true;
      if (both.umax() == 0) return false;
      return std::nullopt;
    }
  }
  Scalar left = a;
  Scalar right = b;
  left.meet(right);
  if (left.impossible()) return false;
  return std::nullopt;
}

}  // namespace weir::engine
