// SPDX-License-Identifier: BSD-2-Clause
//
// What the arithmetic instructions and comparisons compute (RFC 9669, sections 4.1 and 4.3), for
// operands of 32 and of 64 bits.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace weir::engine::arithmetic {

template <std::unsigned_integral U>
using Signed = std::make_signed_t<U>;
template <std::unsigned_integral U>
constexpr U shift_mask = sizeof(U) * 8 - 1;

// One operation a row: name, result of operands a and b of type U.
#define WEIR_ARITHMETIC(name, expression) \
  template <std::unsigned_integral U>     \
  constexpr U name(U a, U b) {            \
    return static_cast<U>(expression);    \
  }

WEIR_ARITHMETIC(add, a + b)
WEIR_ARITHMETIC(sub, a - b)
WEIR_ARITHMETIC(mul, a* b)
WEIR_ARITHMETIC(div, b == 0 ? U{0} : a / b)
WEIR_ARITHMETIC(mod, b == 0 ? a : a % b)
// A divisor of -1 is taken apart: the smallest number has no positive counterpart.
WEIR_ARITHMETIC(sdiv, b == 0 ? U{0}
                      : b == U(-1)
                          ? U{0} - a
                          : static_cast<U>(static_cast<Signed<U>>(a) / static_cast<Signed<U>>(b)))
WEIR_ARITHMETIC(smod, b == 0 ? a
                      : b == U(-1)
                          ? U{0}
                          : static_cast<U>(static_cast<Signed<U>>(a) % static_cast<Signed<U>>(b)))
WEIR_ARITHMETIC(bit_or, a | b)
WEIR_ARITHMETIC(bit_and, a& b)
WEIR_ARITHMETIC(bit_xor, a ^ b)
WEIR_ARITHMETIC(lsh, a << (b & shift_mask<U>))
WEIR_ARITHMETIC(rsh, a >> (b & shift_mask<U>))
WEIR_ARITHMETIC(arsh, static_cast<Signed<U>>(a) >> (b & shift_mask<U>))
#undef WEIR_ARITHMETIC

#define WEIR_COMPARISON(name, type, operation)                        \
  template <std::unsigned_integral U>                                 \
  constexpr bool name(U a, U b) {                                     \
    return static_cast<type<U>>(a) operation static_cast<type<U>>(b); \
  }
template <std::unsigned_integral U>
using Same = U;

WEIR_COMPARISON(jeq, Same, ==)
WEIR_COMPARISON(jne, Same, !=)
WEIR_COMPARISON(jgt, Same, >)
WEIR_COMPARISON(jge, Same, >=)
WEIR_COMPARISON(jlt, Same, <)
WEIR_COMPARISON(jle, Same, <=)
WEIR_COMPARISON(jsgt, Signed, >)
WEIR_COMPARISON(jsge, Signed, >=)
WEIR_COMPARISON(jslt, Signed, <)
WEIR_COMPARISON(jsle, Signed, <=)
#undef WEIR_COMPARISON

template <std::unsigned_integral U>
constexpr bool jset(U a, U b) {
  return (a & b) != 0;
}

// The low bytes of `value` that make a U, zero-extended, and the same reversed.
template <std::unsigned_integral U>
constexpr std::uint64_t low(std::uint64_t value) {
  return static_cast<U>(value);
}
template <std::unsigned_integral U>
constexpr std::uint64_t reversed(std::uint64_t value) {
  return std::byteswap(static_cast<U>(value));
}

// The low bytes of `value` that make an S, sign-extended to a U.
template <std::signed_integral S, std::unsigned_integral U>
constexpr std::uint64_t extended(std::uint64_t value) {
  return static_cast<U>(static_cast<Signed<U>>(static_cast<S>(value)));
}

}  // namespace weir::engine::arithmetic
