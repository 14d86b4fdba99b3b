// SPDX-License-Identifier: BSD-2-Clause
#include "backend/dynamic_sets.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "backend/meters.h"
#include "backend/records.h"
#include "backend/set_maps.h"
#include "imr/dynamic_sets.h"
#include "isa/expiry.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t word_size = 8;
constexpr std::uint64_t nanoseconds = 1'000'000;  // of a millisecond
constexpr std::uint32_t no_prealloc = 1;          // BPF_F_NO_PREALLOC
// Maps up to this size have all their memory from the start on, and no packet has to ask for any.
constexpr std::uint32_t most_preallocated = 0xffff;
constexpr std::size_t most_sets = 16;  // of the 64 maps that a program may have

std::size_t words_for(std::size_t bytes) {
  return (bytes + word_size - 1) / word_size;
}

std::uint64_t error(int number) {
  return static_cast<std::uint64_t>(-std::int64_t{number});
}

// What other maps are found by.
constexpr std::array<std::string_view, 8> taken_names = {
    "counters", "meters",       "trace",          "sweeps",
    "opaque",   "set_versions", record_ring_name, lost_records_name};

// Of its own name where no other map has it.
std::string map_name(const imr::Set& set, const std::vector<isa::MapSpec>& maps) {
  constexpr std::size_t longest = 15;
  std::string stem;
  for (const char c : set.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    stem += plain ? c : '_';
  }
  std::string name = stem.substr(0, longest);
  const auto is_taken = [&] {
    return std::ranges::find(maps, name, &isa::MapSpec::name) != maps.end() ||
           std::ranges::find(taken_names, name) != taken_names.end();
  };
  for (unsigned i = 2; is_taken(); ++i) {
    const std::string tail = "_" + std::to_string(i);
    name = stem.substr(0, longest - tail.size()) + tail;
  }
  return name;
}

isa::MapSpec map_of(const imr::Set& set, std::string name) {
  const std::uint32_t size = set.dynamic->size;
  isa::MapSpec out{.name = std::move(name),
                   .type = isa::MapType::hash,
                   .key_size = set.key_size,
                   .value_size = layout_of(set).size,
                   .max_entries = size,
                   .flags = size > most_preallocated ? no_prealloc : 0,
                   .entries = {}};
  out.written_in_place = true;
  out.expires = set.dynamic->timeouts;
  for (const imr::Element& element : set.elements) {
    out.entries.push_back({.key = element.key, .value = element_value(set, element)});
  }
  return out;
}

}  // namespace

ElementLayout layout_of(const imr::Set& set) {
  ElementLayout out;
  const std::size_t words = imr::words_of(*set.dynamic);
  out.data = static_cast<std::uint32_t>(out.statements + word_size * words);
  out.timeout = static_cast<std::uint32_t>(out.data + word_size * words_for(set.data_size));
  out.size = static_cast<std::uint32_t>(out.timeout + (set.dynamic->timeouts ? word_size : 0));
  return out;
}

std::vector<std::uint64_t> first_words(const imr::Dynamics& dynamics) {
  std::vector<std::uint64_t> out;
  for (const imr::ElementStatement& statement : dynamics.statements) {
    if (const auto* counter = std::get_if<imr::ElementCounter>(&statement)) {
      out.push_back(counter->packets);
      out.push_back(counter->bytes);
    } else {
      const auto& meter = std::get<imr::MeterState>(statement);
      out.push_back(meter.kind == imr::MeterState::Kind::quota ? meter.used : 0);
    }
  }
  return out;
}

