// SPDX-License-Identifier: BSD-2-Clause
//
// Straight code for each table, with a short loop over the entries of a slot. All that differs from
// one way to another is a load of four bytes, or looks like one to the verifier: so it walks each
// table once, whatever was found before. Comparisons, from which it learns, are of copies.
#include "backend/tuple_search.h"

#include <algorithm>
#include <variant>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

TupleSearch::TupleSearch(Builder& out, const RunPlace& place, std::span<const Reg> key, Reg opaque,
                         Reg turn, std::size_t direct_rounds)
    : RunSearch(out, place, key, opaque, TupleLayout::entry_action),
      tables_(std::get<classify::TupleTables>(place.index.structure)),
      layout_(std::get<TupleLayout>(place.layout)),
      turn_(turn),
      dispatches_(goes_on_ && tables_.longest_search() * place.searches > direct_rounds) {}

void TupleSearch::pack() {
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
Reg TupleSearch::hash(Reg row) {
  Reg sum;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const Reg mask = out_.load(row, TupleLayout::table_masks + 8 * i, 8);
    const Reg masked = out_.binary(Op::and_, words_[i], mask);
    const Reg product = out_.binary(Op::mul, masked, classify::tuple_factors.at(i));
    sum = sum.valid() ? out_.binary(Op::add, sum, product) : product;
  }
  return sum;
}

TupleSearch::Candidate TupleSearch::candidate(std::size_t table) {
  const classify::TupleTables::Row& made = tables_.rows[table];
  const Reg bits = out_.binary(Op::shr, hash(row(layout_.tables, table)),
                               std::uint64_t{made.shift - classify::TupleTables::mark_bits});
  const Reg offset = out_.binary(Op::and_, bits, ~std::uint64_t{7});
  const Reg first = out_.map_value(place_.map, layout_.slots.at(made.first_slot));
  const Reg slot = out_.load(out_.binary(Op::add, first, offset), 0, 8);
  const Reg marks = out_.binary(Op::shr, slot, slot_marks_shift);
  const Reg mark = out_.binary(Op::and_, bits, 7);
  const Reg marked = out_.binary(Op::and_, out_.binary(Op::shr, marks, mark), 1);
  const Reg entry = out_.binary(Op::and_, slot, most_entries - 1);
  return {.rank = out_.binary(Op::shr, slot, 32),
          .entry = out_.binary(Op::mul, entry, marked),
          .what = {}};
}

void TupleSearch::look(std::size_t longest_chain, BlockId done) {
  const BlockId loop = out_.block();
  const BlockId next = out_.block();
  out_.assign_opaque(round_, opaque_);
  out_.jump(loop);
  out_.at(loop);
  // Never: it is what shows the verifier that the loop ends.
  out_.leave_if(Condition::ge, round_, longest_chain, done);
  out_.assign(round_, Op::add, round_, 1);
  const Reg entry = row(layout_.entries, entry_);
  const Reg rank = out_.load(entry, 0, 4);
  const auto leave_unless_above = [&](Reg a, Reg b, BlockId elsewhere) {
    const BlockId on = out_.block();
    out_.branch(Condition::gt, blurred(a), blurred(b), on, elsewhere);
    out_.at(on);
  };
  leave_unless_above(rank, best_, done);
  if (goes_on_) {
    const BlockId allowed = out_.block();
    out_.branch(Condition::gt, blurred(rank), blurred(limit_), next, allowed);
    out_.at(allowed);
  }
  const Reg shape = row(layout_.shapes, out_.binary(Op::shr, what_, shape_shift));
  Reg different;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const Reg value = out_.load(entry, TupleLayout::entry_words + 8 * i, 8);
    const Reg mask = out_.load(shape, 8 * i, 8);
    const Reg bits = out_.binary(Op::and_, out_.binary(Op::xor_, words_[i], value), mask);
    different = different.valid() ? out_.binary(Op::or_, different, bits) : bits;
  }
  if (turn_.valid()) {
    different = out_.binary(Op::or_, different, out_.binary(Op::and_, what_, turn_));
  }
  out_.leave_if(Condition::ne, different, 0, next);
  std::uint64_t at = 8 * words_.size();
  for (const std::size_t field : tables_.ranged) {
    const std::uint8_t size = range_size(place_.index.run.list.bits(field));
    // The distance from the lower end wraps around below it.
    const Reg distance = out_.binary(Op::sub, key_[field], out_.load(shape, at, size));
    const BlockId inside = out_.block();
    out_.branch(Condition::gt, distance, out_.load(shape, at + size, size), next, inside);
    out_.at(inside);
    at += 2U * size;
  }
  out_.assign_copy(best_, rank);
  out_.assign_copy(best_entry_, entry_);
  out_.jump(done);

  out_.at(next);
  out_.assign_load(entry_, row(layout_.entries, entry_), 4, 4);
  const BlockId another = out_.block();
  out_.branch(Condition::eq, blurred(entry_), 0, done, another);
  out_.at(another);
  out_.assign_load(what_, row(layout_.entries, entry_), TupleLayout::entry_shape, 4);
  out_.jump(loop);
}

