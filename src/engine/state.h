// SPDX-License-Identifier: BSD-2-Clause
//
// What the checker knows at one point of one path: the contents of the registers and of the stack.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/code.h"
#include "engine/layout.h"
#include "engine/scalar.h"

namespace weir::engine {

enum class Type : std::uint8_t {
  uninitialised,
  scalar,
  structure,   // a kernel structure, or the context
  packet,      // into the packet
  packet_end,  // behind its last byte
  stack,       // of a frame; offset counts from its r10
  map,
  map_value,
  memory,     // of a known size
  untrusted,  // read-only, and reads are probed
  function,   // of the program, by its first operation
};

// The content of a register, or of a stack slot that a register was spilled to.
struct Value {
  Type type = Type::uninitialised;
  bool maybe_null = false;  // of map_value and memory
  bool probed = false;      // of structures: loads through it are probed, null included
  bool context = false;     // of structures: it is what r1 held at the start
  bool writable = false;    // of memory: an argument of a function, or a record; else it is a slice
                            // of the packet
  bool record = false;      // of memory: of a ring buffer
  // Values of one type that share an id other than 0 hold the same number (scalars), are null
  // together (maybe_null), or have the same variable part (packet).
  std::uint32_t id = 0;
  // The StructureId, the map's index, the size of the memory, the function, or the frame whose
  // stack it is, counted from the outermost.
  std::uint32_t object = 0;
  std::int64_t range = 0;   // of packet: bytes from the variable part on that the packet surely has
  std::int64_t offset = 0;  // of pointers: the constant part
  Scalar number = Scalar::constant(0);  // the number itself; of pointers the variable part

  [[nodiscard]] static Value scalar(const Scalar& number);
  [[nodiscard]] static Value structure(StructureId id);
  [[nodiscard]] bool is_scalar() const { return type == Type::scalar; }
  [[nodiscard]] bool is_pointer() const {
    return type != Type::scalar && type != Type::uninitialised;
  }
  // Whether the address is known not to be zero.
  [[nodiscard]] bool never_null() const {
    return is_pointer() && !maybe_null && !probed && type != Type::untrusted;
  }
  [[nodiscard]] StructureId structure_id() const { return static_cast<StructureId>(object); }

  friend bool operator==(const Value&, const Value&) = default;
};

// 8 aligned bytes of the stack.
struct Slot {
  enum class Kind : std::uint8_t { bytes, spill, dynptr };
  Kind kind = Kind::bytes;
  std::uint8_t written = 0;  // of bytes: bit n for byte n
  bool second_half = false;  // of dynptr
  Value value;               // of spill

  [[nodiscard]] static Slot with(std::uint8_t written) { return {.written = written}; }
};

constexpr std::uint32_t slot_size = 8;
constexpr std::uint32_t slot_count = stack_size / slot_size;

// What one function of the program sees.
struct Frame {
  std::array<Value, register_count> registers;
  // Slot n holds the bytes from r10 - 8 * (n + 1) on; slots that are not there were never written.
  std::vector<Slot> stack;
  // Of a function that called another one: the operation to go on with.
  std::uint32_t return_to = 0;
  bool looping = false;      // it waits for the callback of a loop, with the loop as that operation
  std::uint32_t rounds = 0;  // of that loop, as long as it is in it

  [[nodiscard]] const Slot& slot(std::size_t index) const;
  Slot& writable_slot(std::size_t index);
  // Calls `visit` with every value in a register or spilled.
  template <typename Visitor>
  void each_value(Visitor visit) {
    for (Value& value : registers) visit(value);
    for (Slot& one : stack) {
      if (one.kind == Slot::Kind::spill) visit(one.value);
    }
  }
};

// The frame of the running function, and those of the functions that wait for it, outermost first.
// Those hold only what is read after the return.
struct State : Frame {
  std::uint32_t last_id = 0;
  // Whether there is a record of a ring buffer, or may be as long as nobody has looked whether it
  // is null. A program holds one at a time (the kernel's checker lets it hold more).
  bool holds_record = false;
  std::vector<Frame> callers;

  [[nodiscard]] std::uint32_t new_id() { return ++last_id; }
  [[nodiscard]] std::uint32_t depth() const { return static_cast<std::uint32_t>(callers.size()); }
  // The frame with that number, counted from the outermost.
  [[nodiscard]] Frame& frame(std::uint32_t number) {
    return number == depth() ? static_cast<Frame&>(*this) : callers[number];
  }
  [[nodiscard]] const Frame& frame(std::uint32_t number) const {
    return number == depth() ? static_cast<const Frame&>(*this) : callers[number];
  }
};

// A set of registers and stack slots, a bit each: those that may still be read, or whose numbers
// were needed.
struct Parts {
  std::uint16_t registers = 0;
  std::uint64_t slots = 0;
  friend bool operator==(const Parts&, const Parts&) = default;
};

// What is needed of each frame, outermost first; nothing of frames that are not there.
using Needed = std::vector<Parts>;
// Everything of every frame.
[[nodiscard]] inline Needed everything() {
  return Needed(max_frames, {.registers = 0xffff, .slots = ~std::uint64_t{0}});
}

// Forgets what is not live in the running function, and ids of numbers that only one value has:
// they relate it to nothing.
void forget_dead(State& state, const Parts& live);
// Whether everything that can happen after `next` can happen after `old`, of whose numbers only
// those in `needed` matter. Both without dead parts.
[[nodiscard]] bool covers(const State& old, const State& next, const Needed& needed);
// Whether both are the same, but for the names of ids and rounds of loops.
[[nodiscard]] bool same(const State& old, const State& next);
// Whether both are in the same rounds of loops.
[[nodiscard]] bool same_rounds(const State& old, const State& next);
// Forgets the numbers in which `next` is not like `old`, another state at the same place.
void widen(State& next, const State& old);
// Equal for states that are the same.
[[nodiscard]] std::uint64_t fingerprint(const State& state);

// "a pointer to the packet + 14", for messages.
[[nodiscard]] std::string describe(const Value& value, const isa::Object& object);

}  // namespace weir::engine
