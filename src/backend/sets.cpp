// SPDX-License-Identifier: BSD-2-Clause
#include "backend/sets.h"

#include <algorithm>
#include <bit>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t no_element = 0xffffffff;

// One search that is being emitted. Its end is found() or a jump to the miss.
class Search {
 public:
  Search(Builder& out, const imr::Set& set, const SetPlace& place, const Words& key,
         const Start& start)
      : out_(out), set_(set), place_(place), key_(key), start_(start), opaque_(start.opaque) {}

  // Answers by a block each.
  std::vector<BlockId> hits;
  BlockId miss;
  // Answers by data: registers that take it, and where to go on.
  Words data;
  BlockId done;

  void run() {
    if (place_.updatable()) {
      const std::uint32_t bit = place_.version.bit;
      version_ = out_.binary(Op::shr, start_.set_versions.at(bit / 64), bit % 64);
      version_ = out_.binary(Op::and_, version_, 1);
    }
    switch (place_.form) {
      case SetForm::code:
        return code();
      case SetForm::hash:
        return hash();
      case SetForm::sorted_array:
        return sorted_array();
      case SetForm::lpm_trie:
        return lpm_trie();
      case SetForm::classes:
        return classes();
    }
    throw InvariantError("set form out of range");
  }

 private:
  [[nodiscard]] bool gives_data() const { return done.valid(); }
  void code();
  void fields_in_code();
  void code(const std::vector<Reg>& chunks, std::size_t from, std::size_t to);
  void hash();
  void sorted_array();
  void lpm_trie();
  void classes();
  // Goes on with the answer of that number, which a map gave.
  void found(Reg number);
  void dispatch(Reg number, std::size_t from, std::size_t to);
  void load_data(Reg address);
  [[nodiscard]] BlockId hit(std::size_t element) const {
    return hits.at(hits.size() == 1 ? 0 : answers_.of(element));
  }

  // The address of a row. `index` may be anything, and is masked.
  [[nodiscard]] Reg row(const SetTable& table, Reg index);
  // The last row that begins at or below the key; the first one where none
  // does. A start has as many words as the key.
  [[nodiscard]] Reg find_row(const SetTable& table, const std::vector<Reg>& key);
  void branch_row_at_most(Reg row, const std::vector<Reg>& key, BlockId yes, BlockId no);
  // Words in chunks of 8 for a lookup, with the set's number in front where it
  // has one.
  [[nodiscard]] std::vector<Reg> lookup_chunks(Words words, Reg prefix);
  // The words of each field, without padding.
  [[nodiscard]] std::vector<Words> fields();

  Builder& out_;
  const imr::Set& set_;
  const SetPlace& place_;
  const Words& key_;
  const Start& start_;
  Reg opaque_;
  Answers answers_;  // of sets in code
  Reg version_;      // of updatable sets
};

// ---- In code
// -----------------------------------------------------------------------------------

void Search::code() {
  answers_ = answers_of(set_);
  if (gives_data()) {
    for (std::size_t i = 0; i < set_.elements.size(); ++i) {
      hits.resize(std::max<std::size_t>(hits.size(), answers_.of(i) + 1U));
    }
    for (BlockId& hit : hits) hit = out_.block();
  }
  if (set_.has_interval_fields()) {
    fields_in_code();
  } else {
    code(big_endian_chunks(out_, key_), 0, set_.elements.size());
  }
  if (!gives_data()) return;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    out_.at(hits[i]);
    std::size_t at = 0;
    for (const Word& word : data) {
      out_.assign_constant(word.reg,
                           load_native(ByteView(answers_.data[i]).subspan(at, word.size)));
      at += word.size;
    }
    out_.jump(done);
  }
}

