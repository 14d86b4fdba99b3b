// SPDX-License-Identifier: BSD-2-Clause
//
// The hash of nft's jhash, and how hashes and random numbers are brought below a modulus.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace weir::imr {

// Bob Jenkins' lookup3 as include/linux/jhash.h of the kernel has it, over words of 4 bytes, the
// last one padded with zeros. `Arithmetic` has words of 32 bits and add(), sub(), xor_(), rotate()
// to the left and constant() of them: the evaluator runs them, programs get code of them.
template <typename Arithmetic>
typename Arithmetic::Word jhash(Arithmetic& on, const std::vector<typename Arithmetic::Word>& words,
                                std::uint32_t length, std::uint32_t seed) {
  using Word = typename Arithmetic::Word;
  const Word start = on.constant(0xdeadbeef + length + seed);  // JHASH_INITVAL
  Word a = start;
  Word b = start;
  Word c = start;
  // __jhash_mix(): one step of six.
  const auto mix = [&](Word& x, const Word& y, Word& z, std::uint32_t bits) {
    // x -= z; x ^= rol32(z, bits); z += y
    x = on.xor_(on.sub(x, z), on.rotate(z, bits));
    z = on.add(z, y);
  };
  // __jhash_final(): one of seven.
  const auto end = [&](Word& x, const Word& y, std::uint32_t bits) {
    x = on.sub(on.xor_(x, y), on.rotate(y, bits));
  };
  std::size_t at = 0;
  for (; words.size() - at > 3; at += 3) {
    a = on.add(a, words[at]);
    b = on.add(b, words[at + 1]);
    c = on.add(c, words[at + 2]);
    mix(a, b, c, 4);
    mix(b, c, a, 6);
    mix(c, a, b, 8);
    mix(a, b, c, 16);
    mix(b, c, a, 19);
    mix(c, a, b, 4);
  }
  if (at == words.size()) return c;
  a = on.add(a, words[at]);
  if (words.size() - at > 1) b = on.add(b, words[at + 1]);
  if (words.size() - at > 2) c = on.add(c, words[at + 2]);
  end(c, b, 14);
  end(a, c, 11);
  end(b, a, 25);
  end(c, b, 16);
  end(a, c, 4);
  end(b, a, 14);
  end(c, b, 24);
  return c;
}

// The same of bytes, in words of this machine's order.
[[nodiscard]] std::uint32_t jhash(ByteView bytes, std::uint32_t seed);

// reciprocal_scale() of include/linux/kernel.h: a number of 32 bits, brought below the modulus.
[[nodiscard]] constexpr std::uint32_t scaled(std::uint32_t number, std::uint32_t modulus) {
  return static_cast<std::uint32_t>((std::uint64_t{number} * modulus) >> 32);
}

}  // namespace weir::imr
