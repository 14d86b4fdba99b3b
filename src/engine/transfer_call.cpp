// SPDX-License-Identifier: BSD-2-Clause
//
// Calls: every argument as the function's row (engine/functions.h) wants it, and what comes back.
#include "engine/transfer.h"

namespace weir::engine {
namespace {

constexpr std::uint8_t last_argument = 5;
constexpr std::int64_t dynptr_size = 16;
constexpr std::uint64_t largest_size = 1U << 29;

std::string name_of(std::uint8_t reg) {
  return "r" + std::to_string(reg);
}

// The dynptr at `offset` begins in this slot.
std::size_t first_slot(std::int64_t offset) {
  return static_cast<std::size_t>((-offset - 1) / slot_size);
}

}  // namespace

Status Transfer::call(State& state, const Operation& operation) {
  if ((operation.function->programs & bit_of(code_.program->type)) == 0) {
    return refuse(operation, "calls " + std::string(operation.function->name) +
                                 ", which programs of this type may not");
  }
  for (std::size_t index = 0; index < last_argument; ++index) {
    WEIR_CHECK(argument(state, operation, index));
  }
  return returned(state, operation);
}

bool Transfer::is_ring(const Value& map) const {
  return map_of(map).type == isa::MapType::ringbuf;
}

Status Transfer::argument(State& state, const Operation& operation, std::size_t index) {
  const Argument kind = operation.function->arguments[index];
  if (kind == Argument::none) return {};
  const auto reg = static_cast<std::uint8_t>(index + 1);
  WEIR_TRY(value, read(state, operation, reg));
  const auto expected = [&](const std::string& what) {
    return refuse(operation,
                  "gets " + describe(value) + " in " + name_of(reg) + ", expected " + what);
  };
  const bool is_context = value.context && value.offset == 0;
  const bool known = value.is_scalar() && value.number.is_constant();
  switch (kind) {
    case Argument::none:
    case Argument::anything:
      return {};
    case Argument::number:
      if (!value.is_scalar()) return expected("a number");
      return {};
    case Argument::zero:
      need(reg);
      if (!known || value.number.umin() != 0) return expected("0");
      return {};
    case Argument::map:
      if (value.type != Type::map || is_ring(value)) return expected("a map with keys");
      return {};
    case Argument::ring:
      if (value.type != Type::map || !is_ring(value)) return expected("a ring buffer");
      if (state.holds_record) return expected("no record that was not submitted yet");
      return {};
    case Argument::record:
      if (!value.record || value.maybe_null || value.offset != 0 ||
          value.number != Scalar::constant(0)) {
        return expected("a record of a ring buffer");
      }
      return {};
    case Argument::output_size:
      return {};  // looked at with the memory
    case Argument::record_size:
    case Argument::buffer_size:
      need(reg);
      if (!known || value.number.umin() > largest_size) return expected("a known size");
      return {};
    case Argument::context:
      if (!is_context) return expected("the context");
      return {};
    case Argument::skb:
      if (runs_on_skb(code_.program->type) ? !is_context
                                           : value != Value::structure(StructureId::sk_buff)) {
        return expected("the context's struct sk_buff");
      }
      return {};
    case Argument::callback:
      if (value.type != Type::function) return expected("a function");
      if (code_.functions[function_of(code_, value.object)].global != nullptr) {
        return expected("a function that is not global");
      }
      return {};
    case Argument::callback_memory:
      need(reg);
      if (value.type != Type::stack && !(known && value.number.umin() == 0)) {
        return expected("a pointer to the stack, or 0");
      }
      return {};
    case Argument::new_dynptr:
    case Argument::dynptr:
      return dynptr_argument(state, operation, reg, kind == Argument::new_dynptr);
    case Argument::map_key:
    case Argument::map_value:
    case Argument::output:
    case Argument::input:
    case Argument::buffer_or_null:
      return memory_argument(state, operation, reg, kind);
  }
  throw InvariantError("checker: an argument that cannot be checked");
}

Status Transfer::dynptr_argument(State& state, const Operation& operation, std::uint8_t reg,
                                 bool fresh) {
  const Value value = state.registers[reg];
  if (value.type != Type::stack || value.object != state.depth() || value.offset % slot_size != 0) {
    return refuse(operation, "gets " + describe(value) + " in " + name_of(reg) +
                                 ", expected 16 aligned bytes of the stack");
  }
  WEIR_CHECK(bounds(state, operation, value, {.size = dynptr_size, .write = fresh}));
  const std::size_t first = first_slot(value.offset);
  if (fresh) {
    clobber_stack(state, value.offset, dynptr_size);
    state.writable_slot(first) = {.kind = Slot::Kind::dynptr};
    state.writable_slot(first - 1) = {.kind = Slot::Kind::dynptr, .second_half = true};
    return {};
  }
  const Slot& slot = state.slot(first);
  if (slot.kind == Slot::Kind::dynptr && !slot.second_half) return {};
  return refuse(operation,
                "gets " + describe(value) + " in " + name_of(reg) + ", where no dynptr stands");
}

Status Transfer::memory_argument(State& state, const Operation& operation, std::uint8_t reg,
                                 Argument kind) {
  const Value value = state.registers[reg];
  const bool writes = kind == Argument::output || kind == Argument::buffer_or_null;
  std::int64_t size = 0;
  if (writes || kind == Argument::input) {
    const auto size_reg = static_cast<std::uint8_t>(reg + 1);
    WEIR_TRY(bytes, read(state, operation, size_reg));
    // As many bytes as there may be have to be there.
    const bool bounded = kind != Argument::buffer_or_null && value.type != Type::stack &&
                         bytes.is_scalar() && bytes.number.umin() > 0;
    if (!bytes.is_scalar() || !(bytes.number.is_constant() || bounded) ||
        bytes.number.umax() > largest_size) {
      return refuse(operation, "gets " + describe(bytes) + " in " + name_of(size_reg) +
                                   ", expected a known size");
    }
    size = static_cast<std::int64_t>(bytes.number.umax());
    need(reg);
    need(size_reg);
    const bool null = value.is_scalar() && value.number == Scalar::constant(0);
    if (null && (kind == Argument::buffer_or_null || size == 0)) return {};
  } else {
    const isa::MapSpec& spec = map_of(state.registers[1]);
    size = kind == Argument::map_key ? spec.key_size : spec.value_size;
  }
  if (value.type == Type::untrusted || !value.is_pointer()) {
    return refuse(operation, "gets " + describe(value) + " in " + name_of(reg) +
                                 ", expected a pointer to " + std::to_string(size) + " bytes");
  }
  WEIR_CHECK(bounds(state, operation, value, {.size = size, .write = writes}));
  if (value.type != Type::stack) return {};
  Frame& frame = state.frame(value.object);
  if (kind == Argument::output) {
    write_stack(frame, value.offset, size);
  } else if (kind == Argument::buffer_or_null) {
    clobber_stack(frame, value.offset, size);
  } else {
    return stack_readable(frame, operation, value.offset, size);
  }
  return {};
}

// btf_check_func_arg_match(), and check_func_call() for what is known behind it.
Status Transfer::call_global(State& state, const Operation& operation,
                             const LocalFunction& function) {
  needed_ = {};
  const std::vector<isa::Subprogram::Argument>& arguments = function.global->arguments;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    WEIR_CHECK(global_argument(state, operation, static_cast<std::uint8_t>(i + 1), arguments[i]));
  }
  if (function.moves_packet) forget_packet_pointers(state);
  for (std::uint8_t reg = 1; reg <= last_argument; ++reg) state.registers[reg] = {};
  state.registers[0] = Value::scalar({});
  return {};
}