std::vector<TupleSearch::Candidate> TupleSearch::candidates(std::size_t from) {
  std::vector<Candidate> out;
  for (std::size_t i = from; i < std::min(from + together, tables_.rows.size()); ++i) {
    out.push_back(candidate(i));
  }
  if (layout_.size < far_memory) return out;
  for (Candidate& one : out) {
    one.what = out_.load(row(layout_.entries, one.entry), TupleLayout::entry_shape, 4);
  }
  return out;
}

void TupleSearch::begin(BlockId miss) {
  out_.assign_absent(best_, opaque_, 4);
  out_.assign_absent(best_entry_, opaque_, 4);
  const BlockId end = out_.block();
  std::vector<Candidate> group;
  for (std::size_t table = 0; table < tables_.rows.size(); ++table) {
    if (table % together == 0) {
      // No rule of this table, nor of those behind it, comes before what was found.
      if (table > 0) {
        const BlockId on = out_.block();
        const Reg first = out_.load(row(layout_.tables, table), 0, 4);
        out_.branch(Condition::le, first, blurred(best_), end, on);
        out_.at(on);
      }
      group = candidates(table);
    }
    const Candidate& here = group[table % together];
    const BlockId better = out_.block();
    const BlockId done = out_.block();
    out_.leave_if(Condition::eq, here.entry, 0, done);
    out_.branch(Condition::gt, here.rank, blurred(best_), better, done);
    out_.at(better);
    out_.append({.op = Op::add, .dst = entry_, .a = here.entry, .b = opaque_});
    if (here.what.valid()) {
      out_.append({.op = Op::add, .dst = what_, .a = here.what, .b = opaque_});
    } else {
      out_.assign_load(what_, row(layout_.entries, entry_), TupleLayout::entry_shape, 4);
    }
    const std::size_t room = layout_.updatable ? chain_room : 0;
    look(std::max<std::size_t>(tables_.rows[table].longest_chain + room, 1), done);
    out_.at(done);
  }
  out_.jump(end);
  out_.at(end);
  out_.leave_if(Condition::eq, blurred(best_), 0, miss);
  met_ = row(layout_.entries, best_entry_);
}

void TupleSearch::first(BlockId miss) {
  pack();
  for (Reg* reg : {&searches_, &round_, &entry_, &what_, &best_, &best_entry_, &limit_}) {
    *reg = out_.function().new_register();
  }
  begin_ = out_.block();
  if (goes_on_) {
    out_.assign_absent(limit_, opaque_, 4);
    out_.assign(limit_, Op::xor_, limit_, 0xffffffff);  // above all ranks
    if (!dispatches_) out_.assign_opaque(searches_, opaque_);
  }
  out_.jump(begin_);
  out_.at(begin_);
  if (goes_on_ && !dispatches_) {
    // Never: it is what shows the verifier that the loop ends.
    out_.leave_if(Condition::ge, searches_, place_.searches, miss);
    out_.assign(searches_, Op::add, searches_, 1);
  }
  begin(miss);
}

Reg TupleSearch::resume_at() {
  return out_.load(note(), 4, 4);
}

void TupleSearch::resume(Reg from) {
  out_.assign_copy(limit_, from);
  if (!dispatches_) {
    out_.jump(begin_);
    return;
  }
  const Reg site = out_.function().new_register();
  out_.append({.op = Op::site, .dst = site, .imm = begin_.value});
  out_.dispatch(site, {{begin_.value, begin_}});
}

Reg TupleSearch::note() {
  return row(layout_.notes, best_entry_);
}
Reg TupleSearch::trace_entry() {
  return out_.load(note(), 0, 4);
}
Reg TupleSearch::extra(std::uint64_t offset) {
  return out_.load(note(), TupleLayout::note_extras + offset, 4);
}

}  // namespace weir::backend
