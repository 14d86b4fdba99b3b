// SPDX-License-Identifier: BSD-2-Clause
#include "backend/set_maps.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <list>
#include <tuple>

#include "backend/set_encoding.h"
#include "classify/runs.h"
#include "classify/tests.h"

namespace weir::backend {
namespace {

constexpr std::size_t max_code_narrow = 64;    // elements, keys of up to 8 bytes
constexpr std::size_t max_code_wide = 16;      // elements, longer keys
constexpr std::uint32_t no_prealloc = 1;       // BPF_F_NO_PREALLOC, which LPM tries ask for
constexpr std::size_t most_maps_of_sets = 40;  // of the 64 that a program may have

std::string map_name(const imr::Set& set) {
  std::string name;
  for (const char c : set.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain ? c : '_';
  }
  return name.substr(0, 15);
}

std::size_t maps_of(const imr::Set& set, SetForm form) {
  const std::size_t data = set.is_data_map() && form != SetForm::hash ? 1 : 0;
  switch (form) {
    case SetForm::code:
      return 0;
    case SetForm::hash:
    case SetForm::sorted_array:
    case SetForm::lpm_trie:
      return 1 + data;
    case SetForm::classes:
      return 2 + set.field_sizes.size() + data;
  }
  throw InvariantError("set form out of range");
}

// Of a set that may get any elements.
SetForm updatable_form(const imr::Set& set) {
  if (set.has_interval_fields()) return SetForm::classes;
  if (!set.interval) return SetForm::hash;
  return set.key_size <= 8 ? SetForm::sorted_array : SetForm::lpm_trie;
}

}  // namespace

class SetMapsMaker {
 public:
  SetMapsMaker(std::vector<isa::MapSpec>& maps, bool updatable)
      : maps_(maps), updatable_(updatable) {}

  void collect(const imr::Unit& unit) {
    for (const imr::SetId id : used_sets(unit)) {
      const imr::Set& set = unit.ruleset[id];
      const auto [found, fresh] =
          result_->entries_.try_emplace({set.table, set.name}, SetMaps::Entry{.set = set});
      if (fresh) {
        order_.push_back(&found->second);
        found->second.place.form =
            updatable_ && !set.anonymous ? updatable_form(set) : set_form(set);
      } else {
        invariant(found->second.set.elements == set.elements, "two sets of one name");
      }
    }
  }

  Result<std::shared_ptr<const SetMaps>> run() {
    std::size_t wanted = 0;
    for (const SetMaps::Entry* entry : order_) wanted += maps_of(entry->set, entry->place.form);
    if (updatable_) ++wanted;
    pooled_ = wanted > most_maps_of_sets;
    for (SetMaps::Entry* entry : order_) {
      const Answers answers = answers_of(entry->set);
      entry->verdicts = answers.verdicts;
      if (entry->place.form == SetForm::code) continue;
      if (updatable_ && !entry->set.anonymous) {
        WEIR_CHECK(place_updatable(*entry, answers));
        continue;
      }
      if (shares(*entry, answers)) continue;
      WEIR_CHECK(place(*entry, answers));
      placed_.push_back({entry, answers.numbers, answers.data});
    }
    finish_pools();
    return std::shared_ptr<const SetMaps>(std::move(result_));
  }

 private:
  struct Placed {
    const SetMaps::Entry* entry;
    std::vector<std::uint32_t> numbers;
    std::vector<Bytes> data;
  };
  struct Pool {
    isa::MapIndex map;
    std::vector<isa::MapEntry> entries;
    std::size_t room = 0;  // of updatable sets
  };

  // Whether a set before has the same contents, and so the same maps.
  bool shares(SetMaps::Entry& entry, const Answers& answers) const {
    for (const Placed& other : placed_) {
      const imr::Set& a = entry.set;
      const imr::Set& b = other.entry->set;
      const bool same = a.key_size == b.key_size && a.interval == b.interval &&
                        a.field_sizes == b.field_sizes && a.data_size == b.data_size &&
                        answers.numbers == other.numbers && answers.data == other.data &&
                        std::ranges::equal(a.elements, b.elements,
                                           [](const imr::Element& x, const imr::Element& y) {
                                             return x.key == y.key && x.last == y.last;
                                           });
      if (!same) continue;
      entry.place = other.entry->place;
      return true;
    }
    return false;
  }