// Binary search over elements [from, to), which are sorted and do not overlap.
void Search::code(const std::vector<Reg>& chunks, std::size_t from, std::size_t to) {
  if (from == to) {
    out_.jump(miss);
    return;
  }
  if (to - from > 1) {
    const std::size_t middle = from + (to - from) / 2;
    const BlockId low = out_.block();
    const BlockId high = out_.block();
    branch_less(out_, chunks, big_endian_chunks(set_.elements[middle].key), false, low, high);
    out_.at(low);
    code(chunks, from, middle);
    out_.at(high);
    code(chunks, middle, to);
    return;
  }
  const imr::Element& element = set_.elements[from];
  if (is_single(element)) {
    const std::vector<std::uint64_t> value = big_endian_chunks(element.key);
    for (std::size_t i = 0; i + 1 < value.size(); ++i) {
      out_.leave_if(Condition::ne, chunks[i], value[i], miss);
    }
    out_.branch(Condition::eq, chunks.back(), value.back(), hit(from), miss);
    return;
  }
  const BlockId above = out_.block();
  branch_less(out_, chunks, big_endian_chunks(element.key), false, miss, above);
  out_.at(above);
  branch_less(out_, chunks, big_endian_chunks(element.last), true, hit(from), miss);
}

// One element after another, field by field: the first that holds the key
// decides.
void Search::fields_in_code() {
  std::vector<std::vector<Reg>> chunks;
  for (const Words& field : fields()) chunks.push_back(big_endian_chunks(out_, field));
  for (std::size_t i = 0; i < set_.elements.size(); ++i) {
    const imr::Element& element = set_.elements[i];
    const BlockId next = out_.block();
    std::size_t at = 0;
    for (std::size_t field = 0; field < chunks.size(); ++field) {
      const std::size_t size = set_.field_sizes[field];
      const auto first = big_endian_chunks(ByteView(element.key).subspan(at, size));
      const auto last = big_endian_chunks(ByteView(element.last).subspan(at, size));
      const BlockId above = out_.block();
      const BlockId inside = out_.block();
      branch_less(out_, chunks[field], first, false, next, above);
      out_.at(above);
      branch_less(out_, chunks[field], last, true, inside, next);
      out_.at(inside);
      at += imr::padded_size(size);
    }
    out_.jump(hit(i));
    out_.at(next);
  }
  out_.jump(miss);
}

std::vector<Words> Search::fields() {
  std::vector<std::uint8_t> sizes;
  std::vector<std::size_t> counts;  // words of each field, those of its padding aside
  std::vector<std::size_t> skipped;
  for (const std::size_t size : set_.field_sizes) {
    const std::vector<std::uint8_t> words = cut_sizes(size);
    const std::vector<std::uint8_t> padding = cut_sizes(imr::padded_size(size) - size);
    sizes.insert(sizes.end(), words.begin(), words.end());
    sizes.insert(sizes.end(), padding.begin(), padding.end());
    counts.push_back(words.size());
    skipped.push_back(padding.size());
  }
  const Words all = recut(out_, key_, sizes);
  std::vector<Words> out;
  auto at = all.begin();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out.emplace_back(at, at + static_cast<std::ptrdiff_t>(counts[i]));
    at += static_cast<std::ptrdiff_t>(counts[i] + skipped[i]);
  }
  return out;
}

// ---- Answers out of maps
// -------------------------------------------------------------------------

void Search::found(Reg number) {
  if (gives_data()) return load_data(row(place_.data, number));
  dispatch(number, 0, hits.size());
}

void Search::dispatch(Reg number, std::size_t from, std::size_t to) {
  if (to - from == 1) return out_.jump(hits[from]);
  const std::size_t middle = from + (to - from) / 2;
  const BlockId low = out_.block();
  const BlockId high = out_.block();
  out_.branch(Condition::lt, number, middle, low, high);
  out_.at(low);
  dispatch(number, from, middle);
  out_.at(high);
  dispatch(number, middle, to);
}

