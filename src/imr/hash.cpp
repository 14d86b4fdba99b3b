// SPDX-License-Identifier: BSD-2-Clause
#include "imr/hash.h"

#include <algorithm>
#include <bit>

namespace weir::imr {
namespace {

struct Numbers {
  using Word = std::uint32_t;
  static Word constant(std::uint32_t value) { return value; }
  static Word add(Word a, Word b) { return a + b; }
  static Word sub(Word a, Word b) { return a - b; }
  static Word xor_(Word a, Word b) { return a ^ b; }
  static Word rotate(Word a, std::uint32_t bits) { return std::rotl(a, static_cast<int>(bits)); }
};

}  // namespace

std::uint32_t jhash(ByteView bytes, std::uint32_t seed) {
  std::vector<std::uint32_t> words;
  for (std::size_t at = 0; at < bytes.size(); at += 4) {
    const ByteView word = bytes.subspan(at, std::min<std::size_t>(4, bytes.size() - at));
    words.push_back(static_cast<std::uint32_t>(load_native(word)));
  }
  Numbers numbers;
  return jhash(numbers, words, static_cast<std::uint32_t>(bytes.size()), seed);
}

}  // namespace weir::imr