  Status place(SetMaps::Entry& entry, const Answers& answers) {
    Pool* const pool = pool_for(entry, pooled_);
    WEIR_TRY(bytes, encode(entry.set, answers, entry.place, entry.place.number, {}));
    tables(entry, bytes);
    take(pool, std::move(bytes.entries));
    return {};
  }

  // With twice the room, and two versions of everything.
  Status place_updatable(SetMaps::Entry& entry, const Answers& answers) {
    // Room for elements that may come, divided among all sets.
    constexpr std::size_t spare_room = 8192;
    const std::size_t least_room = std::clamp<std::size_t>(spare_room / order_.size(), 32, 512);
    SetPlace& place = entry.place;
    const std::size_t elements = std::bit_ceil(2 * std::max(entry.set.elements.size(), least_room));
    entry.room = {.elements = static_cast<std::uint32_t>(elements),
                  .field_rows = static_cast<std::uint32_t>(2 * elements),
                  .tuples = 128,
                  .entries = 0};
    Pool* const pool = pool_for(entry, true);
    WEIR_TRY(bytes, encode(entry.set, answers, place, place.number, entry.room));
    if (place.form != SetForm::sorted_array) {
      entry.room.entries = static_cast<std::uint32_t>(
          std::max<std::size_t>(elements, std::bit_ceil(2 * bytes.entries.size())));
      pool->room += 2 * std::size_t{entry.room.entries};
    }
    const auto twice = [](Rows& rows) { rows.bytes.resize(2 * rows.bytes.size(), 0); };
    for (Rows* rows : {&bytes.sorted, &bytes.tuples, &bytes.data}) twice(*rows);
    for (Rows& rows : bytes.fields) twice(rows);
    entry.room.tuples = std::max(entry.room.tuples, bytes.tuples.count);
    tables(entry, bytes);
    take(pool, std::move(bytes.entries));
    if (!versions_.valid()) versions_ = add({.name = "set_versions", .max_entries = 1});
    place.version = {.map = versions_, .bit = version_bits_++};
    return {};
  }

  void tables(SetMaps::Entry& entry, SetBytes& bytes) {
    SetPlace& place = entry.place;
    place.sorted = table(entry.set, bytes.sorted);
    for (Rows& rows : bytes.fields) place.fields.push_back(table(entry.set, rows));
    place.tuples = table(entry.set, bytes.tuples);
    place.data = table(entry.set, bytes.data);
  }

  // Of its own name where no other map has it.
  isa::MapIndex add(isa::MapSpec spec) {
    const std::string stem = spec.name;
    for (unsigned i = 2; std::ranges::find(maps_, spec.name, &isa::MapSpec::name) != maps_.end();
         ++i) {
      const std::string tail = "_" + std::to_string(i);
      spec.name = stem.substr(0, 15 - tail.size()) + tail;
    }
    maps_.push_back(std::move(spec));
    return isa::MapIndex(maps_.size() - 1);
  }

  SetTable table(const imr::Set& set, Rows& rows) {
    if (rows.count == 0) return {};
    SetTable out{.map = {}, .offset = 0, .rows = rows.count, .row_size = rows.size};
    if (pooled_) {
      if (!tables_.valid()) tables_ = add({.name = "set_tables", .max_entries = 1});
      out.map = tables_;
      out.offset = table_bytes_.size();
      table_bytes_.insert(table_bytes_.end(), rows.bytes.begin(), rows.bytes.end());
      return out;
    }
    const auto size = static_cast<std::uint32_t>(rows.bytes.size());
    out.map = add({.name = map_name(set),
                   .type = isa::MapType::array,
                   .key_size = 4,
                   .value_size = size,
                   .max_entries = 1,
                   .flags = 0,
                   .entries = {{native_bytes(0, 4), std::move(rows.bytes)}}});
    return out;
  }

