// SPDX-License-Identifier: BSD-2-Clause
#include "classify/tuples.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"

namespace weir::classify {
namespace {

using Place = TupleTables::Place;
using Row = TupleTables::Row;
using Words = TupleTables::Words;
constexpr std::uint32_t none = TupleTables::none;
constexpr std::size_t most_words = TupleTables::most_words;

// Of rules in one slot when a table is chosen for another one. More are searched one by one, fewer
// need more tables.
constexpr std::uint32_t longest_chain = 8;
// Bits of the fields by which tables are told first: addresses, not ports.
constexpr unsigned narrowest_wide = 24;
constexpr unsigned last_step = 2;

class Tuples final : public Structure {
 public:
  explicit Tuples(TupleTables tables) : t_(std::move(tables)) {}

  std::optional<std::uint32_t> next_match(std::span<const std::uint64_t> key,
                                          std::uint32_t from) const override;
  std::size_t bytes() const override { return t_.bytes(); }
  double cost() const override { return t_.cost(); }

 private:
  [[nodiscard]] bool holds(std::uint32_t entry, const Words& key,
                           std::span<const std::uint64_t> fields) const;

  TupleTables t_;
};

Words pack(std::span<const Place> places, std::span<const std::uint64_t> key) {
  Words out = {};
  for (std::size_t i = 0; i < places.size(); ++i) {
    out.at(places[i].word) |= key[i] << places[i].shift;
  }
  return out;
}

bool Tuples::holds(std::uint32_t entry, const Words& key,
                   std::span<const std::uint64_t> fields) const {
  const TupleTables::Shape& shape = t_.shapes[t_.entries[entry].shape];
  for (std::size_t i = 0; i < t_.words; ++i) {
    if (((key.at(i) ^ t_.values[entry * t_.words + i]) & shape.masks[i]) != 0) return false;
  }
  for (std::size_t i = 0; i < t_.ranged.size(); ++i) {
    if (!shape.ranges[i].contains(fields[t_.ranged[i]])) return false;
  }
  return true;
}

std::optional<std::uint32_t> Tuples::next_match(std::span<const std::uint64_t> key,
                                                std::uint32_t from) const {
  const Words packed = pack(t_.places, key);
  std::uint32_t best = none;
  for (const Row& row : t_.rows) {
    if (row.first_rule >= best) break;
    const std::uint64_t hash = tuple_hash(packed, row.masks, t_.words);
    const TupleTables::Slot& slot = t_.slots[row.slot_of(hash)];
    if ((slot.marks & row.mark_of(hash)) == 0) continue;
    for (std::uint32_t entry = slot.entry; entry != none; entry = t_.entries[entry].next) {
      const std::uint32_t rule = t_.entries[entry].rule;
      if (rule >= best) break;
      if (rule >= from && holds(entry, packed, key)) {
        best = rule;
        break;
      }
    }
  }
  if (best == none) return std::nullopt;
  return best;
}

// A table while rules are put in.
struct Table {
  std::vector<unsigned> lengths;  // by field
  Words masks = {};
  std::vector<std::uint32_t> rules;
  std::unordered_map<std::uint64_t, std::uint32_t> chains;  // rules by the hash of what is masked
};

class Maker {
 public:
  explicit Maker(const RuleList& rules) : rules_(rules) {}

  // False where the key has too many words.
  bool place_fields();
  void distribute();
  TupleTables finish();

 private:
  [[nodiscard]] Words mask_of(std::span<const unsigned> lengths) const;
  [[nodiscard]] Words value_of(std::size_t rule) const;
  [[nodiscard]] std::vector<unsigned> shortened(std::span<const unsigned> lengths,
                                                unsigned step) const;
  void put(std::uint32_t rule);
  void fill(const Table& table);
  std::uint32_t shape_number(const TupleTables::Shape& shape);
  void sort_shapes();

  const RuleList& rules_;
  TupleTables out_;
  std::vector<Table> tables_;
  std::map<TupleTables::Shape, std::uint32_t> shape_numbers_;
  std::vector<std::uint32_t> rules_of_shape_;
};

bool Maker::place_fields() {
  unsigned used = 64;  // of the last word
  for (std::size_t field = 0; field < rules_.fields(); ++field) {
    const unsigned bits = rules_.bits(field);
    if (used + bits > 64) {
      if (++out_.words > most_words) return false;
      used = 0;
    }
    out_.places.push_back({.word = static_cast<std::uint8_t>(out_.words - 1),
                           .shift = static_cast<std::uint8_t>(used),
                           .bits = static_cast<std::uint8_t>(bits)});
    used += bits;
    for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
      if (is_prefix(rules_[rule][field], bits)) continue;
      out_.ranged.push_back(field);
      break;
    }
  }
  return true;
}

Words Maker::mask_of(std::span<const unsigned> lengths) const {
  Words out = {};
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const Place& place = out_.places[i];
    out.at(place.word) |= prefix_mask(lengths[i], place.bits) << place.shift;
  }
  return out;
}

