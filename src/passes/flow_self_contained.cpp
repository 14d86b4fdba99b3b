// SPDX-License-Identifier: BSD-2-Clause
#include "passes/flow_self_contained.h"

#include <algorithm>
#include <bit>
#include <map>
#include <optional>

namespace weir::passes {
namespace {

using flow::BlockId;
using flow::Condition;
using flow::Function;
using flow::Instruction;
using flow::Op;
using flow::Reg;
using flow::Terminator;

// Keys from `first` to `last` have `value`. Keys compare as memcmp(3) does.
struct Range {
  Bytes first;
  Bytes last;
  Bytes value;
};

// A key that is larger by one; false when there is none.
bool increment(Bytes& key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    if (++key[i] != 0) return true;
  }
  return false;
}
void decrement(Bytes& key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    if (key[i]-- != 0) return;
  }
}

// Adds [first, last], to the range before it where both are one.
void append(std::vector<Range>& ranges, const Bytes& first, const Bytes& last, const Bytes& value) {
  if (!ranges.empty() && ranges.back().value == value) {
    Bytes next = ranges.back().last;
    if (increment(next) && next == first) {
      ranges.back().last = last;
      return;
    }
  }
  ranges.push_back({first, last, value});
}

// What each prefix of a trie decides, where no longer one does. Prefixes are nested or apart.
std::vector<Range> ranges_of_prefixes(const isa::MapSpec& map) {
  std::vector<Range> prefixes;
  const std::size_t size = map.key_size - 4;
  for (const isa::MapEntry& entry : map.entries) {
    const std::uint64_t length = load_native(ByteView(entry.key).first(4));
    Range prefix = {.first = Bytes(entry.key.begin() + 4, entry.key.end()), .value = entry.value};
    prefix.last = prefix.first;
    for (std::size_t bit = length; bit < size * 8; ++bit) {
      const auto mask = static_cast<std::uint8_t>(0x80 >> (bit % 8));
      prefix.first[bit / 8] &= static_cast<std::uint8_t>(~mask);
      prefix.last[bit / 8] |= mask;
    }
    prefixes.push_back(std::move(prefix));
  }
  std::ranges::sort(prefixes, [](const Range& a, const Range& b) {
    return a.first != b.first ? a.first < b.first : a.last > b.last;
  });
  std::vector<Range> out;
  std::vector<const Range*> open;  // each within the one before it
  Bytes from;                      // what lies before it has been decided
  bool done = false;               // there is nothing behind
  const auto close = [&] {
    if (!done && from <= open.back()->last) {
      append(out, from, open.back()->last, open.back()->value);
      from = open.back()->last;
      done = !increment(from);
    }
    open.pop_back();
  };
  for (const Range& prefix : prefixes) {
    while (!open.empty() && open.back()->last < prefix.first) close();
    if (!open.empty() && from < prefix.first) {
      Bytes before = prefix.first;
      decrement(before);
      append(out, from, before, open.back()->value);
    }
    from = prefix.first;
    open.push_back(&prefix);
  }
  while (!open.empty()) close();
  // Lookups have the prefix length before the key, that of the whole key.
  const Bytes length = native_bytes(8 * size, 4);
  for (Range& range : out) {
    range.first.insert(range.first.begin(), length.begin(), length.end());
    range.last.insert(range.last.begin(), length.begin(), length.end());
  }
  return out;
}

std::vector<Range> ranges_of(const isa::MapSpec& map) {
  if (map.type == isa::MapType::lpm_trie) return ranges_of_prefixes(map);
  std::map<Bytes, Bytes> values;
  if (map.type == isa::MapType::array) {
    for (std::uint32_t i = 0; i < map.max_entries; ++i) {
      values.emplace(native_bytes(i, 4), Bytes(map.value_size));
    }
  }
  for (const isa::MapEntry& entry : map.entries) values.insert_or_assign(entry.key, entry.value);
  std::vector<Range> out;
  for (const auto& [key, value] : values) out.push_back({key, key, value});
  return out;
}

// How the rows of a table lie: chunks of the first key, of the last one in tables of ranges, then
// the value. A row's size is a power of two, so that a masked index stays within the table.
struct Layout {
  bool ranges = false;
  std::size_t chunks = 0;
  std::size_t value = 0;  // offset
  std::size_t row = 0;    // size
  std::size_t rows = 0;   // a power of two
};

std::size_t padded(std::size_t size) {
  return (size + 7) / 8 * 8;
}

Layout layout_of(const isa::MapSpec& map, std::size_t count) {
  Layout out;
  out.ranges = map.type == isa::MapType::lpm_trie;
  out.chunks = padded(map.key_size) / 8;
  out.value = out.chunks * 8 * (out.ranges ? 2 : 1);
  out.row = std::bit_ceil(out.value + padded(map.value_size));
  out.rows = std::bit_ceil(count);
  return out;
}