  // Where the keyed entries of a set go: a map of its own, or one that it
  // shares with others of its sizes, with its number in the keys. None where
  // the form has no such entries.
  Pool* pool_for(SetMaps::Entry& entry, bool numbered) {
    SetPlace& place = entry.place;
    if (place.form == SetForm::sorted_array) return nullptr;
    const bool is_trie = place.form == SetForm::lpm_trie;
    const isa::MapType type = is_trie ? isa::MapType::lpm_trie : isa::MapType::hash;
    const std::uint32_t prefix = is_trie ? 4 : 0;
    const std::uint32_t value_size = entry_value_size(entry.set, place.form);
    place.key_size = plain_key_size(entry.set, place.form);
    place.numbered = numbered;
    if (numbered) {
      place.number = next_number_;
      next_number_ += 2;
      place.key_size = static_cast<std::uint16_t>((place.key_size + 4U + 7U) / 8 * 8);
    }
    isa::MapSpec spec{.name = map_name(entry.set),
                      .type = type,
                      .key_size = place.key_size + prefix,
                      .value_size = value_size,
                      .max_entries = 0,
                      .flags = is_trie ? no_prealloc : 0,
                      .entries = {}};
    if (!pooled_) {
      place.map = add(std::move(spec));
      own_.push_back({place.map, {}, 0});
      return &own_.back();
    }
    spec.name = (is_trie ? "tries_" : "sets_") + std::to_string(place.key_size) + "_" +
                std::to_string(value_size);
    auto [found, fresh] = pools_.try_emplace({type, place.key_size, value_size});
    if (fresh) found->second.map = add(std::move(spec));
    place.map = found->second.map;
    return &found->second;
  }

  static void take(Pool* pool, std::vector<isa::MapEntry> entries) {
    if (pool == nullptr) return;
    if (pool->entries.empty()) {
      pool->entries = std::move(entries);
      return;
    }
    std::ranges::move(entries, std::back_inserter(pool->entries));
  }

  void finish(Pool& pool) {
    isa::MapSpec& spec = maps_.at(pool.map.index());
    spec.max_entries =
        static_cast<std::uint32_t>(std::max<std::size_t>({pool.entries.size(), pool.room, 1}));
    spec.entries = std::move(pool.entries);
  }

  void finish_pools() {
    for (Pool& pool : own_) finish(pool);
    for (auto& [key, pool] : pools_) finish(pool);
    if (versions_.valid()) {
      isa::MapSpec& spec = maps_.at(versions_.index());
      spec.value_size = (version_bits_ + 63) / 64 * 8;
    }
    if (!tables_.valid()) return;
    isa::MapSpec& spec = maps_.at(tables_.index());
    spec.value_size = static_cast<std::uint32_t>(table_bytes_.size());
    spec.entries = {{native_bytes(0, 4), std::move(table_bytes_)}};
  }

