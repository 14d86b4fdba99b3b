// SPDX-License-Identifier: BSD-2-Clause
#include "backend/sets.h"

#include <algorithm>
#include <bit>
#include <string>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::size_t max_code_narrow = 64;  // elements, keys of up to 8 bytes
constexpr std::size_t max_code_wide = 16;    // elements, longer keys
constexpr std::uint32_t no_prealloc = 1;     // BPF_F_NO_PREALLOC, which LPM tries ask for

bool single(const imr::Element& element) {
  return element.key == element.last;
}

// One search that is being emitted.
class Search {
 public:
  Search(Builder& out, const SetSearch& search, const Words& key, Reg opaque)
      : out_(out), search_(search), set_(search.set), key_(key), opaque_(opaque) {}

  void code() {
    chunks_ = big_endian_chunks(out_, key_);
    code(0, set_.elements.size());
  }
  void hash();
  void sorted_array();
  void lpm_trie();

 private:
  [[nodiscard]] BlockId hit(std::size_t element) const {
    return search_.hits.at(search_.classes.at(element));
  }
  void code(std::size_t from, std::size_t to);
  // Goes where class `value` (loaded from a map) says.
  void dispatch(Reg value);
  [[nodiscard]] isa::MapIndex find_or_add(isa::MapSpec spec);
  // The key's bytes in chunks of 8 for a lookup, behind `prefix` if that is valid (4 bytes).
  [[nodiscard]] std::vector<Reg> lookup_chunks(Reg prefix);

  Builder& out_;
  const SetSearch& search_;
  const imr::Set& set_;
  const Words& key_;
  Reg opaque_;
  std::vector<Reg> chunks_;
};

// Binary search over elements [from, to), which are sorted and do not overlap.
void Search::code(std::size_t from, std::size_t to) {
  if (from == to) {
    out_.jump(search_.miss);
    return;
  }
  if (to - from > 1) {
    const std::size_t middle = from + (to - from) / 2;
    const BlockId low = out_.block();
    const BlockId high = out_.block();
    branch_less(out_, chunks_, big_endian_chunks(set_.elements[middle].key), false, low, high);
    out_.at(low);
    code(from, middle);
    out_.at(high);
    code(middle, to);
    return;
  }
  const imr::Element& element = set_.elements[from];
  if (single(element)) {
    const std::vector<std::uint64_t> value = big_endian_chunks(element.key);
    for (std::size_t i = 0; i + 1 < value.size(); ++i) {
      out_.leave_if(Condition::ne, chunks_[i], value[i], search_.miss);
    }
    out_.branch(Condition::eq, chunks_.back(), value.back(), hit(from), search_.miss);
    return;
  }
  const BlockId above = out_.block();
  branch_less(out_, chunks_, big_endian_chunks(element.key), false, search_.miss, above);
  out_.at(above);
  branch_less(out_, chunks_, big_endian_chunks(element.last), true, hit(from), search_.miss);
}

void Search::dispatch(Reg value) {
  for (std::size_t i = 0; i + 1 < search_.hits.size(); ++i) {
    out_.leave_if(Condition::eq, value, i, search_.hits[i]);
  }
  out_.jump(search_.hits.back());
}

isa::MapIndex Search::find_or_add(isa::MapSpec spec) {
  std::vector<isa::MapSpec>& maps = out_.function().maps;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const bool same = maps[i].name == spec.name && maps[i].type == spec.type &&
                      maps[i].value_size == spec.value_size &&
                      std::ranges::equal(maps[i].entries, spec.entries,
                                         [](const isa::MapEntry& a, const isa::MapEntry& b) {
                                           return a.key == b.key && a.value == b.value;
                                         });
    if (same) return isa::MapIndex(i);
  }
  maps.push_back(std::move(spec));
  return isa::MapIndex(maps.size() - 1);
}