Words Maker::value_of(std::size_t rule) const {
  std::vector<std::uint64_t> firsts;
  for (const Range& range : rules_[rule]) firsts.push_back(range.first);
  return pack(out_.places, firsts);
}

// The lengths of a table that is made for a rule. The shorter they are, the more rules find a place
// in it, and the more of them in one slot. First only wide fields count, and no more than three
// quarters of their bits; then others where the rule wants one value; at last the rule's own.
std::vector<unsigned> Maker::shortened(std::span<const unsigned> lengths, unsigned step) const {
  std::vector<unsigned> out(lengths.begin(), lengths.end());
  if (step == last_step) return out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const unsigned bits = rules_.bits(i);
    if (bits < narrowest_wide) {
      out[i] = step == 0 || out[i] < bits ? 0 : bits;
    } else if (step == 0 || out[i] < bits) {
      out[i] = out[i] >= bits * 3 / 4 ? bits * 3 / 4 : out[i] >= bits / 2 ? bits / 2 : 0;
    }
  }
  return out;
}

// Into the table with the longest prefixes in which its chain is short, or a new one.
void Maker::put(std::uint32_t rule) {
  std::vector<unsigned> lengths;
  for (std::size_t field = 0; field < rules_.fields(); ++field) {
    lengths.push_back(common_prefix(rules_[rule][field], rules_.bits(field)));
  }
  const Words value = value_of(rule);
  Table* best = nullptr;
  unsigned best_sum = 0;
  for (Table& table : tables_) {
    unsigned sum = 0;
    bool fits = true;
    for (std::size_t i = 0; i < lengths.size() && fits; ++i) {
      fits = table.lengths[i] <= lengths[i];
      sum += table.lengths[i];
    }
    if (!fits || (best != nullptr && sum <= best_sum)) continue;
    const auto chain = table.chains.find(tuple_hash(value, table.masks, out_.words));
    if (chain != table.chains.end() && chain->second >= longest_chain) continue;
    best = &table;
    best_sum = sum;
  }
  // A table that is there already is full at this place; only in the last one chains grow.
  for (unsigned step = 0; best == nullptr; ++step) {
    const std::vector<unsigned> wanted = shortened(lengths, step);
    // A table that tells nothing is one chain, which every packet walks.
    if (step < last_step && std::ranges::all_of(wanted, [](unsigned one) { return one == 0; })) {
      continue;
    }
    const auto found = std::ranges::find(tables_, wanted, &Table::lengths);
    if (found != tables_.end()) {
      if (step == last_step) best = &*found;
      continue;
    }
    tables_.push_back({.lengths = wanted, .masks = mask_of(wanted), .rules = {}, .chains = {}});
    best = &tables_.back();
  }
  best->rules.push_back(rule);
  ++best->chains[tuple_hash(value, best->masks, out_.words)];
}

void Maker::distribute() {
  for (std::size_t rule = 0; rule < rules_.size(); ++rule) put(static_cast<std::uint32_t>(rule));
}

// Rules come in ascending order: each goes to the end of its slot's chain.
void Maker::fill(const Table& table) {
  TupleTables& out = out_;
  const std::size_t slots = std::bit_ceil(table.chains.size() * 2);
  const auto first_slot = static_cast<std::uint32_t>(out.slots.size());
  Row& row =
      out.rows.emplace_back(Row{.first_rule = table.rules.front(),
                                .first_slot = first_slot,
                                .shift = 64U - static_cast<std::uint32_t>(std::countr_zero(slots)),
                                .longest_chain = 0,
                                .masks = table.masks});
  out.slots.resize(out.slots.size() + slots);
  struct Chain {
    std::uint32_t last = none;
    std::uint32_t length = 0;
  };
  std::vector<Chain> chains(slots);
  for (const std::uint32_t rule : table.rules) {
    const auto entry = static_cast<std::uint32_t>(out.entries.size());
    const Words value = value_of(rule);
    const std::uint64_t hash = tuple_hash(value, table.masks, out.words);
    TupleTables::Slot& slot = out.slots[row.slot_of(hash)];
    Chain& chain = chains[row.slot_of(hash) - first_slot];
    (chain.last == none ? slot.entry : out.entries[chain.last].next) = entry;
    slot.marks |= row.mark_of(hash);
    chain.last = entry;
    row.longest_chain = std::max(row.longest_chain, ++chain.length);
    const auto tested = out.tested(rules_[rule]);
    out.entries.push_back({.rule = rule, .next = none, .shape = shape_number(tested->shape)});
    for (std::size_t i = 0; i < out.words; ++i) out.values.push_back(tested->values.at(i));
  }
}