  std::vector<isa::MapSpec>& maps_;
  std::shared_ptr<SetMaps> result_ = std::make_shared<SetMaps>();
  std::vector<SetMaps::Entry*> order_;  // in order of first use
  std::vector<Placed> placed_;
  bool updatable_ = false;
  bool pooled_ = false;
  std::uint32_t next_number_ = 0;
  std::list<Pool> own_;
  std::map<std::tuple<isa::MapType, std::uint16_t, std::uint32_t>, Pool> pools_;
  isa::MapIndex versions_;
  std::uint32_t version_bits_ = 0;
  isa::MapIndex tables_;
  Bytes table_bytes_;
};

SetForm set_form(const imr::Set& set) {
  const bool narrow = set.key_size <= 8;
  const std::size_t most = set.has_interval_fields() || !narrow ? max_code_wide : max_code_narrow;
  if (set.elements.size() <= most) return SetForm::code;
  if (set.has_interval_fields()) return SetForm::classes;
  if (std::ranges::all_of(set.elements, is_single)) return SetForm::hash;
  return narrow ? SetForm::sorted_array : SetForm::lpm_trie;
}

Result<std::shared_ptr<const SetMaps>> SetMaps::make(const std::vector<const imr::Unit*>& units,
                                                     std::vector<isa::MapSpec>& maps,
                                                     bool updatable) {
  SetMapsMaker maker(maps, updatable);
  for (const imr::Unit* unit : units) maker.collect(*unit);
  return maker.run();
}

const SetMaps::Entry& SetMaps::entry(const imr::Set& set) const {
  const auto found = entries_.find({set.table, set.name});
  invariant(found != entries_.end(), "a set that no unit uses: " + set.name);
  return found->second;
}

std::vector<UpdatableSet> SetMaps::updatable() const {
  std::vector<UpdatableSet> out;
  for (const auto& [key, entry] : entries_) {
    if (!entry.place.updatable()) continue;
    out.push_back({key.first, key.second, entry.place, entry.room, entry.verdicts});
  }
  return out;
}

namespace {

// The sets that a statement looks into.
std::vector<imr::SetId> sets_of(const imr::Ruleset& ruleset, const imr::Statement& statement) {
  std::vector<imr::SetId> out;
  if (const auto* match = std::get_if<imr::MatchSet>(&statement)) out.push_back(match->set);
  if (const auto* change = std::get_if<imr::DynamicSet>(&statement)) out.push_back(change->set);
  if (const auto* map = std::get_if<imr::VerdictMap>(&statement)) out.push_back(map->map);
  const auto walk = [&](const auto& self, imr::ExprId id) -> void {
    const imr::Expr& expr = ruleset[id];
    if (const auto* lookup = std::get_if<imr::MapLookup>(&expr)) out.push_back(lookup->map);
    for (const imr::ExprId source : imr::sources(expr)) self(self, source);
  };
  for (const imr::ExprId expr : imr::operands(statement)) walk(walk, expr);
  return out;
}

// Calls `use` for each set that a rule looks into. A rule that is searched for has the elements of
// others in the tables of its run.
template <typename Use>
void for_each_set(const imr::Unit& unit, imr::RuleId rule, const Use& use) {
  const auto& statements = unit.ruleset[rule].statements;
  std::optional<std::size_t> searched;  // so many statements, once somebody wants to know
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const std::vector<imr::SetId> sets = sets_of(unit.ruleset, statements[i]);
    if (sets.empty()) continue;
    if (!searched) {
      const bool in_run = unit.ruleset[rule].run != 0;
      const auto tail = in_run ? classify::tail_of(unit, rule) : std::nullopt;
      searched = !in_run ? 0 : tail ? tail->from : statements.size();
    }
    const auto* match = std::get_if<imr::MatchSet>(&statements[i]);
    const bool whole = match != nullptr && classify::tests_membership(unit.ruleset, *match);
    if (i < *searched && !whole) continue;
    std::ranges::for_each(sets, use);
  }
}

// Of one kind: dynamic ones, or the others.
std::vector<imr::SetId> sets_of(const imr::Unit& unit, bool dynamic) {
  std::vector<bool> seen(unit.ruleset.sets.size());
  std::vector<imr::SetId> out;
  const auto use = [&](imr::SetId set) {
    if (unit.ruleset[set].dynamic.has_value() != dynamic) return;
    if (!seen.at(set.index())) out.push_back(set);
    seen[set.index()] = true;
  };
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      for (const imr::RuleId rule : unit.ruleset[chain].rules) for_each_set(unit, rule, use);
    }
  }
  return out;
}

}  // namespace

std::vector<imr::SetId> used_sets(const imr::Unit& unit) {
  return sets_of(unit, false);
}

std::vector<imr::SetId> used_dynamic_sets(const imr::Unit& unit) {
  return sets_of(unit, true);
}

}  // namespace weir::backend
