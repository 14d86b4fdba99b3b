// SPDX-License-Identifier: BSD-2-Clause
//
// First forward: which registers hold a known place of the stack, or a known map. Then backward
// over the operations until nothing changes any more.
#include "engine/liveness.h"

#include <algorithm>
#include <array>

namespace weir::engine {
namespace {

constexpr std::uint64_t all_slots = ~std::uint64_t{0};
static_assert(slot_count == 64, "a slot is a bit of Parts::slots");

// What a register holds, as far as the stack is concerned.
struct Place {
  enum class Kind : std::uint8_t { unvisited, other, stack, map, unknown };
  Kind kind = Kind::unvisited;
  std::int64_t offset = 0;  // of stack: from r10; of map: its index

  // Whether a read through it may read the stack.
  [[nodiscard]] bool may_be_stack() const { return kind == Kind::stack || kind == Kind::unknown; }
  friend bool operator==(const Place&, const Place&) = default;
};
using Places = std::array<Place, register_count>;

constexpr Place elsewhere = {.kind = Place::Kind::other};
constexpr Place anywhere = {.kind = Place::Kind::unknown};

Place join(const Place& a, const Place& b) {
  if (a == b || b.kind == Place::Kind::unvisited) return a;
  if (a.kind == Place::Kind::unvisited) return b;
  return a.may_be_stack() || b.may_be_stack() ? anywhere : elsewhere;
}

void advance(const Operation& operation, Places& places) {
  Place& dst = places[operation.dst];
  switch (form(operation)) {
    case isa::Form::alu_imm:
    case isa::Form::alu_reg: {
      using enum isa::Opcode;
      const auto step = static_cast<std::int64_t>(operation.imm);
      if (operation.opcode == mov64_reg) {
        dst = places[operation.src];
      } else if (operation.opcode == mov64_imm) {
        dst = elsewhere;
      } else if (operation.opcode == add64_imm && dst.kind == Place::Kind::stack) {
        dst.offset += step;
      } else if (operation.opcode == sub64_imm && dst.kind == Place::Kind::stack) {
        dst.offset -= step;
      } else {
        const bool from_src =
            form(operation) == isa::Form::alu_reg && places[operation.src].may_be_stack();
        dst = dst.may_be_stack() || from_src ? anywhere : elsewhere;
      }
      return;
    }
    case isa::Form::neg:
    case isa::Form::mov_sx:
    case isa::Form::swap:
    case isa::Form::load:
    case isa::Form::load_imm64:
    case isa::Form::load_map_value:
    case isa::Form::load_function:
      dst = elsewhere;
      return;
    case isa::Form::load_map:
      dst = {.kind = Place::Kind::map, .offset = static_cast<std::int64_t>(operation.map.index())};
      return;
    case isa::Form::atomic_fetch:
      places[operation.src] = elsewhere;
      return;
    case isa::Form::atomic_cmpxchg:
      places[0] = elsewhere;
      return;
    case isa::Form::call_helper:
    case isa::Form::call_local:
    case isa::Form::call_kfunc:
      for (std::size_t i = 0; i <= 5; ++i) places[i] = elsewhere;
      return;
    case isa::Form::store_reg:
    case isa::Form::store_imm:
    case isa::Form::atomic:
    case isa::Form::jump:
    case isa::Form::jump_long:
    case isa::Form::jump_imm:
    case isa::Form::jump_reg:
    case isa::Form::exit:
      return;
  }
}

class Liveness {
 public:
  explicit Liveness(const Code& code)
      : code_(code), places_(code.operations.size()), live_(code.operations.size()) {}

  std::vector<Parts> run() {
    find_places();
    bool changed = true;
    while (changed) {
      changed = false;
      for (std::size_t at = code_.operations.size(); at-- > 0;) {
        const Parts before = transfer(at, after(at));
        if (before == live_[at]) continue;
        live_[at] = before;
        changed = true;
      }
    }
    return std::move(live_);
  }

