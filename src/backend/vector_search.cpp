// SPDX-License-Identifier: BSD-2-Clause
#include "backend/vector_search.h"

#include <algorithm>
#include <variant>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

VectorSearch::VectorSearch(Builder& out, const RunPlace& place, std::span<const Reg> key,
                           Reg opaque)
    : RunSearch(out, place, key, opaque, 0),
      vectors_(std::get<classify::BitVectors>(place.index.structure)),
      layout_(std::get<VectorLayout>(place.layout)) {}

std::size_t VectorSearch::rounds() const {
  const classify::Run& run = place_.index.run;
  const auto goes_on = std::ranges::count_if(
      run.action, [&](std::uint32_t action) { return run.actions[action].may_go_on(); });
  return vectors_.words + static_cast<std::size_t>(goes_on);
}

// By halves, of a power of two of classes. What is found so far is a number of which the verifier
// knows nothing, on either way.
Reg VectorSearch::class_of(std::size_t field) {
  const RunTable& starts = layout_.fields[field].starts;
  const Reg found = out_.function().new_register();
  out_.assign_opaque(found, opaque_);
  for (std::uint64_t half = starts.rows / 2; half > 0; half /= 2) {
    const Reg further = out_.binary(Op::add, found, half);
    const Reg start = out_.load(row(starts, further), 0, 8);
    const BlockId above = out_.block();
    const BlockId next = out_.block();
    out_.branch(Condition::gt, start, blurred(key_[field]), next, above);
    out_.at(above);
    out_.assign_copy(found, blurred(further));
    out_.jump(next);
    out_.at(next);
  }
  return found;
}

Reg VectorSearch::bits() {
  Reg out = later_;
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    const RunTable& vectors = layout_.fields[i].vectors;
    const std::uint64_t words = vectors.row_size / 8;
    Reg offset = out_.binary(Op::and_, word_, words - 1);
    offset = out_.binary(Op::shl, offset, 3);
    const Reg word = out_.load(out_.binary(Op::add, row(vectors, classes_[i]), offset), 0, 8);
    out = out_.binary(Op::and_, out, word);
  }
  return out;
}

void VectorSearch::first(BlockId miss) {
  for (std::size_t i = 0; i < key_.size(); ++i) classes_.push_back(class_of(i));
  for (Reg* reg : {&round_, &word_, &later_}) *reg = out_.function().new_register();
  out_.assign_opaque(round_, opaque_);
  out_.assign_opaque(word_, opaque_);
  out_.assign_copy(later_, out_.binary(Op::xor_, opaque_, ~std::uint64_t{0}));
  loop_ = out_.block();
  const BlockId next = out_.block();
  const BlockId found = out_.block();
  out_.jump(loop_);

  out_.at(loop_);
  // It is what shows the verifier that the loop ends, and is not reached before the last word.
  out_.leave_if(Condition::ge, round_, rounds() + 1, miss);
  out_.assign(round_, Op::add, round_, 1);
  out_.leave_if(Condition::ge, blurred(word_), vectors_.words, miss);
  const Reg left = bits();
  out_.branch(Condition::eq, blurred(left), 0, next, found);
  out_.at(next);
  out_.assign(word_, Op::add, word_, 1);
  out_.accumulate(word_, Op::add, opaque_);
  out_.assign_copy(later_, out_.binary(Op::xor_, opaque_, ~std::uint64_t{0}));
  out_.jump(loop_);

  out_.at(found);
  // The lowest bit alone.
  const Reg below = out_.binary(Op::sub, left, 1);
  const Reg lowest = out_.binary(Op::and_, left, out_.binary(Op::xor_, below, ~std::uint64_t{0}));
  const Reg upper = out_.binary(Op::shr, out_.binary(Op::mul, lowest, VectorLayout::factor),
                                std::uint64_t{VectorLayout::factor_shift});
  const Reg bit = out_.load(row(layout_.bits, upper), 0, 1);
  const Reg rule = out_.binary(Op::add, out_.binary(Op::shl, word_, 6), bit);
  met_ = row(layout_.actions, rule);
}

Reg VectorSearch::resume_at() {
  return out_.load(met_, 12, 4);
}

void VectorSearch::resume(Reg from) {
  out_.assign_copy(word_, blurred(out_.binary(Op::shr, from, 6)));
  const Reg all = out_.binary(Op::xor_, opaque_, ~std::uint64_t{0});
  out_.assign_copy(later_, out_.binary(Op::shl, all, out_.binary(Op::and_, from, 63)));
  out_.jump(loop_);
}

Reg VectorSearch::trace_entry() {
  return out_.load(met_, 8, 4);
}
Reg VectorSearch::extra(std::uint64_t offset) {
  return out_.load(met_, VectorLayout::action_extras + offset, 4);
}

}  // namespace weir::backend