// Chunks of a key stand in the table as numbers that compare as the key's bytes do.
void put_key(Bytes& out, Bytes key) {
  key.resize(padded(key.size()));
  for (std::size_t at = 0; at < key.size(); at += 8) {
    const Bytes chunk = native_bytes(load_big_endian(ByteView(key).subspan(at, 8)), 8);
    out.insert(out.end(), chunk.begin(), chunk.end());
  }
}

// The last row is repeated until there are a power of two.
Bytes table_of(const std::vector<Range>& ranges, const Layout& layout) {
  Bytes out;
  out.reserve(layout.rows * layout.row);
  for (std::size_t row = 0; row < layout.rows; ++row) {
    const Range& range = ranges[std::min(row, ranges.size() - 1)];
    put_key(out, range.first);
    if (layout.ranges) put_key(out, range.last);
    out.insert(out.end(), range.value.begin(), range.value.end());
    out.resize((row + 1) * layout.row);
  }
  return out;
}

isa::MapIndex find_or_add(std::vector<isa::MapSpec>& maps, isa::MapSpec spec) {
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const bool same = maps[i].name == spec.name && maps[i].type == spec.type &&
                      maps[i].value_size == spec.value_size && maps[i].entries.size() == 1 &&
                      maps[i].entries.front().value == spec.entries.front().value;
    if (same) return isa::MapIndex(i);
  }
  maps.push_back(std::move(spec));
  return isa::MapIndex(maps.size() - 1);
}

// The map that lowering reads its unknown zeros from.
isa::MapIndex opaque_map(std::vector<isa::MapSpec>& maps) {
  const auto it = std::ranges::find(maps, "opaque", &isa::MapSpec::name);
  if (it != maps.end()) return isa::MapIndex(static_cast<std::size_t>(it - maps.begin()));
  maps.push_back({.name = "opaque", .value_size = 8, .max_entries = 1});
  return isa::MapIndex(maps.size() - 1);
}

bool is_replaced(const Function& function, const Instruction& instruction) {
  if (instruction.op != Op::lookup) return false;
  const isa::MapSpec& map = function.maps.at(instruction.map.index());
  const bool kind = map.type == isa::MapType::hash || map.type == isa::MapType::lpm_trie ||
                    map.type == isa::MapType::array;
  return kind && !map.entries.empty() && !map.written_in_place;
}

// One lookup that becomes a search.
class Replacement {
 public:
  Replacement(Function& function, BlockId block, std::size_t at)
      : function_(function), block_(block), rule_(function[block].rule) {
    std::vector<Instruction>& all = function_[block].instructions;
    lookup_ = all[at];
    rest_.assign(all.begin() + static_cast<std::ptrdiff_t>(at) + 1, all.end());
    end_ = function_[block].end;
    all.resize(at);
  }

  void run() {
    const isa::MapSpec& map = function_.maps[lookup_.map.index()];
    const std::vector<Range> ranges = ranges_of(map);
    layout_ = layout_of(map, ranges.size());
    const isa::MapIndex table = find_or_add(
        function_.maps, {.name = map.name,
                         .value_size = static_cast<std::uint32_t>(layout_.rows * layout_.row),
                         .max_entries = 1,
                         .entries = {{native_bytes(0, 4), table_of(ranges, layout_)}}});
    // How lookups test what they got: against no address, at the end of the block.
    const bool tested = end_.kind == Terminator::Kind::branch && end_.a == lookup_.dst &&
                        !end_.b.valid() && end_.imm == 0 &&
                        (end_.condition == Condition::eq || end_.condition == Condition::ne);
    invariant(tested, "self-contained: a lookup's block does not end with the test of its result");
    const bool null_is_yes = end_.condition == Condition::eq;
    const BlockId miss = finish(null_is_yes ? end_.yes : end_.no, [&] {
      append({.op = Op::constant, .dst = lookup_.dst, .imm = 0});
    });
    search(table, miss);
    const Reg row = address(row_);
    append({.op = Op::add, .dst = lookup_.dst, .a = row, .imm = layout_.value});
    finish_here(null_is_yes ? end_.no : end_.yes);
  }