 private:
  void find_places() {
    places_[0].fill(elsewhere);
    places_[0][frame_register] = {.kind = Place::Kind::stack, .offset = 0};
    std::vector<std::size_t> pending = {0};
    // What functions get of their caller's stack is none of their own.
    for (const Operation& operation : code_.operations) {
      if (!isa::names_function(operation.opcode)) continue;
      places_[operation.target] = places_[0];
      pending.push_back(operation.target);
    }
    while (!pending.empty()) {
      const std::size_t at = pending.back();
      pending.pop_back();
      const Operation& operation = code_.operations[at];
      Places places = places_[at];
      // A stack address in memory comes back by a load that nobody recognises.
      if ((form(operation) == isa::Form::store_reg && places[operation.src].may_be_stack()) ||
          (form(operation) == isa::Form::atomic_fetch && places[operation.src].may_be_stack()) ||
          (form(operation) == isa::Form::atomic_cmpxchg && places[operation.src].may_be_stack())) {
        address_stored_ = true;
      }
      advance(operation, places);
      if (falls_through(operation)) merge(at + 1, places, pending);
      if (isa::is_jump(operation.opcode)) merge(operation.target, places, pending);
    }
  }

  void merge(std::size_t at, const Places& places, std::vector<std::size_t>& pending) {
    bool changed = false;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const Place joined = join(places_[at][i], places[i]);
      changed = changed || joined != places_[at][i];
      places_[at][i] = joined;
    }
    if (changed) pending.push_back(at);
  }

  [[nodiscard]] Parts after(std::size_t at) const {
    const Operation& operation = code_.operations[at];
    Parts live;
    if (falls_through(operation)) live = live_[at + 1];
    if (isa::is_jump(operation.opcode)) {
      live.registers |= live_[operation.target].registers;
      live.slots |= live_[operation.target].slots;
    }
    return live;
  }

  // The slots that `size` bytes at `place` + `off` touch.
  static std::uint64_t slots_at(const Place& place, std::int64_t off, std::int64_t size) {
    if (place.kind == Place::Kind::unknown) return all_slots;
    if (place.kind != Place::Kind::stack) return 0;
    std::uint64_t slots = 0;
    for (std::int64_t byte = place.offset + off; byte < place.offset + off + size; ++byte) {
      if (byte < 0 && byte >= -stack_size) slots |= std::uint64_t{1} << ((-byte - 1) / slot_size);
    }
    return slots;
  }

  // The slots that are overwritten as a whole.
  static std::uint64_t overwritten(const Place& place, std::int64_t off, std::int64_t size) {
    const bool aligned = place.kind == Place::Kind::stack &&
                         (place.offset + off) % slot_size == 0 && size % slot_size == 0;
    return aligned ? slots_at(place, off, size) : 0;
  }

  void read_register(Parts& live, std::uint8_t reg) const {
    live.registers = static_cast<std::uint16_t>(live.registers | 1U << reg);
  }
  void write_register(Parts& live, std::uint8_t reg) const {
    live.registers = static_cast<std::uint16_t>(live.registers & ~(1U << reg));
  }
  // With a stack address somewhere in memory, any load through a register may read the stack.
  void read_memory(Parts& live, const Place& place, std::int64_t off, std::int64_t size) const {
    live.slots |= address_stored_ ? all_slots : slots_at(place, off, size);
  }

  void transfer_global_call(Parts& live, const isa::Subprogram& function,
                            const Places& places) const {
    std::uint8_t reg = 0;
    for (const isa::Subprogram::Argument& argument : function.arguments) {
      read_register(live, ++reg);
      if (argument.kind == isa::Subprogram::Argument::Kind::memory) {
        read_memory(live, places[reg], 0, argument.size);
      }
    }
  }

