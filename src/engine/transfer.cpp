// SPDX-License-Identifier: BSD-2-Clause
#include "engine/transfer.h"

#include <algorithm>
#include <utility>

namespace weir::engine {

State Transfer::start(std::size_t function) const {
  State state;
  state.registers[frame_register].type = Type::stack;
  const Value context = [&] {
    Value value = Value::structure(context_of(code_.program->type));
    value.context = true;
    return value;
  }();
  const isa::Subprogram* declared = code_.functions[function].global;
  if (declared == nullptr) {
    state.registers[1] = context;
    return state;
  }
  for (std::size_t i = 0; i < declared->arguments.size(); ++i) {
    Value& value = state.registers[i + 1];
    switch (declared->arguments[i].kind) {
      case isa::Subprogram::Argument::Kind::scalar:
        value = Value::scalar({});
        break;
      case isa::Subprogram::Argument::Kind::context:
        value = context;
        break;
      case isa::Subprogram::Argument::Kind::memory:
        value.type = Type::memory;
        value.writable = true;
        value.maybe_null = true;
        value.object = declared->arguments[i].size;
        value.id = state.new_id();
        break;
    }
  }
  return state;
}

Status Transfer::step(State& state, Operation& operation) {
  needed_ = {};
  switch (form(operation)) {
    case isa::Form::alu_imm:
    case isa::Form::alu_reg:
      return arithmetic(state, operation);
    case isa::Form::neg:
    case isa::Form::mov_sx:
    case isa::Form::swap:
      return unary(state, operation);
    case isa::Form::load:
      return load(state, operation);
    case isa::Form::store_reg:
    case isa::Form::store_imm:
      return store(state, operation);
    case isa::Form::atomic:
    case isa::Form::atomic_fetch:
    case isa::Form::atomic_cmpxchg:
      return atomic(state, operation);
    case isa::Form::load_imm64:
      state.registers[operation.dst] = Value::scalar(Scalar::constant(operation.imm));
      return {};
    case isa::Form::load_function: {
      Value value;
      value.type = Type::function;
      value.object = operation.target;
      state.registers[operation.dst] = value;
      return {};
    }
    case isa::Form::load_map:
    case isa::Form::load_map_value: {
      Value value;
      value.type = form(operation) == isa::Form::load_map ? Type::map : Type::map_value;
      value.object = static_cast<std::uint32_t>(operation.map.index());
      if (value.type == Type::map_value) value.offset = static_cast<std::int64_t>(operation.imm);
      state.registers[operation.dst] = value;
      return {};
    }
    case isa::Form::call_helper:
    case isa::Form::call_kfunc:
      return call(state, operation);
    case isa::Form::call_local:
    case isa::Form::jump:
    case isa::Form::jump_long:
    case isa::Form::jump_imm:
    case isa::Form::jump_reg:
    case isa::Form::exit:
      break;
  }
  throw InvariantError("checker: an operation that is no step");
}

Status Transfer::enter(State& state, const Operation& operation, std::uint32_t return_to,
                       const Parts& function, const Parts& caller) {
  needed_ = {};
  if (state.callers.size() + 1 == max_frames) {
    return refuse(operation,
                  "is a call at depth " + std::to_string(max_frames) + ", expected less");
  }
  Frame callee;
  Parts kept = caller;
  kept.registers = static_cast<std::uint16_t>(kept.registers & ~0x3fU);
  for (std::uint8_t reg = 1; reg <= 5; ++reg) {
    if ((function.registers >> reg & 1) == 0) continue;
    callee.registers[reg] = state.registers[reg];
    // With it, the function reaches all of this stack.
    if (callee.registers[reg].type == Type::stack) kept.slots = ~std::uint64_t{0};
  }
  forget_dead(state, kept);
  push(state, std::move(callee), return_to);
  return {};
}

void Transfer::push(State& state, Frame callee, std::uint32_t return_to) {
  callee.registers[frame_register].type = Type::stack;
  callee.registers[frame_register].object = state.depth() + 1;
  Frame& waiting = state.callers.emplace_back(static_cast<Frame&>(state));
  waiting.return_to = return_to;
  static_cast<Frame&>(state) = std::move(callee);
}

// push_callback_call(), set_loop_callback_state(): r1 is the round, r2 what the loop was given. Of
// the entries of a map (set_map_elem_callback_state()) r1 is the map, r2 the key, r3 the value, and
// r4 what was given.
Status Transfer::enter_callback(State& state, const Operation& operation, std::uint32_t loop,
                                const Parts& caller) {
  if (state.callers.size() + 1 == max_frames) {
    return refuse(operation,
                  "is a call at depth " + std::to_string(max_frames) + ", expected less");
  }
  Frame callee;
  if (operation.function->id == FunctionId::for_each_map_elem) {
    callee.registers[1] = state.registers[1];
    callee.registers[2].type = Type::memory;
    callee.registers[2].object = map_of(state.registers[1]).key_size;
    callee.registers[3].type = Type::map_value;
    callee.registers[3].object = state.registers[1].object;
    callee.registers[4] = state.registers[3];
  } else {
    callee.registers[1] = Value::scalar({});
    callee.registers[2] = state.registers[3];
  }
  Parts kept = caller;
  if (state.registers[3].type == Type::stack) kept.slots = ~std::uint64_t{0};
  forget_dead(state, kept);
  ++state.rounds;
  push(state, std::move(callee), loop);
  state.callers.back().looping = true;
  return {};
}

Status Transfer::end_callback(const State& state, const Operation& operation) {
  needed_ = {};
  WEIR_TRY(result, read(state, operation, 0));
  need(0);
  if (state.holds_record) {
    return refuse(operation, "ends a round of a loop with a record that was not submitted");
  }
  if (result.is_scalar() && result.number.umax() <= 1) return {};
  return refuse(operation, "returns " + describe(result) + " to a loop, expected 0 or 1");
}

void Transfer::leave_callback(State& state) {
  static_cast<Frame&>(state) = Frame(std::move(state.callers.back()));
  state.callers.pop_back();
  state.return_to = 0;
  state.looping = false;
}

Status Transfer::leave(State& state, const Operation& operation) {
  needed_ = {};
  WEIR_TRY(result, read(state, operation, 0));
  if (result.type == Type::stack) {
    return refuse(operation, "returns " + describe(result) + ", which is gone then");
  }
  static_cast<Frame&>(state) = std::move(state.callers.back());
  state.callers.pop_back();
  state.return_to = 0;
  state.registers[0] = result;
  return {};
}

// check_max_stack_depth(): the stack of each function is rounded up to 16 bytes.
Result<Transfer::Demand> Transfer::demand_of(std::size_t function,
                                             std::vector<std::optional<Demand>>& known,
                                             std::vector<bool>& active) {
  if (known[function]) return *known[function];
  const std::size_t begin = code_.functions[function].start;
  if (active[function]) {
    return refuse(code_.operations[begin], "begins a function that comes to call itself");
  }
  active[function] = true;
  Demand deepest;
  const std::size_t end = function + 1 < code_.functions.size()
                              ? code_.functions[function + 1].start
                              : code_.operations.size();
  for (std::size_t at = begin; at < end; ++at) {
    const Operation& operation = code_.operations[at];
    if (!isa::names_function(operation.opcode)) continue;
    WEIR_TRY(callee, demand_of(function_of(code_, operation.target), known, active));
    deepest.bytes = std::max(deepest.bytes, callee.bytes);
    deepest.frames = std::max(deepest.frames, callee.frames);
  }
  active[function] = false;
  deepest.bytes += (std::max<std::int64_t>(depths_[function], 1) + 15) / 16 * 16;
  ++deepest.frames;
  known[function] = deepest;
  return deepest;
}

Status Transfer::stacks() {
  std::vector<std::optional<Demand>> known(code_.functions.size());
  std::vector<bool> active(code_.functions.size());
  WEIR_TRY(demand, demand_of(0, known, active));
  if (demand.frames > max_frames) {
    return refuse(code_.operations.front(),
                  "begins a program with calls " + std::to_string(demand.frames) +
                      " functions deep, expected at most " + std::to_string(max_frames));
  }
  if (demand.bytes <= stack_size) return {};
  return refuse(code_.operations.front(),
                "begins a program whose functions need " + std::to_string(demand.bytes) +
                    " bytes of stack together, expected at most " + std::to_string(stack_size));
}

// check_return_code(): NF_DROP and NF_ACCEPT at netfilter hooks (include/linux/netfilter.h); at
// cgroup hooks drop and pass, and at egress both with congestion noted too; any number elsewhere.
Status Transfer::exit(const State& state, const Operation& operation) {
  needed_ = {};
  WEIR_TRY(result, read(state, operation, 0));
  if (state.holds_record) {
    return refuse(operation, "ends with a record of a ring buffer that was not submitted");
  }
  if (!result.is_scalar()) {
    return refuse(operation, "returns " + describe(result) + ", expected a number");
  }
  // Of a function of global linkage, any number.
  const auto at = static_cast<std::size_t>(&operation - code_.operations.data());
  if (function_of(code_, at) != 0) return {};
  std::uint64_t most = 0;
  switch (code_.program->type) {
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::xdp:
      return {};
    case isa::ProgramType::netfilter:
      most = 1;
      break;
    case isa::ProgramType::cgroup_skb:
      most = code_.program->direction == isa::Direction::egress ? 3 : 1;
      break;
  }
  need(0);
  if (result.number.umax() > most) {
    return refuse(operation, "returns " + describe(result) + ", expected 0 " +
                                 (most == 1 ? "or " : "to ") + std::to_string(most));
  }
  return {};
}

Result<Value> Transfer::read(const State& state, const Operation& operation,
                             std::uint8_t reg) const {
  const Value& value = state.registers[reg];
  if (value.type != Type::uninitialised) return value;
  return refuse(operation, "reads r" + std::to_string(reg) + ", which was not written");
}

void Transfer::need_right_side(const Operation& operation) {
  const isa::Form kind = form(operation);
  if (kind == isa::Form::alu_reg || kind == isa::Form::jump_reg) need(operation.src);
}

Result<Value> Transfer::right_side(const State& state, const Operation& operation) const {
  const isa::Form kind = form(operation);
  if (kind == isa::Form::alu_imm || kind == isa::Form::jump_imm) {
    return Value::scalar(Scalar::constant(operation.imm));
  }
  return read(state, operation, operation.src);
}

}  // namespace weir::engine
