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

namespace {

class Search {
 public:
  Search(Builder& out, const RunSearch& search, std::span<const Reg> key, Reg opaque)
      : out_(out), tables_(search.tables), search_(search), key_(key), opaque_(opaque) {}

  Reg run(BlockId miss);

 private:
  void pack();
  void advance();
  void look();
  [[nodiscard]] Reg hash(Reg table);
  [[nodiscard]] Reg row(const RunTable& table, Reg index);
  // The same number in a register of which the verifier knows nothing.
  [[nodiscard]] Reg blurred(Reg reg) { return out_.binary(Op::add, reg, opaque_); }

  Builder& out_;
  const classify::TupleTables& tables_;
  const RunSearch& search_;
  std::span<const Reg> key_;
  Reg opaque_;
  std::vector<Reg> words_;
  Reg table_;  // the next one's number
  Reg entry_;  // the next one's number in the chain; 0: on to the next table
  Reg best_;   // the rank of the rule found so far
  BlockId loop_;
  BlockId end_;
};

Reg Search::row(const RunTable& table, Reg index) {
  Reg offset = out_.binary(Op::and_, index, table.rows - 1U);
  const auto shift = static_cast<std::uint64_t>(std::countr_zero(table.row_size));
  if (shift != 0) offset = out_.binary(Op::shl, offset, shift);
  if (table.offset != 0) offset = out_.binary(Op::add, offset, table.offset);
  return out_.binary(Op::add, out_.map_value(search_.map), offset);
}

void Search::pack() {
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
Reg Search::hash(Reg table) {
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
void Search::advance() {
  const Reg table = row(search_.layout.tables, table_);
  out_.assign(table_, Op::add, table_, 1);
  out_.accumulate(table_, Op::add, opaque_);
  // No rule of this table, nor of those behind it, comes before what was found.
  const BlockId on = out_.block();
  out_.branch(Condition::le, out_.load(table, 0, 4), blurred(best_), end_, on);
  out_.at(on);
  const Reg slot = out_.binary(Op::and_, hash(table), out_.load(table, 8, 4));
  const Reg index = out_.binary(Op::add, slot, out_.load(table, 4, 4));
  out_.assign_load(entry_, row(search_.layout.slots, index), 0, 4);
  out_.jump(loop_);
}

void Search::look() {
  const Reg entry = row(search_.layout.entries, entry_);
  const BlockId better = out_.block();
  const BlockId leave = out_.block();
  const BlockId next = out_.block();
  const Reg rank = out_.load(entry, 0, 4);
  out_.branch(Condition::gt, blurred(rank), blurred(best_), better, leave);

  out_.at(better);
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
    const std::uint8_t size = end_size(search_.run.list.bits(field));
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

Reg Search::run(BlockId miss) {
  pack();
  const Reg round = out_.function().new_register();
  table_ = out_.function().new_register();
  entry_ = out_.function().new_register();
  best_ = out_.function().new_register();
  out_.assign_opaque(round, opaque_);
  out_.assign_opaque(table_, opaque_);
  out_.assign_absent(entry_, opaque_, 4);
  out_.assign_absent(best_, opaque_, 4);
  loop_ = out_.block();
  end_ = out_.block();
  out_.jump(loop_);

  out_.at(loop_);
  out_.leave_if(Condition::ge, round, tables_.longest_search() + 1, end_);
  out_.assign(round, Op::add, round, 1);
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
  return row(search_.layout.actions, out_.binary(Op::xor_, best_, first_rank));
}

}  // namespace

Reg search_run(Builder& out, const RunSearch& search, std::span<const Reg> key, Reg opaque,
               BlockId miss) {
  return Search(out, search, key, opaque).run(miss);
}

}  // namespace weir::backend
