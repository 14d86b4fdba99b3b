// SPDX-License-Identifier: BSD-2-Clause
#include "engine/precision.h"

namespace weir::engine {
namespace {

Parts part_of_slot(std::uint8_t slot) {
  return {.slots = std::uint64_t{1} << slot};
}

// All parts that hold the same number as the register.
Parts holders(const State& state, std::uint8_t reg) {
  Parts parts = part_of_register(reg);
  const Value& value = state.registers[reg];
  if (!value.is_scalar() || value.id == 0) return parts;
  const auto holds = [&](const Value& other) { return other.is_scalar() && other.id == value.id; };
  for (std::uint8_t i = 0; i < register_count; ++i) {
    if (holds(state.registers[i])) parts = parts | part_of_register(i);
  }
  for (std::size_t i = 0; i < state.stack.size(); ++i) {
    const Slot& slot = state.stack[i];
    if (slot.kind == Slot::Kind::spill && holds(slot.value)) {
      parts = parts | part_of_slot(static_cast<std::uint8_t>(i));
    }
  }
  return parts;
}

constexpr Parts clobbered = {.registers = 0x3f};  // r0 to r5, by any call

bool empty(const Parts& parts) {
  return parts == Parts{};
}

// dst = a function of src; nothing for a source that is no register.
Parts moved(const Parts& needed, const Parts& target, const Parts& source) {
  return empty(needed & target) ? needed : without(needed, target) | source;
}

}  // namespace

Parts operator|(const Parts& a, const Parts& b) {
  return {.registers = static_cast<std::uint16_t>(a.registers | b.registers),
          .slots = a.slots | b.slots};
}

Parts operator&(const Parts& a, const Parts& b) {
  return {.registers = static_cast<std::uint16_t>(a.registers & b.registers),
          .slots = a.slots & b.slots};
}

Parts without(const Parts& a, const Parts& b) {
  return {.registers = static_cast<std::uint16_t>(a.registers & ~b.registers),
          .slots = a.slots & ~b.slots};
}

Parts part_of_register(std::uint8_t reg) {
  return {.registers = static_cast<std::uint16_t>(1U << reg)};
}

Step step_of(const State& state, const Operation& operation, std::uint32_t index) {
  Step step{.operation = index};
  const isa::Form kind = form(operation);
  if (isa::is_conditional(operation.opcode)) {
    step.left = holders(state, operation.dst);
    if (kind == isa::Form::jump_reg) step.right = holders(state, operation.src);
    return step;
  }
  const bool loads = kind == isa::Form::load;
  const bool stores = kind == isa::Form::store_reg || kind == isa::Form::store_imm;
  if (!loads && !stores) return step;
  const Value& base = state.registers[loads ? operation.src : operation.dst];
  const std::int64_t begin = base.offset + operation.off;
  if (base.type == Type::stack && begin < 0 && begin >= -stack_size) {
    step.slot = static_cast<std::uint8_t>((-begin - 1) / slot_size);
    step.frame = base.object;
  }
  return step;
}

namespace {

// Of loads and stores: the slot may be one of a waiting function.
void trace_memory(const Operation& operation, const Step& step, Needed& needed) {
  Parts& here = needed.back();
  const Parts dst = part_of_register(operation.dst);
  if (form(operation) == isa::Form::load) {
    if (empty(here & dst)) return;
    here = without(here, dst);
    if (step.slot) needed[step.frame] = needed[step.frame] | part_of_slot(*step.slot);
    return;
  }
  if (!step.slot) return;
  const Parts slot = part_of_slot(*step.slot);
  if (empty(needed[step.frame] & slot)) return;
  needed[step.frame] = without(needed[step.frame], slot);
  if (form(operation) == isa::Form::store_reg) here = here | part_of_register(operation.src);
}

// Of other operations within one frame.
Parts needed_before(const Operation& operation, const Step& step, const Parts& needed) {
  const Parts dst = part_of_register(operation.dst);
  const Parts src = part_of_register(operation.src);
  switch (form(operation)) {
    case isa::Form::alu_imm:
      if (operation.opcode == isa::Opcode::mov64_imm ||
          operation.opcode == isa::Opcode::mov32_imm) {
        return without(needed, dst);
      }
      return needed;
    case isa::Form::alu_reg:
      if (operation.opcode == isa::Opcode::mov64_reg ||
          operation.opcode == isa::Opcode::mov32_reg) {
        return moved(needed, dst, src);
      }
      return empty(needed & dst) ? needed : needed | src;
    case isa::Form::mov_sx:
      return moved(needed, dst, src);
    case isa::Form::load_imm64:
    case isa::Form::load_map:
    case isa::Form::load_map_value:
    case isa::Form::load_function:
      return without(needed, dst);
    case isa::Form::atomic_fetch:
      return without(needed, src);
    case isa::Form::atomic_cmpxchg:
      return without(needed, part_of_register(0));
    case isa::Form::call_helper:
    case isa::Form::call_kfunc:
      return without(needed, clobbered);
    case isa::Form::jump_imm:
    case isa::Form::jump_reg:
      // What the comparison told about one side it told with the help of the other.
      return empty(needed & (step.left | step.right)) ? needed : needed | step.left | step.right;
    case isa::Form::neg:
    case isa::Form::swap:
    case isa::Form::atomic:
    case isa::Form::jump:
    case isa::Form::jump_long:
      return needed;
    case isa::Form::load:
    case isa::Form::store_reg:
    case isa::Form::store_imm:
    case isa::Form::call_local:
    case isa::Form::exit:
      break;
  }
  throw InvariantError("checker: a form of instruction that cannot be traced back");
}

}  // namespace

void trace_step(const Operation& operation, const Step& step, Needed& needed) {
  const isa::Form kind = form(operation);
  switch (step.way) {
    case Step::Way::past:
      needed.back() = without(needed.back(), clobbered);
      return;
    case Step::Way::into_callback:
      // Of what it got, only the third argument of the loop may be a number.
      needed.pop_back();
      needed.back() = needed.back() | part_of_register(3);
      return;
    case Step::Way::out_of_callback:
      needed.emplace_back();
      return;
    case Step::Way::usual:
      break;
  }
  if (kind == isa::Form::exit) {
    // Back into the function that returned here.
    const Parts result = needed.back() & part_of_register(0);
    needed.back() = without(needed.back(), clobbered);
    needed.push_back(result);
  } else if (kind == isa::Form::call_local) {
    // Back out of it, with its arguments.
    const Parts arguments = needed.back() & without(clobbered, part_of_register(0));
    needed.pop_back();
    needed.back() = needed.back() | arguments;
  } else if (kind == isa::Form::load || kind == isa::Form::store_reg ||
             kind == isa::Form::store_imm) {
    trace_memory(operation, step, needed);
  } else {
    needed.back() = needed_before(operation, step, needed.back());
  }
}

}  // namespace weir::engine