std::uint32_t Maker::shape_number(const TupleTables::Shape& shape) {
  const auto [known, is_new] =
      shape_numbers_.emplace(shape, static_cast<std::uint32_t>(out_.shapes.size()));
  if (is_new) {
    out_.shapes.push_back(shape);
    rules_of_shape_.push_back(0);
  }
  ++rules_of_shape_[known->second];
  return known->second;
}

// Those of most rules lie side by side then.
void Maker::sort_shapes() {
  std::vector<std::uint32_t> order(out_.shapes.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](std::uint32_t shape) { return rules_of_shape_[shape]; });
  std::vector<std::uint32_t> place(order.size());
  std::vector<TupleTables::Shape> sorted;
  for (const std::uint32_t shape : order) {
    place[shape] = static_cast<std::uint32_t>(sorted.size());
    sorted.push_back(std::move(out_.shapes[shape]));
  }
  out_.shapes = std::move(sorted);
  for (TupleTables::Entry& entry : out_.entries) entry.shape = place[entry.shape];
}

TupleTables Maker::finish() {
  std::ranges::sort(tables_, {}, [](const Table& table) { return table.rules.front(); });
  for (const Table& table : tables_) fill(table);
  sort_shapes();
  return std::move(out_);
}

}  // namespace

const TupleTables::Words tuple_factors = {
    0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0xd6e8feb86659fd93,
    0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 0x94d049bb133111eb, 0xbf58476d1ce4e5b9};

// A multiplication carries bits upwards. The words are multiplied each for itself, and so at the
// same time.
std::uint64_t tuple_hash(const TupleTables::Words& key, const TupleTables::Words& masks,
                         std::size_t words) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words; ++i) sum += (key.at(i) & masks.at(i)) * tuple_factors.at(i);
  return sum;
}

std::optional<TupleTables::Tested> TupleTables::tested(std::span<const Range> fields) const {
  Tested out;
  out.shape.masks.assign(words, 0);
  for (std::size_t field = 0; field < fields.size(); ++field) {
    const Place& place = places[field];
    const Range& range = fields[field];
    const bool is_ranged = std::ranges::find(ranged, field) != ranged.end();
    if (!is_prefix(range, place.bits)) {
      if (!is_ranged) return std::nullopt;
      out.shape.ranges.push_back(range);
      continue;
    }
    if (is_ranged) out.shape.ranges.push_back({0, prefix_mask(place.bits, place.bits)});
    const std::uint64_t mask = prefix_mask(common_prefix(range, place.bits), place.bits);
    out.shape.masks[place.word] |= mask << place.shift;
    out.values.at(place.word) |= (range.first & mask) << place.shift;
  }
  return out;
}

void TupleTables::add_catch_all() {
  if (std::ranges::any_of(rows, [](const Row& row) { return row.masks == Words{}; })) return;
  rows.push_back(
      {.first_rule = none, .first_slot = static_cast<std::uint32_t>(slots.size()), .shift = 63});
  slots.resize(slots.size() + 2);
}

std::size_t TupleTables::longest_search() const {
  std::size_t sum = 0;
  for (const Row& row : rows) sum += 1 + row.longest_chain;
  return sum;
}

std::size_t TupleTables::bytes() const {
  return rows.size() * (8 + 8 * words) + 8 * slots.size() +
         shapes.size() * (8 * words + 8 * ranged.size()) + entries.size() * (16 + 8 * words);
}

// The key, the code of each table, and one after another the slots of every four and some two
// entries, by the caches that they lie in. Measured at XDP.
double TupleTables::cost() const {
  const auto memory = static_cast<double>(bytes());
  const double load = memory < 0.25e6 ? 5
                      : memory < 1e6  ? 10
                      : memory < 2e6  ? 15
                      : memory < 16e6 ? 45
                                      : 60;
  const auto tables = static_cast<double>(rows.size());
  return 25 + 7 * tables + load * (2 + tables / 4);
}

std::optional<TupleTables> make_tuple_tables(const RuleList& rules) {
  Maker maker(rules);
  if (!maker.place_fields()) return std::nullopt;
  maker.distribute();
  return maker.finish();
}

std::unique_ptr<Structure> build_tuples(const RuleList& rules) {
  auto tables = make_tuple_tables(rules);
  return tables ? std::make_unique<Tuples>(std::move(*tables)) : nullptr;
}

}  // namespace weir::classify
