// SPDX-License-Identifier: BSD-2-Clause
#include "engine/transfer.h"

namespace weir::engine {

State Transfer::start() const {
  const auto context = context_of(code_.program->type);
  invariant(context.has_value(), "checker: a program type that was not refused");
  State state;
  state.registers[1] = Value::structure(*context);
  state.registers[1].context = true;
  state.registers[frame_register].type = Type::stack;
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

// Verdicts: include/linux/netfilter.h, NF_DROP and NF_ACCEPT; XDP takes any number.
Status Transfer::exit(const State& state, const Operation& operation) {
  needed_ = {};
  WEIR_TRY(result, read(state, operation, 0));
  if (!result.is_scalar()) {
    return refuse(operation, "returns " + describe(result) + ", expected a number");
  }
  if (code_.program->type != isa::ProgramType::netfilter) return {};
  need(0);
  if (result.number.umax() > 1) {
    return refuse(operation, "returns " + describe(result) + ", expected 0 or 1");
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