Bytes element_value(const imr::Set& set, const imr::Element& element) {
  Bytes out = native_bytes(element.expires * nanoseconds, word_size);
  const std::vector<std::uint64_t> words =
      element.held.empty() ? first_words(*set.dynamic) : element.held;
  for (const std::uint64_t word : words) {
    const Bytes bytes = native_bytes(word, word_size);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  out.insert(out.end(), element.data.begin(), element.data.end());
  const ElementLayout layout = layout_of(set);
  out.resize(layout.size);
  if (set.dynamic->timeouts) {
    std::ranges::copy(native_bytes(imr::timeout_of(element), word_size),
                      out.begin() + layout.timeout);
  }
  return out;
}

Result<std::shared_ptr<const DynamicMaps>> DynamicMaps::make(
    const std::vector<const imr::Unit*>& units, std::vector<isa::MapSpec>& maps) {
  auto out = std::make_shared<DynamicMaps>();
  isa::MapIndex sweeps;
  for (const imr::Unit* unit : units) {
    for (const imr::SetId id : used_dynamic_sets(*unit)) {
      const imr::Set& set = unit->ruleset[id];
      const auto [found, fresh] = out->places_.try_emplace({set.table, set.name});
      if (!fresh) continue;
      maps.push_back(map_of(set, map_name(set, maps)));
      DynamicPlace& place = found->second;
      place.map = isa::MapIndex(maps.size() - 1);
      if (!set.dynamic->timeouts) continue;
      if (!sweeps.valid()) {
        maps.push_back({.name = "sweeps", .type = isa::MapType::array, .max_entries = 1});
        sweeps = isa::MapIndex(maps.size() - 1);
      }
      isa::MapSpec& times = maps[sweeps.index()];
      place.sweeps = sweeps;
      place.swept = times.value_size;
      times.value_size += word_size;
    }
  }
  if (out->places_.size() > most_sets) {
    return input_error("rules use " + std::to_string(out->places_.size()) +
                       " dynamic sets, expected at most " + std::to_string(most_sets));
  }
  return out;
}

const DynamicPlace& DynamicMaps::place(const imr::Set& set) const {
  const auto found = places_.find({set.table, set.name});
  invariant(found != places_.end(), "a dynamic set that no unit uses: " + set.name);
  return found->second;
}

std::vector<Reg> DynamicCode::chunks(const Words& words, std::size_t size) {
  std::vector<Reg> out;
  const Words exact = total_size(words) == size ? words : recut(out_, words, cut_sizes(size));
  for (const Word& word : recut(out_, exact, std::vector<std::uint8_t>(words_for(size), 8))) {
    out.push_back(word.reg);
  }
  return out;
}

Reg DynamicCode::now() {
  const Reg clock = out_.function().new_register();
  out_.append({.op = Op::coarse_clock, .dst = clock});
  return out_.binary(Op::add, clock, out_.constant(isa::expiry_epoch));
}

Reg DynamicCode::word_at(Reg element, std::uint64_t offset) {
  const Reg word = out_.function().new_register();
  out_.append({.op = Op::word_at, .dst = word, .a = element, .imm = offset});
  return word;
}

void DynamicCode::put_at(Reg element, std::uint64_t offset, Reg value) {
  out_.append({.op = Op::put_at, .a = element, .b = value, .imm = offset});
}

void DynamicCode::look_up(Reg element, const std::vector<Reg>& key) {
  out_.append({.op = Op::lookup,
               .dst = element,
               .key_size = static_cast<std::uint8_t>(set_.key_size),
               .map = place_.map,
               .args = key});
}

Reg DynamicCode::find(const Words& key, BlockId missing) {
  const Reg element = out_.function().new_register();
  look_up(element, chunks(key, set_.key_size));
  out_.leave_if(Condition::eq, element, 0, missing);
  if (!dynamics_.timeouts) return element;
  const BlockId living = out_.block();
  const Reg expires = word_at(element, 0);
  out_.leave_if(Condition::eq, expires, 0, living);
  out_.branch(Condition::gt, expires, now(), living, missing);
  out_.at(living);
  return element;
}

Words DynamicCode::data_of(Reg element) {
  Words out;
  std::uint64_t at = layout_of(set_).data;
  for (const std::uint8_t size : cut_sizes(set_.data_size)) {
    out.push_back({out_.load(element, at, size), size});
    at += size;
  }
  return out;
}

void DynamicCode::run(Reg element, Reg length, BlockId fail) {
  std::uint64_t at = layout_of(set_).statements;
  const auto add = [&](std::uint64_t offset, Reg amount) {
    const Reg before = out_.function().new_register();
    out_.append({.op = Op::fetch_add_at, .dst = before, .a = element, .b = amount, .imm = offset});
  };
  for (const imr::ElementStatement& statement : dynamics_.statements) {
    if (const auto* meter = std::get_if<imr::MeterState>(&statement)) {
      take(out_, {.map = {}, .address = element, .offset = at}, *meter, length, fail);
    } else {
      add(at, out_.constant(1));
      add(at + word_size, length);
    }
    at += word_size * imr::words_of(statement);
  }
}

DynamicCode::Times DynamicCode::times(std::uint64_t lasts) {
  Times out;
  if (dynamics_.timeouts) {
    out.now = now();
    out.renewed = out_.binary(Op::add, out.now, out_.constant(lasts * nanoseconds));
  }
  out.fresh = lasts == 0 ? out_.constant(0) : out.renewed;
  return out;
}

Reg DynamicCode::insert(const std::vector<Reg>& key, const std::vector<Reg>& value) {
  const Reg result = out_.function().new_register();
  std::vector<Reg> words = key;
  words.insert(words.end(), value.begin(), value.end());
  out_.append({.op = Op::insert,
               .dst = result,
               .key_size = static_cast<std::uint8_t>(set_.key_size),
               .map = place_.map,
               .args = std::move(words)});
  return result;
}

void DynamicCode::make_room(Reg now, BlockId full) {
  const Reg last = out_.function().new_register();
  out_.append({.op = Op::word, .dst = last, .imm = place_.swept, .map = place_.sweeps});
  const BlockId due = out_.block();
  const BlockId mine = out_.block();
  out_.branch(Condition::le, out_.binary(Op::add, last, out_.constant(imr::sweep_interval)), now,
              due, full);
  out_.at(due);
  const Reg seen = out_.function().new_register();
  out_.append({.op = Op::exchange,
               .dst = seen,
               .a = last,
               .b = now,
               .imm = place_.swept,
               .map = place_.sweeps});
  out_.branch(Condition::eq, seen, last, mine, full);
  out_.at(mine);
  out_.append({.op = Op::sweep, .a = now, .map = place_.map});
}

void DynamicCode::revive(Reg element, const Times& times, bool update,
                         const std::vector<Reg>& value) {
  const BlockId done = out_.block();
  const BlockId expired = out_.block();
  const BlockId living = out_.block();
  const BlockId mine = out_.block();
  const Reg expires = word_at(element, 0);
  out_.leave_if(Condition::eq, expires, 0, done);
  out_.branch(Condition::le, expires, times.now, expired, living);
  out_.at(expired);
  const Reg seen = out_.function().new_register();
  out_.append({.op = Op::exchange_at,
               .dst = seen,
               .a = element,
               .b = expires,
               .imm = 0,
               .args = {times.fresh}});
  out_.branch(Condition::eq, seen, expires, mine, done);
  out_.at(mine);
  for (std::size_t i = 1; i < value.size(); ++i) put_at(element, word_size * i, value[i]);
  out_.jump(done);
  out_.at(living);
  if (update) put_at(element, 0, times.renewed);
  out_.jump(done);
  out_.at(done);
}

Reg DynamicCode::change(const imr::DynamicSet& change, const Words& key, const Words& data,
                        BlockId full) {
  const std::vector<Reg> name = chunks(key, set_.key_size);
  const std::uint64_t lasts = change.timeout != 0 ? change.timeout : dynamics_.timeout;
  const Times times = this->times(lasts);
  std::vector<Reg> value = {times.fresh};
  for (const std::uint64_t word : first_words(dynamics_)) value.push_back(out_.constant(word));
  if (set_.is_data_map()) {
    for (const Reg word : chunks(data, set_.data_size)) value.push_back(word);
  }
  if (dynamics_.timeouts) value.push_back(out_.constant(lasts));
  const Reg element = out_.function().new_register();
  const BlockId there = out_.block();
  const BlockId absent = out_.block();
  const BlockId made = out_.block();
  const BlockId again = out_.block();
  const BlockId run = out_.block();
  look_up(element, name);
  out_.branch(Condition::eq, element, 0, absent, there);

  out_.at(absent);
  const auto try_to_make = [&] {
    const Reg failed = insert(name, value);
    out_.leave_if(Condition::eq, failed, 0, made);
    out_.leave_if(Condition::eq, failed, error(EEXIST), again);
    return failed;
  };
  const Reg failed = try_to_make();
  if (dynamics_.timeouts) {
    out_.leave_if(Condition::ne, failed, error(E2BIG), full);
    make_room(times.now, full);
    static_cast<void>(try_to_make());
  }
  out_.jump(full);

  const auto find_anew = [&](BlockId on) {
    look_up(element, name);
    out_.branch(Condition::eq, element, 0, full, on);
  };
  out_.at(made);
  find_anew(run);
  out_.at(again);
  find_anew(there);

  out_.at(there);
  if (dynamics_.timeouts) {
    revive(element, times, change.op == imr::DynamicSet::Op::update, value);
  }
  out_.jump(run);
  out_.at(run);
  return element;
}

void DynamicCode::remove(const Words& key) {
  out_.append({.op = Op::erase,
               .key_size = static_cast<std::uint8_t>(set_.key_size),
               .map = place_.map,
               .args = chunks(key, set_.key_size)});
}

}  // namespace weir::backend
