// SPDX-License-Identifier: BSD-2-Clause
//
// What the checker knows about a number: bits known to be 0 or 1, and bounds of the number read as
// unsigned and as signed. An abstract value stands for every number that fits all three.
//
// The bit part is the domain of tristate numbers; its addition is that of Vishwanathan, Shachnai,
// Narayana and Nagarakatte, "Sound, Precise, and Fast Abstract Interpretation with Tristate
// Numbers" (CGO 2022).
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace weir::engine {

// `value` where `mask` is 0; unknown bits are 1 in `mask` and 0 in `value`.
struct Bits {
  std::uint64_t value = 0;
  std::uint64_t mask = ~std::uint64_t{0};
  friend bool operator==(const Bits&, const Bits&) = default;
};

class Scalar {
 public:
  Scalar() = default;  // any number
  [[nodiscard]] static Scalar constant(std::uint64_t value);
  [[nodiscard]] static Scalar range(std::uint64_t low, std::uint64_t high);
  // What a load of so many bytes yields.
  [[nodiscard]] static Scalar of_size(std::uint32_t size);
  [[nodiscard]] static Scalar sign_extended_of_size(std::uint32_t size);

  [[nodiscard]] std::uint64_t umin() const { return umin_; }
  [[nodiscard]] std::uint64_t umax() const { return umax_; }
  [[nodiscard]] std::int64_t smin() const { return smin_; }
  [[nodiscard]] std::int64_t smax() const { return smax_; }
  [[nodiscard]] const Bits& bits() const { return bits_; }
  [[nodiscard]] bool is_constant() const { return umin_ == umax_; }
  // Whether no number fits, so that the path which led here cannot be taken.
  [[nodiscard]] bool impossible() const;
  // Whether every number that fits `other` fits this one.
  [[nodiscard]] bool covers(const Scalar& other) const;
  [[nodiscard]] bool fits_32_bits() const { return umax_ <= 0xffffffff; }

  // What is left when more is known.
  void at_least(std::uint64_t low);
  void at_most(std::uint64_t high);
  void signed_at_least(std::int64_t low);
  void signed_at_most(std::int64_t high);
  void meet(const Scalar& other);
  void without(std::uint64_t value);  // if it is a bound
  void with_bits_clear(std::uint64_t mask);

  [[nodiscard]] std::string text() const;

  friend bool operator==(const Scalar&, const Scalar&) = default;

  // Operations on 64 bits; shift counts are taken modulo 64.
  friend Scalar add(const Scalar& a, const Scalar& b);
  friend Scalar sub(const Scalar& a, const Scalar& b);
  friend Scalar mul(const Scalar& a, const Scalar& b);
  friend Scalar div(const Scalar& a, const Scalar& b);
  friend Scalar mod(const Scalar& a, const Scalar& b);
  friend Scalar bit_and(const Scalar& a, const Scalar& b);
  friend Scalar bit_or(const Scalar& a, const Scalar& b);
  friend Scalar bit_xor(const Scalar& a, const Scalar& b);
  friend Scalar lsh(const Scalar& a, const Scalar& b);
  friend Scalar rsh(const Scalar& a, const Scalar& b);
  friend Scalar arsh(const Scalar& a, const Scalar& b);
  // The low 8, 16 or 32 bits, zero-extended, and sign-extended to 64 bits.
  friend Scalar truncate(const Scalar& a, unsigned bits);
  friend Scalar sign_extend(const Scalar& a, unsigned bits);

 private:
  static Scalar of_bits(Bits bits);
  // Lets each part learn from the others.
  void settle();

  Bits bits_;
  std::uint64_t umin_ = 0;
  std::uint64_t umax_ = std::numeric_limits<std::uint64_t>::max();
  std::int64_t smin_ = std::numeric_limits<std::int64_t>::min();
  std::int64_t smax_ = std::numeric_limits<std::int64_t>::max();
};

Scalar add(const Scalar& a, const Scalar& b);
Scalar sub(const Scalar& a, const Scalar& b);
Scalar mul(const Scalar& a, const Scalar& b);
Scalar div(const Scalar& a, const Scalar& b);
Scalar mod(const Scalar& a, const Scalar& b);
Scalar bit_and(const Scalar& a, const Scalar& b);
Scalar bit_or(const Scalar& a, const Scalar& b);
Scalar bit_xor(const Scalar& a, const Scalar& b);
Scalar lsh(const Scalar& a, const Scalar& b);
Scalar rsh(const Scalar& a, const Scalar& b);
Scalar arsh(const Scalar& a, const Scalar& b);
Scalar truncate(const Scalar& a, unsigned bits);
Scalar sign_extend(const Scalar& a, unsigned bits);

// A comparison of the instruction set, without its width.
enum class Comparison : std::uint8_t { eq, ne, gt, ge, lt, le, sgt, sge, slt, sle, set, clear };

[[nodiscard]] Comparison opposite(Comparison comparison);
// a < b from b > a.
[[nodiscard]] Comparison mirrored(Comparison comparison);
// Whether `a comparison b` holds for all numbers, for none, or nobody knows.
[[nodiscard]] std::optional<bool> decide(const Scalar& a, Comparison comparison, const Scalar& b);
// Narrows both to the numbers for which `a comparison b` may hold.
void assume(Scalar& a, Comparison comparison, Scalar& b);

}  // namespace weir::engine
