// SPDX-License-Identifier: BSD-2-Clause
#include "backend/hash.h"

#include <algorithm>

#include "imr/hash.h"

namespace weir::backend {
namespace {

using flow::Op;
using flow::Reg;

// Of 32 bits in registers of 64, whose upper half stays zero.
class Code {
 public:
  using Word = Reg;
  explicit Code(Builder& out) : out_(out) {}

  Reg constant(std::uint32_t value) { return out_.constant(value); }
  Reg add(Reg a, Reg b) { return low(out_.binary(Op::add, a, b)); }
  Reg sub(Reg a, Reg b) { return low(out_.binary(Op::sub, a, b)); }
  Reg xor_(Reg a, Reg b) { return out_.binary(Op::xor_, a, b); }
  Reg rotate(Reg a, std::uint32_t bits) {
    const Reg left = low(out_.binary(Op::shl, a, bits));
    return out_.binary(Op::or_, left, out_.binary(Op::shr, a, 32 - bits));
  }

 private:
  Reg low(Reg a) { return out_.binary(Op::and_, a, 0xffffffff); }

  Builder& out_;
};

}  // namespace

Reg jhash(Builder& out, const Words& value, std::uint8_t length, std::uint32_t seed) {
  std::vector<std::uint8_t> sizes;
  for (int left = length; left > 0; left -= 4) {
    sizes.push_back(static_cast<std::uint8_t>(std::min(left, 4)));
  }
  std::vector<Reg> words;
  for (const Word& word : recut(out, value, sizes)) words.push_back(word.reg);
  Code code(out);
  return imr::jhash(code, words, length, seed);
}

}  // namespace weir::backend