void Search::load_data(Reg address) {
  std::uint64_t at = 0;
  for (const Word& word : data) {
    out_.assign_load(word.reg, address, at, word.size);
    at += word.size;
  }
  out_.jump(done);
}

// ---- Keyed maps
// ----------------------------------------------------------------------------------

std::vector<Reg> Search::lookup_chunks(Words words, Reg prefix) {
  std::size_t size = place_.key_size;
  if (place_.numbered) {
    Reg number = out_.constant(place_.number);
    if (version_.valid()) number = out_.binary(Op::add, version_, place_.number);
    words.insert(words.begin(), {number, 4});
  }
  if (prefix.valid()) {
    words.insert(words.begin(), {prefix, 4});
    size += 4;
  }
  std::vector<Reg> chunks;
  for (const Word& word : recut(out_, words, std::vector<std::uint8_t>((size + 7) / 8, 8))) {
    chunks.push_back(word.reg);
  }
  return chunks;
}

void Search::hash() {
  const Reg value =
      out_.lookup(place_.map, static_cast<std::uint8_t>(place_.key_size), lookup_chunks(key_, {}));
  out_.leave_if(Condition::eq, value, 0, miss);
  if (gives_data()) return load_data(value);
  if (hits.size() == 1) return out_.jump(hits.front());
  found(out_.load(value, 0, 4));
}

void Search::lpm_trie() {
  const Reg bits = out_.constant(8U * (set_.key_size + (place_.numbered ? 4U : 0U)));
  const Reg value = out_.lookup(place_.map, static_cast<std::uint8_t>(place_.key_size + 4U),
                                lookup_chunks(key_, bits));
  out_.leave_if(Condition::eq, value, 0, miss);
  found(out_.load(value, 0, 4));
}

// ---- Tables
// --------------------------------------------------------------------------------------

Reg Search::row(const SetTable& table, Reg index) {
  const auto shift = static_cast<std::uint64_t>(std::countr_zero(table.row_size));
  Reg offset = out_.binary(Op::and_, index, table.rows - 1U);
  if (version_.valid()) {
    const auto bits = static_cast<std::uint64_t>(std::countr_zero(table.rows));
    offset = out_.binary(Op::add, offset, out_.binary(Op::shl, version_, bits));
  }
  offset = out_.binary(Op::shl, offset, shift);
  return out_.binary(Op::add, out_.map_value(table.map, table.offset), offset);
}

void Search::branch_row_at_most(Reg row, const std::vector<Reg>& key, BlockId yes, BlockId no) {
  for (std::size_t i = 0; i + 1 < key.size(); ++i) {
    const Reg start = out_.load(row, 8 * i, 8);
    const BlockId not_below = out_.block();
    const BlockId equal = out_.block();
    out_.branch(Condition::lt, start, key[i], yes, not_below);
    out_.at(not_below);
    out_.branch(Condition::eq, start, key[i], equal, no);
    out_.at(equal);
  }
  const std::size_t at = key.size() - 1;
  out_.branch(Condition::le, out_.load(row, 8 * at, 8), key[at], yes, no);
}

// In as many steps as the number of rows has bits. The row's number is kept
// unknown to the verifier, whose states would otherwise double with each step.
Reg Search::find_row(const SetTable& table, const std::vector<Reg>& key) {
  const Reg found = out_.function().new_register();
  out_.assign_opaque(found, opaque_);
  for (std::uint64_t step = table.rows / 2; step > 0; step /= 2) {
    const Reg candidate = out_.binary(Op::add, found, step);
    const BlockId take = out_.block();
    const BlockId join = out_.block();
    branch_row_at_most(row(table, candidate), key, take, join);
    out_.at(take);
    out_.assign_copy(found, candidate);
    out_.jump(join);
    out_.at(join);
  }
  return row(table, found);
}

