// SPDX-License-Identifier: BSD-2-Clause
#include "engine/state.h"

#include <algorithm>
#include <unordered_map>

namespace weir::engine {
namespace {

// Relations between values carry over if ids can be renamed: two values with one id in the old
// state have one id in the new state as well.
class Renaming {
 public:
  bool allows(std::uint32_t old_id, std::uint32_t next_id) {
    if (old_id == 0) return true;
    if (next_id == 0) return false;
    const auto known = std::ranges::find(pairs_, old_id, &Pair::old_id);
    if (known != pairs_.end()) return known->next_id == next_id;
    pairs_.push_back({old_id, next_id});
    return true;
  }

 private:
  struct Pair {
    std::uint32_t old_id = 0;
    std::uint32_t next_id = 0;
  };
  std::vector<Pair> pairs_;
};

bool covers_pointer(const Value& old, const Value& next, Renaming& renaming) {
  return old.object == next.object && old.offset == next.offset && old.probed == next.probed &&
         old.context == next.context && old.writable == next.writable &&
         old.record == next.record && old.maybe_null == next.maybe_null &&
         old.range <= next.range && old.number.covers(next.number) &&
         renaming.allows(old.id, next.id) &&
         // Packet pointers without an id all start at the packet's first byte.
         (old.type != Type::packet || (old.id == 0) == (next.id == 0));
}

bool covers_value(const Value& old, const Value& next, bool needed, Renaming& renaming) {
  if (old.type == Type::uninitialised) return true;
  if (old.type != next.type) return false;
  if (!old.is_scalar()) return covers_pointer(old, next, renaming);
  if (!needed) return true;
  if (!old.number.covers(next.number)) return false;
  return renaming.allows(old.id, next.id);
}

bool covers_slot(const Slot& old, const Slot& next, bool needed, Renaming& renaming) {
  switch (old.kind) {
    case Slot::Kind::bytes: {
      if (old.written == 0) return true;
      if (next.kind == Slot::Kind::spill) return next.value.is_scalar();
      return next.kind == Slot::Kind::bytes && (old.written & ~next.written) == 0;
    }
    case Slot::Kind::spill:
      if (next.kind == Slot::Kind::bytes && next.written == 0xff) {
        return old.value.is_scalar() && !needed;
      }
      return next.kind == Slot::Kind::spill &&
             covers_value(old.value, next.value, needed, renaming);
    case Slot::Kind::dynptr:
      return next.kind == Slot::Kind::dynptr && old.second_half == next.second_half;
  }
  throw InvariantError("checker: a kind of stack slot that cannot be compared");
}

}  // namespace

Value Value::scalar(const Scalar& number) {
  Value value;
  value.type = Type::scalar;
  value.number = number;
  return value;
}

Value Value::structure(StructureId id) {
  Value value;
  value.type = Type::structure;
  value.object = static_cast<std::uint32_t>(id);
  return value;
}

const Slot& Frame::slot(std::size_t index) const {
  static const Slot never_written;
  return index < stack.size() ? stack[index] : never_written;
}

Slot& Frame::writable_slot(std::size_t index) {
  if (index >= stack.size()) stack.resize(index + 1);
  return stack[index];
}

void forget_dead(State& state, const Parts& live) {
  for (std::size_t i = 0; i < state.registers.size(); ++i) {
    if ((live.registers >> i & 1) == 0) state.registers[i] = {};
  }
  for (std::size_t i = 0; i < state.stack.size(); ++i) {
    if ((live.slots >> i & 1) == 0) state.stack[i] = {};
  }
  while (!state.stack.empty() && state.stack.back().kind == Slot::Kind::bytes &&
         state.stack.back().written == 0) {
    state.stack.pop_back();
  }
  std::vector<std::uint32_t> ids;
  state.each_value([&](const Value& value) {
    if (value.is_scalar() && value.id != 0) ids.push_back(value.id);
  });
  std::ranges::sort(ids);
  state.each_value([&](Value& value) {
    if (!value.is_scalar() || value.id == 0) return;
    const auto [first, last] = std::ranges::equal_range(ids, value.id);
    if (last - first == 1) value.id = 0;
  });
}

namespace {

bool covers_frame(const Frame& old, const Frame& next, const Parts& needed, Renaming& renaming) {
  if (old.return_to != next.return_to || old.looping != next.looping) return false;
  for (std::size_t i = 0; i < old.registers.size(); ++i) {
    const bool exact = (needed.registers >> i & 1) != 0;
    if (!covers_value(old.registers[i], next.registers[i], exact, renaming)) return false;
  }
  for (std::size_t i = 0; i < old.stack.size(); ++i) {
    const bool exact = (needed.slots >> i & 1) != 0;
    if (!covers_slot(old.slot(i), next.slot(i), exact, renaming)) return false;
  }
  return true;
}

}  // namespace

bool covers(const State& old, const State& next, const Needed& needed) {
  if (old.callers.size() != next.callers.size()) return false;
  if (old.holds_record != next.holds_record) return false;
  const auto part = [&](std::size_t depth) {
    return depth < needed.size() ? needed[depth] : Parts{};
  };
  Renaming renaming;
  if (!covers_frame(old, next, part(old.callers.size()), renaming)) return false;
  for (std::size_t i = 0; i < old.callers.size(); ++i) {
    if (!covers_frame(old.callers[i], next.callers[i], part(i), renaming)) return false;
  }
  return true;
}

bool same(const State& old, const State& next) {
  return covers(old, next, everything()) && covers(next, old, everything());
}

bool same_rounds(const State& old, const State& next) {
  return old.rounds == next.rounds &&
         std::ranges::equal(old.callers, next.callers, {}, &Frame::rounds, &Frame::rounds);
}

namespace {

void widen_frame(Frame& next, const Frame& old) {
  const auto widen_value = [](Value& value, const Value& before) {
    if (!value.is_scalar() || !before.is_scalar() || value.number == before.number) return;
    value = Value::scalar({});
  };
  for (std::size_t i = 0; i < next.registers.size(); ++i) {
    widen_value(next.registers[i], old.registers[i]);
  }
  for (std::size_t i = 0; i < next.stack.size(); ++i) {
    const Slot& before = old.slot(i);
    if (next.stack[i].kind != Slot::Kind::spill || before.kind != Slot::Kind::spill) continue;
    widen_value(next.stack[i].value, before.value);
  }
}

}  // namespace

void widen(State& next, const State& old) {
  widen_frame(next, old);
  for (std::size_t i = 0; i < next.callers.size(); ++i)
    widen_frame(next.callers[i], old.callers[i]);
}

std::uint64_t fingerprint(const State& state) {
  std::uint64_t hash = 0;
  const auto mix = [&](std::uint64_t part) {
    hash = (hash ^ part) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  };
  const auto mix_value = [&](const Value& value) {
    mix(static_cast<std::uint64_t>(value.type));
    mix(static_cast<std::uint64_t>(value.offset));
    mix(value.number.umin());
    mix(value.number.umax());
  };
  for (const Frame& caller : state.callers) mix(caller.return_to);
  for (const Value& value : state.registers) mix_value(value);
  for (std::size_t i = 0; i < state.stack.size(); ++i) {
    const Slot& slot = state.stack[i];
    if (slot.kind == Slot::Kind::bytes && slot.written == 0) continue;
    mix(i);
    mix(static_cast<std::uint64_t>(slot.kind));
    if (slot.kind == Slot::Kind::spill) mix_value(slot.value);
  }
  return hash;
}

namespace {

std::string name_of_map(const Value& value, const isa::Object& object) {
  return object.maps[value.object].name;
}

std::string place(const Value& value) {
  std::string text;
  if (value.offset != 0) {
    text += value.offset < 0 ? " - " : " + ";
    text += std::to_string(value.offset < 0 ? -value.offset : value.offset);
  }
  if (value.number != Scalar::constant(0)) text += " + " + value.number.text();
  return text;
}

}  // namespace

std::string describe(const Value& value, const isa::Object& object) {
  const std::string null = value.maybe_null ? ", or null" : "";
  switch (value.type) {
    case Type::uninitialised:
      return "nothing that was written";
    case Type::scalar:
      return value.number.text();
    case Type::structure:
      return (value.context ? "the context, a struct " : "a pointer to struct ") +
             std::string(structure(value.structure_id()).name) + place(value);
    case Type::packet:
      return "a pointer to packet data" + place(value);
    case Type::packet_end:
      return "the end of the packet";
    case Type::stack:
      return "a pointer to the stack" + place(value);
    case Type::map:
      return "map " + name_of_map(value, object);
    case Type::map_value:
      return "a pointer to a value of map " + name_of_map(value, object) + place(value) + null;
    case Type::memory:
      if (value.record) return "a record of a ring buffer" + place(value) + null;
      return "a pointer to " + std::to_string(value.object) + " bytes of " +
             (value.writable ? "" : "read-only ") + "memory" + place(value) + null;
    case Type::untrusted:
      return "a pointer to untrusted memory" + place(value);
    case Type::function:
      return "a function";
  }
  throw InvariantError("checker: a type without a description");
}

}  // namespace weir::engine