 private:
  void append(Instruction instruction) {
    function_[block_].instructions.push_back(std::move(instruction));
  }
  Reg binary(Op op, Reg a, std::uint64_t imm) {
    const Reg dst = function_.new_register();
    append({.op = op, .dst = dst, .a = a, .imm = imm});
    return dst;
  }
  Reg load(Reg base, std::size_t offset) {
    const Reg dst = function_.new_register();
    append({.op = Op::load, .dst = dst, .a = base, .imm = offset, .size = 8});
    return dst;
  }
  BlockId new_block() { return function_.new_block(rule_); }
  void jump(BlockId to) { function_[block_].end = {.kind = Terminator::Kind::jump, .yes = to}; }
  void branch(Condition condition, Reg a, Reg b, BlockId yes, BlockId no) {
    function_[block_].end = {.kind = Terminator::Kind::branch,
                             .condition = condition,
                             .a = a,
                             .b = b,
                             .yes = yes,
                             .no = no};
  }

  // Puts what stood behind the lookup here, and goes on to `next`.
  void finish_here(BlockId next) {
    for (const Instruction& instruction : rest_) append(instruction);
    jump(next);
  }
  // The same in a block of its own, begun by `start`.
  BlockId finish(BlockId next, auto start) {
    const BlockId here = block_;
    const BlockId own = block_ = new_block();
    start();
    finish_here(next);
    block_ = here;
    return own;
  }

  Reg address(Reg index) {
    const Reg masked = binary(Op::and_, index, layout_.rows - 1);
    const Reg offset = binary(Op::shl, masked, std::countr_zero(layout_.row));
    const Reg dst = function_.new_register();
    append({.op = Op::add, .dst = dst, .a = base_, .b = offset});
    return dst;
  }

  // Ends the block: compares chunks at `row` + `offset` with the key's.
  void compare(Reg row, std::size_t offset, Condition strict, Condition last, BlockId yes,
               BlockId no) {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const Reg chunk = load(row, offset + 8 * i);
      if (i + 1 == keys_.size()) {
        branch(last, chunk, keys_[i], yes, no);
        return;
      }
      const BlockId not_less = new_block();
      const BlockId equal = new_block();
      branch(strict, chunk, keys_[i], yes, not_less);
      block_ = not_less;
      branch(Condition::eq, chunk, keys_[i], equal, no);
      block_ = equal;
    }
  }

  // Leaves in row_ the index of the row that holds the key, or goes to `miss`. The index is unknown
  // to the kernel's verifier, whose states would double with each step else.
  void search(isa::MapIndex table, BlockId miss) {
    const Reg zero = function_.new_register();
    append({.op = Op::opaque_zero, .dst = zero, .map = opaque_map(function_.maps)});
    for (const Reg chunk : lookup_.args) keys_.push_back(binary_swap(chunk));
    base_ = function_.new_register();
    append({.op = Op::map_value, .dst = base_, .map = table});
    row_ = binary_swap(zero);
    for (std::size_t step = layout_.rows / 2; step > 0; step /= 2) {
      const Reg candidate = binary(Op::add, row_, step);
      const Reg row = address(candidate);
      const BlockId take = new_block();
      const BlockId join = new_block();
      compare(row, 0, Condition::lt, Condition::le, take, join);
      block_ = take;
      append({.op = Op::copy, .dst = row_, .a = candidate});
      jump(join);
      block_ = join;
    }
    const Reg row = address(row_);
    if (layout_.ranges) {
      require(row, 0, Condition::lt, Condition::le, miss);
      require(row, 8 * layout_.chunks, Condition::gt, Condition::ge, miss);
      return;
    }
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const Reg chunk = load(row, 8 * i);
      const BlockId on = new_block();
      branch(Condition::eq, chunk, keys_[i], on, miss);
      block_ = on;
    }
  }

  void require(Reg row, std::size_t offset, Condition strict, Condition last, BlockId miss) {
    const BlockId on = new_block();
    compare(row, offset, strict, last, on, miss);
    block_ = on;
  }

  // Most significant byte first, and not linked to what it was made of.
  Reg binary_swap(Reg a) {
    const Reg dst = function_.new_register();
    append({.op = Op::swap64, .dst = dst, .a = a});
    return dst;
  }

  Function& function_;
  BlockId block_;
  std::int32_t rule_;
  Instruction lookup_;
  std::vector<Instruction> rest_;
  Terminator end_;
  Layout layout_;
  std::vector<Reg> keys_;
  Reg base_;
  Reg row_;
};

}  // namespace

void flow_self_contained(Function& function) {
  // Blocks that a replacement makes may hold further lookups, and come later.
  for (std::size_t b = 0; b < function.blocks.size(); ++b) {
    const std::vector<Instruction>& instructions = function.blocks[b].instructions;
    const auto it = std::ranges::find_if(
        instructions, [&](const Instruction& i) { return is_replaced(function, i); });
    if (it == instructions.end()) continue;
    const auto at = static_cast<std::size_t>(it - instructions.begin());
    Replacement(function, BlockId(b), at).run();
  }
}

}  // namespace weir::passes
