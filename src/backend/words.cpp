// SPDX-License-Identifier: BSD-2-Clause
#include "backend/words.h"

#include <algorithm>
#include <initializer_list>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

std::uint64_t wire16(std::uint64_t value) {
  return load_native(big_endian_bytes(value, 2));
}

std::vector<std::uint8_t> cut_sizes(std::size_t size) {
  std::vector<std::uint8_t> out;
  for (const std::uint8_t piece : std::initializer_list<std::uint8_t>{8, 4, 2, 1}) {
    while (size >= piece) {
      out.push_back(piece);
      size -= piece;
    }
  }
  return out;
}

std::size_t total_size(const Words& words) {
  std::size_t size = 0;
  for (const Word& word : words) size += word.size;
  return size;
}

namespace {

// `count` bytes of `word` from byte `from` on, as a register of their own.
Reg bytes_of(Builder& out, const Word& word, std::size_t from, std::size_t count) {
  Reg reg = word.reg;
  if (from != 0) reg = out.binary(Op::shr, reg, 8 * from);
  if (from + count < word.size) {
    reg = out.binary(Op::and_, reg, (std::uint64_t{1} << (8 * count)) - 1);
  }
  return reg;
}

}  // namespace

Words recut(Builder& out, const Words& words, const std::vector<std::uint8_t>& sizes) {
  Words result;
  std::size_t source = 0;  // word, and byte in it, of the next byte to take
  std::size_t offset = 0;
  for (const std::uint8_t size : sizes) {
    Reg reg;
    std::size_t filled = 0;
    while (filled < size && source < words.size()) {
      const Word& word = words[source];
      const std::size_t count = std::min<std::size_t>(size - filled, word.size - offset);
      Reg piece = bytes_of(out, word, offset, count);
      if (filled != 0) piece = out.binary(Op::shl, piece, 8 * filled);
      reg = reg.valid() ? out.binary(Op::or_, reg, piece) : piece;
      filled += count;
      offset += count;
      if (offset == word.size) {
        ++source;
        offset = 0;
      }
    }
    if (!reg.valid()) reg = out.constant(0);
    result.push_back({reg, size});
  }
  return result;
}

std::vector<Reg> big_endian_chunks(Builder& out, const Words& words) {
  const auto swapped = [&](const Word& word) {
    switch (word.size) {
      case 8:
        return out.unary(Op::swap64, word.reg);
      case 4:
        return out.unary(Op::swap32, word.reg);
      case 2:
        return out.unary(Op::swap16, word.reg);
      case 1:
        // The byte comes out as it was, but as a value that the verifier knows nothing about.
        return out.unary(Op::swap16, out.binary(Op::shl, word.reg, 8));
      default:
        throw InvariantError("word of an odd size");
    }
  };
  std::vector<Reg> chunks;
  std::size_t filled = 8;
  for (const Word& word : recut(out, words, cut_sizes(total_size(words)))) {
    const Reg reg = swapped(word);
    if (filled + word.size > 8) {
      chunks.push_back(reg);
      filled = word.size;
    } else {
      chunks.back() = out.binary(Op::or_, out.binary(Op::shl, chunks.back(), 8U * word.size), reg);
      filled += word.size;
    }
  }
  return chunks;
}

std::vector<std::uint64_t> big_endian_chunks(ByteView bytes) {
  std::vector<std::uint64_t> chunks;
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    chunks.push_back(
        load_big_endian(bytes.subspan(at, std::min<std::size_t>(8, bytes.size() - at))));
  }
  return chunks;
}

Reg difference(Builder& out, const Words& words, ByteView bytes) {
  Reg result;
  std::size_t at = 0;
  for (const Word& word : words) {
    const Reg part = out.binary(Op::xor_, word.reg, load_native(bytes.subspan(at, word.size)));
    result = result.valid() ? out.binary(Op::or_, result, part) : part;
    at += word.size;
  }
  invariant(result.valid() && at == bytes.size(), "difference: sizes differ");
  return result;
}

void branch_less(Builder& out, const std::vector<Reg>& chunks,
                 const std::vector<std::uint64_t>& bound, bool or_equal, BlockId yes, BlockId no) {
  invariant(chunks.size() == bound.size() && !chunks.empty(), "branch_less: sizes differ");
  for (std::size_t i = 0; i + 1 < chunks.size(); ++i) {
    out.leave_if(Condition::lt, chunks[i], bound[i], yes);
    out.leave_if(Condition::ne, chunks[i], bound[i], no);
  }
  out.branch(or_equal ? Condition::le : Condition::lt, chunks.back(), bound.back(), yes, no);
}

}  // namespace weir::backend