  void transfer_call(Parts& live, const Operation& operation, const Places& places) const {
    for (std::uint8_t reg = 0; reg <= 5; ++reg) write_register(live, reg);
    if (form(operation) == isa::Form::call_local) {
      const LocalFunction& function = code_.functions[function_of(code_, operation.target)];
      if (function.global != nullptr) return transfer_global_call(live, *function.global, places);
      const auto arguments = live_[operation.target].registers & 0x3eU;
      live.registers = static_cast<std::uint16_t>(live.registers | arguments);
      for (std::uint8_t reg = 1; reg <= 5; ++reg) {
        if ((arguments >> reg & 1) != 0 && places[reg].may_be_stack()) live.slots = all_slots;
      }
      return;
    }
    const auto& arguments = operation.function->arguments;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i] == Argument::new_dynptr) live.slots &= ~overwritten(places[i + 1], 0, 16);
    }
    std::int64_t key_size = stack_size;
    std::int64_t value_size = stack_size;
    if (const Place& map = places[1]; map.kind == Place::Kind::map) {
      key_size = code_.object->maps[static_cast<std::size_t>(map.offset)].key_size;
      value_size = code_.object->maps[static_cast<std::size_t>(map.offset)].value_size;
    }
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i] == Argument::none) continue;
      read_register(live, static_cast<std::uint8_t>(i + 1));
      if (arguments[i] == Argument::map_key) read_memory(live, places[i + 1], 0, key_size);
      if (arguments[i] == Argument::map_value) {
        read_memory(live, places[i + 1], 0, std::min(value_size, stack_size));
      }
      // As many as the next argument says, and at most all behind it.
      if (arguments[i] == Argument::input) read_memory(live, places[i + 1], 0, stack_size);
      if (arguments[i] == Argument::callback_memory && places[i + 1].may_be_stack()) {
        live.slots = all_slots;
      }
      if (arguments[i] == Argument::dynptr) read_memory(live, places[i + 1], 0, 16);
    }
  }

  Parts transfer(std::size_t at, Parts live) const {
    const Operation& operation = code_.operations[at];
    const Places& places = places_[at];
    const std::int64_t size = access_size(operation);
    const Place& dst = places[operation.dst];
    switch (form(operation)) {
      case isa::Form::alu_imm:
        if (operation.opcode == isa::Opcode::mov64_imm ||
            operation.opcode == isa::Opcode::mov32_imm) {
          write_register(live, operation.dst);
        } else {
          read_register(live, operation.dst);
        }
        break;
      case isa::Form::alu_reg:
        if (operation.opcode == isa::Opcode::mov64_reg ||
            operation.opcode == isa::Opcode::mov32_reg) {
          write_register(live, operation.dst);
        } else {
          read_register(live, operation.dst);
        }
        read_register(live, operation.src);
        break;
      case isa::Form::mov_sx:
        write_register(live, operation.dst);
        read_register(live, operation.src);
        break;
      case isa::Form::neg:
      case isa::Form::swap:
        read_register(live, operation.dst);
        break;
      case isa::Form::load:
        write_register(live, operation.dst);
        read_register(live, operation.src);
        read_memory(live, places[operation.src], operation.off, size);
        break;
      case isa::Form::store_reg:
        live.slots &= ~overwritten(dst, operation.off, size);
        read_register(live, operation.src);
        read_register(live, operation.dst);
        break;
      case isa::Form::store_imm:
        live.slots &= ~overwritten(dst, operation.off, size);
        read_register(live, operation.dst);
        break;
      case isa::Form::atomic_fetch:
      case isa::Form::atomic_cmpxchg:
      case isa::Form::atomic:
        read_register(live, operation.dst);
        read_register(live, operation.src);
        if (form(operation) == isa::Form::atomic_cmpxchg) read_register(live, 0);
        read_memory(live, dst, operation.off, size);
        break;
      case isa::Form::load_imm64:
      case isa::Form::load_map:
      case isa::Form::load_map_value:
      case isa::Form::load_function:
        write_register(live, operation.dst);
        break;
      case isa::Form::jump_reg:
        read_register(live, operation.src);
        [[fallthrough]];
      case isa::Form::jump_imm:
        read_register(live, operation.dst);
        break;
      case isa::Form::call_helper:
      case isa::Form::call_local:
      case isa::Form::call_kfunc:
        transfer_call(live, operation, places);
        break;
      case isa::Form::exit:
        read_register(live, 0);
        break;
      case isa::Form::jump:
      case isa::Form::jump_long:
        break;
    }
    read_register(live, frame_register);
    return live;
  }

  const Code& code_;
  std::vector<Places> places_;
  std::vector<Parts> live_;
  bool address_stored_ = false;
};

}  // namespace

std::vector<Parts> compute_liveness(const Code& code) {
  return Liveness(code).run();
}

}  // namespace weir::engine