Status Transfer::global_argument(State& state, const Operation& operation, std::uint8_t reg,
                                 const isa::Subprogram::Argument& declared) {
  WEIR_TRY(value, read(state, operation, reg));
  const auto expected = [&](const std::string& what) {
    return refuse(operation,
                  "passes " + describe(value) + " in " + name_of(reg) + ", expected " + what);
  };
  switch (declared.kind) {
    case isa::Subprogram::Argument::Kind::scalar:
      if (!value.is_scalar()) return expected("a number");
      return {};
    case isa::Subprogram::Argument::Kind::context:
      if (!value.context || value.offset != 0) return expected("the context");
      return {};
    case isa::Subprogram::Argument::Kind::memory:
      break;
  }
  // check_mem_reg(): the function may read and write all of it.
  if (value.is_scalar() && value.number == Scalar::constant(0)) {
    need(reg);
    return {};
  }
  if (value.type == Type::untrusted || !value.is_pointer()) {
    return expected("0 or a pointer to " + std::to_string(declared.size) + " bytes");
  }
  Value memory = value;
  memory.maybe_null = false;
  WEIR_CHECK(bounds(state, operation, memory, {.size = declared.size, .write = true}));
  if (value.type != Type::stack) return {};
  Frame& frame = state.frame(value.object);
  WEIR_CHECK(stack_readable(frame, operation, value.offset, declared.size));
  write_stack(frame, value.offset, declared.size);
  return {};
}