void Search::sorted_array() {
  const std::vector<Reg> key = big_endian_chunks(out_, key_);
  const Reg row = find_row(place_.sorted, key);
  const auto require = [&](Condition condition, Reg bound) {
    const BlockId on = out_.block();
    out_.branch(condition, bound, key.front(), on, miss);
    out_.at(on);
  };
  require(Condition::le, out_.load(row, 0, 8));
  require(Condition::ge, out_.load(row, 8, 8));
  if (!gives_data() && hits.size() == 1) return out_.jump(hits.front());
  found(out_.load(row, 16, 8));
}

// The class of each field, then one lookup for each tuple. Those of a tuple
// behind the best element so far need no look.
void Search::classes() {
  std::vector<Reg> classes;
  const std::vector<Words> words = fields();
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::vector<Reg> key = big_endian_chunks(out_, words[i]);
    classes.push_back(out_.load(find_row(place_.fields[i], key), 8 * key.size(), 8));
  }
  const Reg tuple = out_.function().new_register();
  const Reg best = out_.function().new_register();
  const Reg answer = out_.function().new_register();
  const BlockId loop = out_.block();
  const BlockId next = out_.block();
  const BlockId better = out_.block();
  const BlockId end = out_.block();
  out_.assign_opaque(tuple, opaque_);
  out_.assign_opaque(best, opaque_, no_element);
  out_.assign_opaque(answer, opaque_);
  out_.jump(loop);

  out_.at(loop);
  out_.leave_if(Condition::ge, tuple, place_.tuples.rows, end);
  const Reg shifts = row(place_.tuples, tuple);
  const BlockId look = out_.block();
  out_.branch(Condition::lt, out_.load(shifts, 0, 4), best, look, end);
  out_.at(look);
  Words key = {{out_.binary(Op::and_, tuple, 0xffffffff), 4}};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const Reg shift = out_.binary(Op::and_, out_.load(shifts, 4 + i, 1), 31);
    key.push_back({out_.binary(Op::shr, classes[i], shift), 4});
  }
  const Reg value = out_.lookup(place_.map, static_cast<std::uint8_t>(place_.key_size),
                                lookup_chunks(std::move(key), {}));
  out_.leave_if(Condition::eq, value, 0, next);
  const Reg element = out_.load(value, 0, 4);
  const Reg its_answer = out_.load(value, 4, 4);
  out_.branch(Condition::lt, element, best, better, next);
  out_.at(better);
  out_.assign_copy(best, element);
  out_.assign_copy(answer, its_answer);
  out_.jump(next);
  out_.at(next);
  out_.assign(tuple, Op::add, tuple, 1);
  out_.accumulate(best, Op::add,
                  opaque_);  // forget what the verifier has learnt
  out_.jump(loop);

  out_.at(end);
  out_.leave_if(Condition::eq, best, no_element, miss);
  found(answer);
}

}  // namespace

void search_set(Builder& out, const SetSearch& search, const Words& key, const Start& start) {
  invariant(!search.hits.empty() || search.set.elements.empty(), "search_set: no way on");
  Search emitter(out, search.set, search.place, key, start);
  emitter.hits = search.hits;
  emitter.miss = search.miss;
  emitter.run();
}

Words look_up(Builder& out, const imr::Set& map, const SetPlace& place, const Words& key,
              BlockId absent, const Start& start) {
  Search emitter(out, map, place, key, start);
  for (const std::uint8_t size : cut_sizes(map.data_size)) {
    emitter.data.push_back({out.function().new_register(), size});
  }
  emitter.done = out.block();
  emitter.miss = map.catch_all ? out.block() : absent;
  emitter.run();
  if (map.catch_all) {
    out.at(emitter.miss);
    std::size_t at = 0;
    for (const Word& word : emitter.data) {
      out.assign_constant(word.reg,
                          load_native(ByteView(map.catch_all->data).subspan(at, word.size)));
      at += word.size;
    }
    out.jump(emitter.done);
  }
  out.at(emitter.done);
  return emitter.data;
}

}  // namespace weir::backend
