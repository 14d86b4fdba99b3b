// SPDX-License-Identifier: BSD-2-Clause
//
// Arithmetic: on numbers by the abstract domain, on pointers addition and subtraction only.
#include "engine/arithmetic.h"
#include "engine/transfer.h"

namespace weir::engine {
namespace {

// BPF_MAX_VAR_OFF: what may be added to a pointer stays below.
constexpr std::int64_t max_offset = std::int64_t{1} << 29;

// The operation of 64 bits on a register that this one is a form of.
isa::Opcode wide_reg(const Operation& operation) {
  const auto code = static_cast<std::uint8_t>(operation.opcode);
  const isa::OpcodeInfo& row = info(operation);
  const auto imm = static_cast<std::uint8_t>(code - (row.form == isa::Form::alu_reg ? 1 : 0) -
                                             (row.bits == 32 ? 2 : 0));
  return isa::reg_form(static_cast<isa::Opcode>(imm));
}

// Of signed division only constants are followed.
Scalar signed_division(isa::Opcode wide, unsigned bits, const Scalar& a, const Scalar& b) {
  if (!a.is_constant() || !b.is_constant()) return {};
  const bool divide = wide == isa::Opcode::sdiv64_reg;
  if (bits == 32) {
    const auto left = static_cast<std::uint32_t>(a.umin());
    const auto right = static_cast<std::uint32_t>(b.umin());
    return Scalar::constant(divide ? arithmetic::sdiv(left, right) : arithmetic::smod(left, right));
  }
  return Scalar::constant(divide ? arithmetic::sdiv(a.umin(), b.umin())
                                 : arithmetic::smod(a.umin(), b.umin()));
}

// Operands of 32-bit operations come truncated; the caller truncates the result.
Scalar compute(isa::Opcode wide, unsigned bits, const Scalar& a, const Scalar& right) {
  using enum isa::Opcode;
  const bool is_shift = wide == lsh64_reg || wide == rsh64_reg || wide == arsh64_reg;
  const Scalar b = is_shift ? bit_and(right, Scalar::constant(bits - 1)) : right;
  switch (wide) {
    case add64_reg:
      return add(a, b);
    case sub64_reg:
      return sub(a, b);
    case mul64_reg:
      return mul(a, b);
    case div64_reg:
      return div(a, b);
    case mod64_reg:
      return mod(a, b);
    case sdiv64_reg:
    case smod64_reg:
      return signed_division(wide, bits, a, b);
    case or64_reg:
      return bit_or(a, b);
    case and64_reg:
      return bit_and(a, b);
    case xor64_reg:
      return bit_xor(a, b);
    case lsh64_reg:
      return lsh(a, b);
    case rsh64_reg:
      return rsh(a, b);
    case arsh64_reg:
      return arsh(bits == 32 ? sign_extend(a, 32) : a, b);
    default:
      throw InvariantError("checker: arithmetic that nobody computes");
  }
}

}  // namespace

Status Transfer::arithmetic(State& state, const Operation& operation) {
  const isa::Opcode wide = wide_reg(operation);
  if (wide == isa::Opcode::mov64_reg) return move(state, operation);
  WEIR_TRY(left, read(state, operation, operation.dst));
  WEIR_TRY(right, right_side(state, operation));
  if (left.is_pointer() || right.is_pointer()) {
    return pointer_arithmetic(state, operation, left, right, wide);
  }
  const unsigned bits = info(operation).bits;
  const bool to_zero = (wide == isa::Opcode::xor64_reg || wide == isa::Opcode::sub64_reg) &&
                       form(operation) == isa::Form::alu_reg && operation.dst == operation.src;
  const Scalar result =
      to_zero ? Scalar::constant(0)
              : compute(wide, bits, truncate(left.number, bits), truncate(right.number, bits));
  state.registers[operation.dst] = Value::scalar(truncate(result, bits));
  return {};
}

Status Transfer::pointer_arithmetic(State& state, const Operation& operation, const Value& left,
                                    const Value& right, isa::Opcode wide) {
  const bool adds = wide == isa::Opcode::add64_reg;
  if (info(operation).bits != 64 || (!adds && wide != isa::Opcode::sub64_reg)) {
    return refuse(operation, "computes with " + describe(left.is_pointer() ? left : right) +
                                 ", expected 64-bit addition or subtraction");
  }
  if (left.is_pointer() && right.is_pointer()) {
    if (adds) {
      return refuse(operation,
                    "adds " + describe(right) + " to " + describe(left) + ", expected a number");
    }
    state.registers[operation.dst] = Value::scalar({});
    return {};
  }
  if (!adds && right.is_pointer()) {
    return refuse(operation, "subtracts " + describe(right) + " from a number");
  }
  Value pointer = left.is_pointer() ? left : right;
  const Scalar& number = left.is_pointer() ? right.number : left.number;
  if (left.is_pointer()) {
    need_right_side(operation);
  } else {
    need(operation.dst);
  }
  if (pointer.maybe_null) {
    return refuse(operation,
                  "computes with " + describe(pointer) + ", expected a comparison with 0 before");
  }
  if (pointer.type == Type::map || pointer.type == Type::packet_end) {
    return refuse(operation, "computes with " + describe(pointer) + ", which stays as it is");
  }
  if (number.smin() <= -max_offset || number.smin() >= max_offset) {
    return refuse(operation, "adds " + number.text() + " to " + describe(pointer) +
                                 ", expected a number within " + std::to_string(max_offset));
  }
  if (number.is_constant()) {
    const std::int64_t step = number.smin();
    pointer.offset += adds ? step : -step;
    if (pointer.offset <= -max_offset || pointer.offset >= max_offset) {
      return refuse(operation, "makes " + describe(pointer) + ", which is out of any bounds");
    }
  } else {
    if (pointer.type == Type::stack || pointer.type == Type::structure) {
      return refuse(operation, "adds " + number.text() + " to " + describe(pointer) +
                                   ", expected a known number");
    }
    pointer.number = adds ? add(pointer.number, number) : sub(pointer.number, number);
    if (pointer.type == Type::packet) {
      pointer.id = state.new_id();
      pointer.range = 0;
    }
  }
  state.registers[operation.dst] = pointer;
  return {};
}

Status Transfer::move(State& state, const Operation& operation) const {
  const unsigned bits = info(operation).bits;
  if (form(operation) == isa::Form::alu_imm) {
    state.registers[operation.dst] = Value::scalar(truncate(Scalar::constant(operation.imm), bits));
    return {};
  }
  WEIR_TRY(source, read(state, operation, operation.src));
  if (source.is_pointer() && bits != 64) {
    state.registers[operation.dst] = Value::scalar(Scalar::of_size(bits / 8));
    return {};
  }
  if (source.is_scalar() && bits == 32 && !source.number.fits_32_bits()) {
    state.registers[operation.dst] = Value::scalar(truncate(source.number, bits));
    return {};
  }
  // What a comparison finds out about one of the two holds for the other.
  if (source.is_scalar() && source.id == 0 && !source.number.is_constant()) {
    source.id = state.new_id();
    state.registers[operation.src] = source;
  }
  state.registers[operation.dst] = source;
  return {};
}

Status Transfer::unary(State& state, const Operation& operation) const {
  const bool moves = form(operation) == isa::Form::mov_sx;
  WEIR_TRY(source, read(state, operation, moves ? operation.src : operation.dst));
  if (source.is_pointer()) {
    return refuse(operation, "computes with " + describe(source) + ", expected a number");
  }
  const unsigned bits = info(operation).bits;
  Scalar result;
  switch (operation.opcode) {
    using enum isa::Opcode;
    case neg64:
    case neg32:
      result = truncate(sub(Scalar::constant(0), truncate(source.number, bits)), bits);
      break;
    case movsx8_64:
    case movsx8_32:
      result = truncate(sign_extend(truncate(source.number, 8), 8), bits);
      break;
    case movsx16_64:
    case movsx16_32:
      result = truncate(sign_extend(truncate(source.number, 16), 16), bits);
      break;
    case movsx32_64:
      result = sign_extend(truncate(source.number, 32), 32);
      break;
    case le16:
    case le32:
    case le64:
      result = truncate(source.number, bits);
      break;
    default:  // reversed bytes: only their number is known, unless the value is
      result = Scalar::of_size(bits / 8);
      if (source.number.is_constant()) {
        result = Scalar::constant(std::byteswap(source.number.umin()) >> (64 - bits));
      }
      break;
  }
  state.registers[operation.dst] = Value::scalar(result);
  return {};
}

}  // namespace weir::engine