std::vector<Reg> Search::lookup_chunks(Reg prefix) {
  Words words = key_;
  std::size_t size = set_.key_size;
  if (prefix.valid()) {
    words.insert(words.begin(), {prefix, 4});
    size += 4;
  }
  std::vector<std::uint8_t> sizes((size + 7) / 8, 8);
  std::vector<Reg> chunks;
  for (const Word& word : recut(out_, words, sizes)) chunks.push_back(word.reg);
  return chunks;
}

std::string map_name(const imr::Set& set) {
  std::string name;
  for (const char c : set.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain ? c : '_';
  }
  return name.substr(0, 15);
}

void Search::hash() {
  isa::MapSpec spec{.name = map_name(set_),
                    .type = isa::MapType::hash,
                    .key_size = set_.key_size,
                    .value_size = 4,
                    .max_entries = static_cast<std::uint32_t>(set_.elements.size()),
                    .flags = 0,
                    .entries = {}};
  for (std::size_t i = 0; i < set_.elements.size(); ++i) {
    spec.entries.push_back({set_.elements[i].key, native_bytes(search_.classes[i], 4)});
  }
  const Reg value = out_.lookup(find_or_add(std::move(spec)),
                                static_cast<std::uint8_t>(set_.key_size), lookup_chunks({}));
  out_.leave_if(Condition::eq, value, 0, search_.miss);
  if (search_.hits.size() == 1) {
    out_.jump(search_.hits.front());
  } else {
    dispatch(out_.load(value, 0, 4));
  }
}

// One map value of 2^n rows {first, last, class} of 8 bytes each, ascending, filled up with copies
// of the last one. The last row that begins at or before the key is found in n steps; its index is
// kept unknown to the verifier, whose states would otherwise double with each step.
void Search::sorted_array() {
  constexpr std::uint64_t row_size = 32;  // a power of two, so that a masked index is in bounds
  const std::size_t rows = std::bit_ceil(set_.elements.size());
  Bytes table;
  const auto put = [&](std::uint64_t value) {
    const Bytes bytes = native_bytes(value, 8);
    table.insert(table.end(), bytes.begin(), bytes.end());
  };
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t i = std::min(row, set_.elements.size() - 1);
    put(load_big_endian(set_.elements[i].key));
    put(load_big_endian(set_.elements[i].last));
    put(search_.classes[i]);
    put(0);
  }
  isa::MapSpec spec{.name = map_name(set_),
                    .type = isa::MapType::array,
                    .key_size = 4,
                    .value_size = static_cast<std::uint32_t>(table.size()),
                    .max_entries = 1,
                    .flags = 0,
                    .entries = {{native_bytes(0, 4), table}}};
  const isa::MapIndex map = find_or_add(std::move(spec));
  const Reg key = big_endian_chunks(out_, key_).front();
  const Reg base = out_.map_value(map);
  const Reg row = out_.function().new_register();
  out_.assign_opaque(row, opaque_);
  const auto address = [&](Reg index) {
    const Reg masked = out_.binary(Op::and_, index, rows - 1);
    return out_.binary(Op::add, base, out_.binary(Op::shl, masked, 5));
  };
  static_assert(row_size == 1U << 5);
  for (std::size_t step = rows / 2; step > 0; step /= 2) {
    const Reg candidate = out_.binary(Op::add, row, step);
    const Reg first = out_.load(address(candidate), 0, 8);
    const BlockId take = out_.block();
    const BlockId join = out_.block();
    out_.branch(Condition::le, first, key, take, join);
    out_.at(take);
    out_.assign_copy(row, candidate);
    out_.jump(join);
    out_.at(join);
  }
  const Reg found = address(row);
  const auto require = [&](Condition condition, Reg bound) {
    const BlockId on = out_.block();
    out_.branch(condition, bound, key, on, search_.miss);
    out_.at(on);
  };
  require(Condition::le, out_.load(found, 0, 8));
  require(Condition::ge, out_.load(found, 8, 8));
  if (search_.hits.size() == 1) {
    out_.jump(search_.hits.front());
  } else {
    dispatch(out_.load(found, 16, 8));
  }
}