void Transfer::forget_packet_pointers(State& state) {
  const auto forget = [](Value& value) {
    const bool slice = value.type == Type::memory && !value.writable;
    if (value.type == Type::packet || value.type == Type::packet_end || slice) value = {};
  };
  const auto forget_in = [&](Frame& frame) {
    for (Value& value : frame.registers) forget(value);
    for (Slot& slot : frame.stack) {
      if (slot.kind != Slot::Kind::spill) continue;
      forget(slot.value);
      if (slot.value.type == Type::uninitialised) slot = Slot::with(0);
    }
  };
  forget_in(state);
  for (Frame& caller : state.callers) forget_in(caller);
}

void Transfer::forget_record(State& state) {
  const auto forget = [](Value& value) {
    if (value.record) value = {};
  };
  const auto forget_in = [&](Frame& frame) {
    for (Value& value : frame.registers) forget(value);
    for (Slot& slot : frame.stack) {
      if (slot.kind == Slot::Kind::spill && slot.value.record) slot = Slot::with(0);
    }
  };
  forget_in(state);
  for (Frame& caller : state.callers) forget_in(caller);
  state.holds_record = false;
}

Status Transfer::returned(State& state, const Operation& operation) const {
  const Function& function = *operation.function;
  Value result;
  if (function.arguments[0] == Argument::record) forget_record(state);
  switch (function.result) {
    case ReturnKind::scalar:
      result = Value::scalar({});
      break;
    case ReturnKind::map_value_or_null:
      result.type = Type::map_value;
      result.object = state.registers[1].object;
      break;
    case ReturnKind::read_only_or_null: {
      result.type = Type::memory;
      for (std::size_t i = 0; i < last_argument; ++i) {
        if (function.arguments[i] != Argument::buffer_size) continue;
        result.object = static_cast<std::uint32_t>(state.registers[i + 1].number.umin());
      }
      break;
    }
    case ReturnKind::record_or_null:
      result.type = Type::memory;
      result.writable = true;
      result.record = true;
      result.object = static_cast<std::uint32_t>(state.registers[2].number.umin());
      state.holds_record = true;
      break;
    case ReturnKind::untrusted:
      result.type = Type::untrusted;
      break;
    case ReturnKind::kernel_context: {
      const auto behind = kernel_context_of(code_.program->type);
      invariant(behind.has_value(), "checker: a context without a structure behind it");
      result = Value::structure(*behind);
      break;
    }
    case ReturnKind::task:
      result = Value::structure(StructureId::task_struct);
      break;
  }
  if (function.result == ReturnKind::map_value_or_null ||
      function.result == ReturnKind::read_only_or_null ||
      function.result == ReturnKind::record_or_null) {
    result.maybe_null = true;
    result.id = state.new_id();
  }
  if (function.moves_packet) forget_packet_pointers(state);
  for (std::uint8_t reg = 1; reg <= last_argument; ++reg) state.registers[reg] = {};
  state.registers[0] = result;
  return {};
}

}  // namespace weir::engine
