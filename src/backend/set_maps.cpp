// SPDX-License-Identifier: BSD-2-Clause
#include "backend/set_maps.h"

#include <algorithm>
#include <bit>
#include <list>
#include <tuple>

namespace weir::backend {
namespace {

constexpr std::size_t max_code_narrow = 64;    // elements, keys of up to 8 bytes
constexpr std::size_t max_code_wide = 16;      // elements, longer keys
constexpr std::uint32_t no_prealloc = 1;       // BPF_F_NO_PREALLOC, which LPM tries ask for
constexpr std::size_t most_maps_of_sets = 40;  // of the 64 that a program may have

void put(Bytes& out, std::uint64_t value, std::size_t size) {
  const Bytes bytes = native_bytes(value, size);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void pad(Bytes& out, std::size_t size) {
  if (out.size() < size) out.resize(size, 0);
}

std::string map_name(const imr::Set& set) {
  std::string name;
  for (const char c : set.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain ? c : '_';
  }
  return name.substr(0, 15);
}

// A table before it has a place: its rows filled up to a power of two.
struct Rows {
  std::uint32_t count = 0;
  std::uint32_t size = 0;
  Bytes bytes;
};

template <typename Fill>
Rows make_rows(std::size_t used, std::size_t row_bytes, const Fill& fill) {
  Rows rows{.count = static_cast<std::uint32_t>(std::bit_ceil(used)),
            .size = static_cast<std::uint32_t>(std::bit_ceil(row_bytes)),
            .bytes = {}};
  rows.bytes.reserve(std::size_t{rows.count} * rows.size);
  for (std::size_t row = 0; row < rows.count; ++row) {
    // Filled up with copies of the last one.
    fill(rows.bytes, std::min(row, used - 1));
    pad(rows.bytes, (row + 1) * rows.size);
  }
  return rows;
}

Rows sorted_rows(const imr::Set& set, const Answers& answers) {
  return make_rows(set.elements.size(), 32, [&](Bytes& out, std::size_t i) {
    put(out, load_big_endian(set.elements[i].key), 8);
    put(out, load_big_endian(set.elements[i].last), 8);
    put(out, answers.of(i), 8);
  });
}

Rows class_rows(const std::vector<Wide>& starts, std::size_t field_size) {
  const bool is_wide = field_size > 8;
  return make_rows(starts.size(), is_wide ? 32 : 16, [&](Bytes& out, std::size_t i) {
    put(out, starts[i][0], 8);
    if (is_wide) put(out, starts[i][1], 8);
    put(out, i, 8);
  });
}

Rows tuple_rows(const std::vector<FieldClasses::Tuple>& tuples) {
  constexpr std::size_t row_size = 4 + imr::max_value_size / 4;
  return make_rows(tuples.size(), row_size, [&](Bytes& out, std::size_t i) {
    put(out, tuples[i].first_element, 4);
    for (const std::uint8_t shift : tuples[i].shifts) put(out, shift, 1);
  });
}

Rows data_rows(const std::vector<Bytes>& data, std::size_t size) {
  return make_rows(data.size(), size, [&](Bytes& out, std::size_t i) {
    out.insert(out.end(), data[i].begin(), data[i].end());
  });
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

}  // namespace

class SetMapsMaker {
 public:
  explicit SetMapsMaker(std::vector<isa::MapSpec>& maps) : maps_(maps) {}

  void collect(const imr::Unit& unit) {
    for (const imr::SetId id : used_sets(unit)) {
      const imr::Set& set = unit.ruleset[id];
      const auto [found, fresh] =
          result_->entries_.try_emplace({set.table, set.name}, SetMaps::Entry{.set = set});
      if (fresh) {
        order_.push_back(&found->second);
        found->second.place.form = set_form(set);
      } else {
        invariant(found->second.set.elements == set.elements, "two sets of one name");
      }
    }
  }

  Result<std::shared_ptr<const SetMaps>> run() {
    std::size_t wanted = 0;
    for (const SetMaps::Entry* entry : order_) wanted += maps_of(entry->set, entry->place.form);
    pooled_ = wanted > most_maps_of_sets;
    for (SetMaps::Entry* entry : order_) {
      const Answers answers = answers_of(entry->set);
      entry->verdicts = answers.verdicts;
      if (entry->place.form == SetForm::code || shares(*entry, answers)) continue;
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
    const imr::Set& set = entry.set;
    SetPlace& place = entry.place;
    if (set.is_data_map() && place.form != SetForm::hash) {
      place.data = table(set, data_rows(answers.data, set.data_size));
    }
    switch (place.form) {
      case SetForm::code:
        return {};
      case SetForm::hash:
        hash(set, answers, place);
        return {};
      case SetForm::sorted_array:
        place.sorted = table(set, sorted_rows(set, answers));
        return {};
      case SetForm::lpm_trie:
        trie(set, answers, place);
        return {};
      case SetForm::classes:
        return classes(set, answers, place);
    }
    throw InvariantError("set form out of range");
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

  SetTable table(const imr::Set& set, Rows rows) {
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

  // Where keyed entries go: a map of the set's own, or one that it shares with others of its size.
  Pool& pool(const imr::Set& set, isa::MapType type, SetPlace& place, std::uint32_t value_size) {
    const std::uint32_t prefix = type == isa::MapType::lpm_trie ? 4 : 0;
    isa::MapSpec spec{.name = map_name(set),
                      .type = type,
                      .key_size = place.key_size + prefix,
                      .value_size = value_size,
                      .max_entries = 0,
                      .flags = type == isa::MapType::lpm_trie ? no_prealloc : 0,
                      .entries = {}};
    if (!pooled_) {
      own_.push_back({add(std::move(spec)), {}});
      place.map = own_.back().map;
      return own_.back();
    }
    place.numbered = true;
    place.number = next_number_++;
    place.key_size = static_cast<std::uint16_t>((place.key_size + 4U + 7U) / 8 * 8);
    spec.key_size = place.key_size + prefix;
    spec.name = (type == isa::MapType::lpm_trie ? "tries_" : "sets_") +
                std::to_string(place.key_size) + "_" + std::to_string(value_size);
    auto [found, fresh] = pools_.try_emplace({type, place.key_size, value_size});
    if (fresh) found->second.map = add(std::move(spec));
    place.map = found->second.map;
    return found->second;
  }

  static Bytes key_bytes(const SetPlace& place, ByteView key) {
    Bytes out;
    if (place.numbered) put(out, place.number, 4);
    out.insert(out.end(), key.begin(), key.end());
    pad(out, place.key_size);
    return out;
  }

  void hash(const imr::Set& set, const Answers& answers, SetPlace& place) {
    place.key_size = set.key_size;
    const std::size_t value_size = set.is_data_map() ? imr::padded_size(set.data_size) : 4;
    Pool& into = pool(set, isa::MapType::hash, place, static_cast<std::uint32_t>(value_size));
    into.entries.reserve(into.entries.size() + set.elements.size());
    for (std::size_t i = 0; i < set.elements.size(); ++i) {
      Bytes value =
          set.is_data_map() ? set.elements[i].data : native_bytes(answers.of(i), value_size);
      pad(value, value_size);
      into.entries.push_back({key_bytes(place, set.elements[i].key), std::move(value)});
    }
  }

  void trie(const imr::Set& set, const Answers& answers, SetPlace& place) {
    place.key_size = set.key_size;
    Pool& into = pool(set, isa::MapType::lpm_trie, place, 4);
    const std::uint32_t number_bits = place.numbered ? 32 : 0;
    for (std::size_t i = 0; i < set.elements.size(); ++i) {
      for (const Prefix& prefix : prefixes_of(set.elements[i].key, set.elements[i].last)) {
        Bytes key = native_bytes(prefix.length + number_bits, 4);
        const Bytes rest = key_bytes(place, prefix.data);
        key.insert(key.end(), rest.begin(), rest.end());
        into.entries.push_back({std::move(key), native_bytes(answers.of(i), 4)});
      }
    }
  }

  Status classes(const imr::Set& set, const Answers& answers, SetPlace& place) {
    WEIR_TRY(divided, divide(set));
    for (std::size_t i = 0; i < divided.starts.size(); ++i) {
      place.fields.push_back(table(set, class_rows(divided.starts[i], set.field_sizes[i])));
    }
    place.tuples = table(set, tuple_rows(divided.tuples));
    place.key_size = static_cast<std::uint16_t>(4 * (1 + set.field_sizes.size()));
    Pool& into = pool(set, isa::MapType::hash, place, 8);
    into.entries.reserve(into.entries.size() + divided.entries.size());
    for (const FieldClasses::Entry& entry : divided.entries) {
      Bytes key = native_bytes(entry.tuple, 4);
      for (const std::uint32_t number : entry.classes) put(key, number, 4);
      Bytes value = native_bytes(entry.element, 4);
      put(value, answers.of(entry.element), 4);
      into.entries.push_back({key_bytes(place, key), std::move(value)});
    }
    return {};
  }

  void finish(Pool& pool) {
    isa::MapSpec& spec = maps_.at(pool.map.index());
    spec.max_entries = static_cast<std::uint32_t>(pool.entries.size());
    spec.entries = std::move(pool.entries);
  }

  void finish_pools() {
    for (Pool& pool : own_) finish(pool);
    for (auto& [key, pool] : pools_) finish(pool);
    if (!tables_.valid()) return;
    isa::MapSpec& spec = maps_.at(tables_.index());
    spec.value_size = static_cast<std::uint32_t>(table_bytes_.size());
    spec.entries = {{native_bytes(0, 4), std::move(table_bytes_)}};
  }

  std::vector<isa::MapSpec>& maps_;
  std::shared_ptr<SetMaps> result_ = std::make_shared<SetMaps>();
  std::vector<SetMaps::Entry*> order_;  // in order of first use
  std::vector<Placed> placed_;
  bool pooled_ = false;
  std::uint32_t next_number_ = 0;
  std::list<Pool> own_;
  std::map<std::tuple<isa::MapType, std::uint16_t, std::uint32_t>, Pool> pools_;
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
                                                     std::vector<isa::MapSpec>& maps) {
  SetMapsMaker maker(maps);
  for (const imr::Unit* unit : units) maker.collect(*unit);
  return maker.run();
}

const SetMaps::Entry& SetMaps::entry(const imr::Set& set) const {
  const auto found = entries_.find({set.table, set.name});
  invariant(found != entries_.end(), "a set that no unit uses: " + set.name);
  return found->second;
}

std::vector<imr::SetId> used_sets(const imr::Unit& unit) {
  std::vector<bool> seen(unit.ruleset.sets.size());
  std::vector<imr::SetId> out;
  const auto use = [&](imr::SetId set) {
    if (!seen.at(set.index())) out.push_back(set);
    seen[set.index()] = true;
  };
  const auto walk = [&](const auto& self, imr::ExprId id) -> void {
    const imr::Expr& expr = unit.ruleset[id];
    if (const auto* lookup = std::get_if<imr::MapLookup>(&expr)) use(lookup->map);
    for (const imr::ExprId source : imr::sources(expr)) self(self, source);
  };
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      for (const imr::RuleId rule : unit.ruleset[chain].rules) {
        for (const imr::Statement& statement : unit.ruleset[rule].statements) {
          if (const auto* match = std::get_if<imr::MatchSet>(&statement)) use(match->set);
          if (const auto* map = std::get_if<imr::VerdictMap>(&statement)) use(map->map);
          if (const auto expr = imr::operand(statement)) walk(walk, *expr);
        }
      }
    }
  }
  return out;
}

}  // namespace weir::backend