struct Prefix {
  Bytes data;
  std::uint32_t length = 0;  // bits
};

bool bit(const Bytes& bytes, std::size_t index) {
  return (bytes[index / 8] >> (7 - index % 8) & 1) != 0;
}

void set_bits_from(Bytes& bytes, std::size_t index, bool value) {
  for (std::size_t i = index; i < bytes.size() * 8; ++i) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> (i % 8));
    bytes[i / 8] = static_cast<std::uint8_t>(value ? bytes[i / 8] | mask : bytes[i / 8] & ~mask);
  }
}

// The fewest prefixes that cover [first, last] and nothing else, by halving the space from `prefix`
// (all of whose addresses start with its bits) downwards.
void cover(const Bytes& first, const Bytes& last, Prefix prefix, std::vector<Prefix>& out) {
  Bytes highest = prefix.data;
  set_bits_from(highest, prefix.length, true);
  if (highest < first || last < prefix.data) return;
  if (first <= prefix.data && highest <= last) {
    out.push_back(std::move(prefix));
    return;
  }
  Prefix upper = prefix;
  const auto mask = static_cast<std::uint8_t>(0x80 >> (prefix.length % 8));
  upper.data[prefix.length / 8] |= mask;
  ++prefix.length;
  ++upper.length;
  invariant(bit(upper.data, prefix.length - 1), "cover: the upper half has the bit set");
  cover(first, last, std::move(prefix), out);
  cover(first, last, std::move(upper), out);
}

void Search::lpm_trie() {
  isa::MapSpec spec{.name = map_name(set_),
                    .type = isa::MapType::lpm_trie,
                    .key_size = set_.key_size + 4U,
                    .value_size = 4,
                    .max_entries = 0,
                    .flags = no_prealloc,
                    .entries = {}};
  for (std::size_t i = 0; i < set_.elements.size(); ++i) {
    std::vector<Prefix> prefixes;
    cover(set_.elements[i].key, set_.elements[i].last, {Bytes(set_.key_size, 0), 0}, prefixes);
    for (const Prefix& prefix : prefixes) {
      Bytes key = native_bytes(prefix.length, 4);
      key.insert(key.end(), prefix.data.begin(), prefix.data.end());
      spec.entries.push_back({std::move(key), native_bytes(search_.classes[i], 4)});
    }
  }
  spec.max_entries = static_cast<std::uint32_t>(spec.entries.size());
  const auto key_size = static_cast<std::uint8_t>(spec.key_size);
  const Reg bits = out_.constant(8U * set_.key_size);
  const Reg value = out_.lookup(find_or_add(std::move(spec)), key_size, lookup_chunks(bits));
  out_.leave_if(Condition::eq, value, 0, search_.miss);
  dispatch(out_.load(value, 0, 4));
}

}  // namespace

SetForm set_form(const imr::Set& set) {
  const bool narrow = set.key_size <= 8;
  if (set.elements.size() <= (narrow ? max_code_narrow : max_code_wide)) return SetForm::code;
  if (std::ranges::all_of(set.elements, single)) return SetForm::hash;
  return narrow ? SetForm::sorted_array : SetForm::lpm_trie;
}

void search_set(Builder& out, const SetSearch& search, const Words& key, Reg opaque) {
  invariant(search.classes.size() == search.set.elements.size(), "search_set: a class each");
  Search emitter(out, search, key, opaque);
  switch (set_form(search.set)) {
    case SetForm::code:
      emitter.code();
      return;
    case SetForm::hash:
      emitter.hash();
      return;
    case SetForm::sorted_array:
      emitter.sorted_array();
      return;
    case SetForm::lpm_trie:
      emitter.lpm_trie();
      return;
  }
}

}  // namespace weir::backend
