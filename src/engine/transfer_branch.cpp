// SPDX-License-Identifier: BSD-2-Clause
//
// Conditional jumps: which sides can be taken, and what is known on each.
#include <algorithm>
#include <utility>

#include "engine/transfer.h"

namespace weir::engine {
namespace {

constexpr std::int64_t max_packet_offset = 0xffff;  // MAX_PACKET_OFF

Comparison comparison_of(const Operation& operation) {
  switch (isa::info(operation.opcode).code & 0xf0) {
    case 0x10:
      return Comparison::eq;
    case 0x20:
      return Comparison::gt;
    case 0x30:
      return Comparison::ge;
    case 0x40:
      return Comparison::set;
    case 0x50:
      return Comparison::ne;
    case 0x60:
      return Comparison::sgt;
    case 0x70:
      return Comparison::sge;
    case 0xa0:
      return Comparison::lt;
    case 0xb0:
      return Comparison::le;
    case 0xc0:
      return Comparison::slt;
    case 0xd0:
      return Comparison::sle;
    default:
      throw InvariantError("checker: a jump without a comparison");
  }
}

bool is_signed(Comparison comparison) {
  return comparison == Comparison::sgt || comparison == Comparison::sge ||
         comparison == Comparison::slt || comparison == Comparison::sle;
}

// The numbers that a comparison of so many bits looks at, as 64-bit numbers that compare alike.
Scalar seen(const Scalar& number, unsigned bits, Comparison comparison) {
  const Scalar low = truncate(number, bits);
  return is_signed(comparison) ? sign_extend(low, bits) : low;
}

// Puts what is known of `before` now into every value that holds the same number.
void learn(State& state, std::uint8_t reg, const Scalar& number) {
  const std::uint32_t id = state.registers[reg].id;
  state.registers[reg].number = number;
  if (id == 0) return;
  state.each_value([&](Value& value) {
    if (value.is_scalar() && value.id == id) value.number = number;
  });
}

// The state in which `left comparison right` holds; nothing when it cannot.
std::optional<State> where(const State& state, const Operation& operation, Comparison comparison,
                           const Scalar& left, const Scalar& right) {
  const unsigned bits = info(operation).bits;
  State result = state;
  Scalar a = seen(left, bits, comparison);
  Scalar b = seen(right, bits, comparison);
  const bool a_whole = a == left;
  const bool b_whole = b == right;
  if (decide(a, comparison, b) == false) return std::nullopt;
  const bool by_register = form(operation) == isa::Form::jump_reg;
  if (by_register && operation.dst == operation.src) return result;
  assume(a, comparison, b);
  if (a.impossible() || b.impossible()) return std::nullopt;
  if (a_whole) learn(result, operation.dst, a);
  if (b_whole && by_register) learn(result, operation.src, b);
  return result;
}

// `range` bytes from the variable part of pointers with this id on are there.
void prove_range(State& state, std::uint32_t id, std::int64_t range) {
  state.each_value([&](Value& value) {
    if (value.type == Type::packet && value.id == id) value.range = std::max(value.range, range);
  });
}

void resolve_null(State& state, std::uint32_t id, bool null) {
  if (null && std::ranges::any_of(state.registers, [&](const Value& value) {
        return value.maybe_null && value.id == id && value.record;
      })) {
    state.holds_record = false;
  }
  state.each_value([&](Value& value) {
    if (!value.maybe_null || value.id != id) return;
    if (null) {
      value = Value::scalar(Scalar::constant(0));
    } else {
      value.maybe_null = false;
      value.id = 0;
    }
  });
}

}  // namespace

// A pointer into the packet against its end (find_good_pkt_pointers()).
std::optional<Transfer::Branches> Transfer::packet_branch(const State& state,
                                                          const Operation& operation,
                                                          const Value& left,
                                                          const Value& right) const {
  const bool straight = left.type == Type::packet && right.type == Type::packet_end;
  const bool reversed = left.type == Type::packet_end && right.type == Type::packet;
  if ((!straight && !reversed) || info(operation).bits != 64) return std::nullopt;
  const Value& pointer = straight ? left : right;
  const Comparison comparison =
      straight ? comparison_of(operation) : mirrored(comparison_of(operation));
  Branches branches{.taken = state, .not_taken = state};
  if (pointer.offset < 0 || pointer.number.smin() < 0 ||
      pointer.number.umax() > static_cast<std::uint64_t>(max_packet_offset) ||
      static_cast<std::int64_t>(pointer.number.umax()) + pointer.offset > max_packet_offset) {
    return branches;
  }
  switch (comparison) {
    using enum Comparison;
    case gt:
      prove_range(*branches.not_taken, pointer.id, pointer.offset);
      break;
    case ge:
      prove_range(*branches.not_taken, pointer.id, pointer.offset + 1);
      break;
    case le:
      prove_range(*branches.taken, pointer.id, pointer.offset);
      break;
    case lt:
      prove_range(*branches.taken, pointer.id, pointer.offset + 1);
      break;
    case eq:
    case ne:
    case sgt:
    case sge:
    case slt:
    case sle:
    case set:
    case clear:
      break;
  }
  return branches;
}

std::optional<Transfer::Branches> Transfer::null_branch(const State& state,
                                                        const Operation& operation,
                                                        const Value& left, const Value& right) {
  const Comparison comparison = comparison_of(operation);
  const bool with_zero = right.is_scalar() && right.number == Scalar::constant(0);
  if (!left.is_pointer() || !with_zero || info(operation).bits != 64 ||
      (comparison != Comparison::eq && comparison != Comparison::ne)) {
    return std::nullopt;
  }
  need_right_side(operation);
  std::optional<State> null;
  std::optional<State> other = state;
  if (left.maybe_null) {
    null = state;
    resolve_null(*null, left.id, true);
    resolve_null(*other, left.id, false);
  } else if (!left.never_null()) {
    null = state;
  }
  if (comparison == Comparison::eq) return Branches{std::move(null), std::move(other)};
  return Branches{std::move(other), std::move(null)};
}

Result<Transfer::Branches> Transfer::branch(const State& state, const Operation& operation) {
  needed_ = {};
  WEIR_TRY(left, read(state, operation, operation.dst));
  WEIR_TRY(right, right_side(state, operation));
  if (auto branches = packet_branch(state, operation, left, right)) return std::move(*branches);
  if (auto branches = null_branch(state, operation, left, right)) return std::move(*branches);
  if (left.is_pointer() || right.is_pointer()) return Branches{.taken = state, .not_taken = state};
  const Comparison comparison = comparison_of(operation);
  Branches branches{
      .taken = where(state, operation, comparison, left.number, right.number),
      .not_taken = where(state, operation, opposite(comparison), left.number, right.number)};
  if (!branches.taken || !branches.not_taken) {
    need(operation.dst);
    need_right_side(operation);
  }
  return branches;
}

}  // namespace weir::engine
