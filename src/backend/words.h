// SPDX-License-Identifier: BSD-2-Clause
//
// Values of the IMR as registers. A value is a list of words in memory order, each of 8, 4, 2 or 1
// bytes held as a native load would give it; cut_sizes() says which.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/builder.h"
#include "base/bytes.h"

namespace weir::backend {

struct Word {
  flow::Reg reg;
  std::uint8_t size = 0;  // bytes
};
using Words = std::vector<Word>;

// What a native load of 2 bytes in network order gives where they hold `value`.
[[nodiscard]] std::uint64_t wire16(std::uint64_t value);

// The sizes into which a value of `size` bytes is cut: as many 8s as fit, then 4, 2, 1.
[[nodiscard]] std::vector<std::uint8_t> cut_sizes(std::size_t size);
[[nodiscard]] std::size_t total_size(const Words& words);

// The same bytes cut otherwise: word i of the result has sizes[i] bytes (1 to 8, any number). The
// result may be shorter than the value, and where it is longer, zero bytes follow.
[[nodiscard]] Words recut(Builder& out, const Words& words, const std::vector<std::uint8_t>& sizes);

// Most significant byte first, in chunks of 8 bytes and a rest: what ordered comparisons compare.
// The registers are new and not linked to the value's: what a comparison tells the kernel's
// verifier about them does not multiply its states (a chain of comparisons would get quadratic).
[[nodiscard]] std::vector<flow::Reg> big_endian_chunks(Builder& out, const Words& words);
[[nodiscard]] std::vector<std::uint64_t> big_endian_chunks(ByteView bytes);

// A register that is zero exactly when the value equals `bytes` (of the same size). Not linked to
// the value either.
[[nodiscard]] flow::Reg difference(Builder& out, const Words& words, ByteView bytes);

// Ends the block: lexicographic comparison of chunks with constants.
void branch_less(Builder& out, const std::vector<flow::Reg>& chunks,
                 const std::vector<std::uint64_t>& bound, bool or_equal, flow::BlockId yes,
                 flow::BlockId no);

}  // namespace weir::backend
