// SPDX-License-Identifier: BSD-2-Clause
//
// One loop with one counter that the verifier knows, which is how it sees the end. All else that
// goes round in it is a load of four bytes, or looks like one to the verifier: so it walks each
// round once, whatever the round before did. Comparisons, from which it learns, are of copies.
#include "backend/run_search.h"

#include <bit>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

Reg RunSearch::row(const RunTable& table, Reg index) {
  Reg offset = out_.binary(Op::and_, index, table.rows - 1U);
  const auto shift = static_cast<std::uint64_t>(std::countr_zero(table.row_size));
  if (shift != 0) offset = out_.binary(Op::shl, offset, shift);
  if (table.offset != 0) offset = out_.binary(Op::add, offset, table.offset);
  return out_.binary(Op::add, out_.map_value(place_.map), offset);
}

void RunSearch::pack() {
  words_.resize(tables_.words);
  for (std::size_t i = 0; i < key_.size(); ++i) {
    const classify::TupleTables::Place& place = tables_.places[i];
    const Reg part =
        place.shift == 0 ? key_[i] : out_.binary(Op::shl, key_[i], std::uint64_t{place.shift});
    Reg& word = words_[place.word];
    word = word.valid() ? out_.binary(Op::or_, word, part) : part;
  }
}

// classify::tuple_hash()
Reg RunSearch::hash(Reg table) {
  Reg sum;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const Reg mask = out_.load(table, RunLayout::table_masks + 8 * i, 8);
    const Reg masked = out_.binary(Op::and_, words_[i], mask);
    sum = sum.valid() ? out_.binary(Op::xor_, sum, masked) : masked;
    sum = out_.binary(Op::mul, sum, classify::tuple_factors.at(i));
    sum = out_.binary(Op::xor_, sum, out_.binary(Op::shr, sum, 32));
  }
  return sum;
}

// To the first entry of the next table's slot.
void RunSearch::advance() {
  const Reg table = row(place_.layout.tables, table_);
  out_.assign(table_, Op::add, table_, 1);
  out_.accumulate(table_, Op::add, opaque_);
  // No rule of this table, nor of those behind it, comes before what was found.
  const BlockId on = out_.block();
  out_.branch(Condition::le, out_.load(table, 0, 4), blurred(best_), end_, on);
  out_.at(on);
  const Reg slot = out_.binary(Op::and_, hash(table), out_.load(table, 8, 4));
  const Reg index = out_.binary(Op::add, slot, out_.load(table, 4, 4));
  out_.assign_load(entry_, row(place_.layout.slots, index), 0, 4);
  out_.jump(loop_);
}

void RunSearch::look() {
  const Reg entry = row(place_.layout.entries, entry_);
  const BlockId better = out_.block();
  const BlockId leave = out_.block();
  const BlockId next = out_.block();
  const Reg rank = out_.load(entry, 0, 4);
  out_.branch(Condition::gt, blurred(rank), blurred(best_), better, leave);

  out_.at(better);
  if (goes_on_) {
    const BlockId allowed = out_.block();
    out_.branch(Condition::gt, blurred(rank), blurred(limit_), next, allowed);
    out_.at(allowed);
  }
  std::uint64_t at = RunLayout::entry_words;
  Reg different;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const Reg value = out_.load(entry, at + 8 * i, 8);
    const Reg mask = out_.load(entry, at + 8 * (words_.size() + i), 8);
    const Reg bits = out_.binary(Op::and_, out_.binary(Op::xor_, words_[i], value), mask);
    different = different.valid() ? out_.binary(Op::or_, different, bits) : bits;
  }
  out_.leave_if(Condition::ne, different, 0, next);
  at += 16 * words_.size();
  for (const std::size_t field : tables_.ranged) {
    const std::uint8_t size = end_size(place_.index.run.list.bits(field));
    const BlockId above = out_.block();
    const BlockId inside = out_.block();
    out_.branch(Condition::lt, blurred(key_[field]), out_.load(entry, at, size), next, above);
    out_.at(above);
    const Reg last = out_.load(entry, at + size, size);
    out_.branch(Condition::gt, blurred(key_[field]), last, next, inside);
    out_.at(inside);
    at += 2U * size;
  }
  out_.assign_copy(best_, rank);
  out_.jump(leave);

  out_.at(leave);
  out_.assign_absent(entry_, opaque_, 4);
  out_.jump(loop_);
  out_.at(next);
  out_.assign_load(entry_, entry, 4, 4);
  out_.jump(loop_);
}

void RunSearch::begin() {
  out_.assign_opaque(table_, opaque_);
  out_.assign_absent(entry_, opaque_, 4);
  out_.assign_absent(best_, opaque_, 4);
  out_.jump(loop_);
}

Reg RunSearch::first(BlockId miss) {
  pack();
  for (Reg* reg : {&round_, &table_, &entry_, &best_, &limit_}) {
    *reg = out_.function().new_register();
  }
  if (goes_on_) {
    out_.assign_absent(limit_, opaque_, 4);
    out_.assign(limit_, Op::xor_, limit_, first_rank);
  }
  begin_ = out_.block();
  loop_ = out_.block();
  end_ = out_.block();
  out_.jump(begin_);
  out_.at(begin_);
  out_.assign_opaque(round_, opaque_);
  begin();

  out_.at(loop_);
  // Never: it is what shows the verifier that the loop ends.
  const std::size_t most = dispatches_ ? tables_.longest_search() + 1 : rounds();
  out_.leave_if(Condition::ge, round_, most + 1, miss);
  out_.assign(round_, Op::add, round_, 1);
  const BlockId chain = out_.block();
  const BlockId table = out_.block();
  out_.branch(Condition::eq, blurred(entry_), 0, table, chain);
  out_.at(table);
  advance();
  out_.at(chain);
  look();

  out_.at(end_);
  out_.leave_if(Condition::eq, blurred(best_), 0, miss);
  // first_rank is all ones.
  return row(place_.layout.actions, out_.binary(Op::xor_, best_, first_rank));
}

void RunSearch::resume(Reg action) {
  out_.assign_load(limit_, action, 12, 4);
  if (!dispatches_) {
    begin();
    return;
  }
  const Reg site = out_.function().new_register();
  out_.append({.op = Op::site, .dst = site, .imm = begin_.value});
  out_.dispatch(site, {{begin_.value, begin_}});
}

}  // namespace weir::backend
