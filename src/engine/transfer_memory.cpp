// SPDX-License-Identifier: BSD-2-Clause
//
// Loads, stores and atomic operations: whether the bytes are there and may be read or written, and
// what the stack holds.
#include <algorithm>

#include "engine/transfer.h"

namespace weir::engine {
namespace {

constexpr std::int64_t max_packet_offset = 0xffff;         // MAX_PACKET_OFF
constexpr std::uint32_t read_only_for_programs = 1U << 7;  // BPF_F_RDONLY_PROG
constexpr std::uint64_t max_variable = std::uint64_t{1} << 29;

// The slot that holds the byte at `offset` from r10, and the byte's number within it.
std::size_t slot_of(std::int64_t offset) {
  return static_cast<std::size_t>((-offset - 1) / slot_size);
}
unsigned byte_of(std::int64_t offset) {
  return static_cast<unsigned>((offset + stack_size) % slot_size);
}

std::string plural(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " byte" : " bytes");
}

}  // namespace

Status Transfer::set_access(Operation& operation, Access access) const {
  if (operation.access == Access::unknown) operation.access = access;
  if (operation.access == access) return {};
  if (operation.access == Access::context || access == Access::context) {
    return refuse(operation,
                  "is reached with the context and with other memory, "
                  "expected one of them");
  }
  operation.access = Access::probed;
  return {};
}

Status Transfer::stack_bounds(const State& state, const Operation& operation, const Value& base,
                              Bytes bytes) {
  const std::int64_t begin = base.offset + bytes.offset;
  if (begin >= -stack_size && begin + bytes.size <= 0) {
    // The function whose stack it is: the one that runs, or one that waits within a call.
    std::size_t at = state.frame(base.object).return_to;
    if (base.object == state.depth()) {
      at = static_cast<std::size_t>(&operation - code_.operations.data());
    }
    std::int64_t& depth = depths_[function_of(code_, at)];
    depth = std::max(depth, -begin);
    return {};
  }
  return refuse(operation,
                "touches " + plural(bytes.size) + " at r10 " + (begin < 0 ? "- " : "+ ") +
                    std::to_string(begin < 0 ? -begin : begin) + ", expected bytes from r10 - " +
                    std::to_string(stack_size) + " to r10 - 1");
}

Status Transfer::bounds(const State& state, const Operation& operation, const Value& base,
                        Bytes bytes) {
  if (base.maybe_null) {
    return refuse(operation, "uses " + describe(base) + ", expected a comparison with 0 before");
  }
  const bool packet_writable = code_.program->type == isa::ProgramType::xdp ||
                               code_.program->type == isa::ProgramType::sched_cls;
  const bool writable =
      base.type == Type::stack || (base.type == Type::packet && packet_writable) || base.writable ||
      (base.type == Type::map_value && (map_of(base).flags & read_only_for_programs) == 0);
  if (bytes.write && !writable) {
    return refuse(operation, "writes to " + describe(base) + ", which is read-only");
  }
  const std::int64_t begin = base.offset + bytes.offset;
  std::int64_t available = 0;
  switch (base.type) {
    case Type::stack:
      return stack_bounds(state, operation, base, bytes);
    case Type::untrusted:
      return {};
    case Type::packet:
      if (base.number.smin() >= 0 && begin >= 0 && begin + bytes.size <= base.range &&
          base.number.umax() + static_cast<std::uint64_t>(begin + bytes.size) <=
              max_packet_offset + 1) {
        return {};
      }
      return refuse(operation, "touches " + plural(bytes.size) + " at offset " +
                                   std::to_string(begin) + " of " + describe(base) +
                                   ", where comparisons with the end of the packet prove " +
                                   plural(base.range));
    case Type::map_value:
      available = map_of(base).value_size;
      break;
    case Type::memory:
      available = base.object;
      break;
    case Type::uninitialised:
    case Type::scalar:
    case Type::structure:
    case Type::packet_end:
    case Type::map:
    case Type::function:
      return refuse(operation, "uses " + describe(base) + " as an address, expected memory");
  }
  if (base.number.umax() < max_variable && base.number.smin() + begin >= 0 &&
      base.number.smax() + begin + bytes.size <= available) {
    return {};
  }
  return refuse(operation, "touches " + plural(bytes.size) + " at offset " +
                               std::to_string(bytes.offset) + " of " + describe(base) +
                               ", which has " + plural(available));
}

Status Transfer::stack_readable(const Frame& frame, const Operation& operation, std::int64_t begin,
                                std::int64_t size) const {
  for (std::int64_t at = begin; at < begin + size; ++at) {
    const Slot& slot = frame.slot(slot_of(at));
    if (slot.kind == Slot::Kind::spill) continue;
    if (slot.kind == Slot::Kind::dynptr) {
      return refuse(operation, "reads the dynptr at r10 - " + std::to_string(-at));
    }
    if ((slot.written >> byte_of(at) & 1) == 0) {
      return refuse(operation,
                    "reads the byte at r10 - " + std::to_string(-at) + ", which was not written");
    }
  }
  return {};
}

Result<Value> Transfer::read_stack(State& state, const Operation& operation, std::uint32_t number,
                                   std::int64_t begin) const {
  Frame& frame = state.frame(number);
  const std::uint32_t size = access_size(operation);
  WEIR_CHECK(stack_readable(frame, operation, begin, size));
  const Slot& slot = frame.slot(slot_of(begin));
  const bool within_one = slot_of(begin) == slot_of(begin + size - 1);
  if (slot.kind == Slot::Kind::spill && size == slot_size && within_one) {
    // What a comparison finds out about the register holds for the slot.
    Value& value = frame.writable_slot(slot_of(begin)).value;
    if (value.is_scalar() && value.id == 0 && !value.number.is_constant()) {
      value.id = state.new_id();
    }
    return value;
  }
  for (std::int64_t at = begin; at < begin + size; ++at) {
    const Slot& touched = frame.slot(slot_of(at));
    if (touched.kind == Slot::Kind::spill && touched.value.is_pointer()) {
      return refuse(operation, "reads a part of " + describe(touched.value) + " from the stack");
    }
  }
  if (slot.kind == Slot::Kind::spill && within_one && byte_of(begin) == 0) {
    return Value::scalar(truncate(slot.value.number, size * 8));
  }
  return Value::scalar(Scalar::of_size(size));
}

void Transfer::write_stack(Frame& frame, std::int64_t begin, std::int64_t size) const {
  clobber_stack(frame, begin, size);
  for (std::int64_t at = begin; at < begin + size; ++at) {
    Slot& slot = frame.writable_slot(slot_of(at));
    slot.written = static_cast<std::uint8_t>(slot.written | 1U << byte_of(at));
  }
}

void Transfer::clobber_stack(Frame& frame, std::int64_t begin, std::int64_t size) const {
  for (std::int64_t at = begin; at < begin + size; ++at) {
    const std::size_t index = slot_of(at);
    const Slot slot = frame.slot(index);
    if (slot.kind == Slot::Kind::spill) frame.writable_slot(index) = Slot::with(0xff);
    if (slot.kind == Slot::Kind::dynptr) {
      // Half a dynptr is none; the second half has the higher address, so the lower number.
      const std::size_t other = slot.second_half ? index + 1 : index - 1;
      frame.writable_slot(index) = Slot::with(0);
      frame.writable_slot(other) = Slot::with(0);
    }
  }
}

Status Transfer::load_member(State& state, Operation& operation, const Value& base) {
  const std::int64_t begin = base.offset + operation.off;
  const std::uint32_t size = access_size(operation);
  const Member* member = member_at(base.structure_id(), begin, size);
  const bool whole = member != nullptr && begin == member->offset && size == member->size;
  // bpf_ctx_narrow_access_ok(): a part of a member of struct __sk_buff; of others, only the whole.
  const bool parts =
      !base.context || (base.structure_id() == StructureId::sk_buff_view && member != nullptr &&
                        member->real_size == member->size && begin % size == 0);
  const bool narrow = member != nullptr && parts &&
                      (member->kind == MemberKind::scalar || member->kind == MemberKind::bytes);
  if (!whole && !narrow) {
    return refuse(operation, "loads " + plural(size) + " at offset " + std::to_string(begin) +
                                 " of " + describe(base) + ", which has no such member");
  }
  if (base.context && base.offset != 0) {
    return refuse(operation, "loads from " + describe(base) + ", expected the context itself");
  }
  if (base.context && (member->readers & bit_of(code_.program->type)) == 0) {
    return refuse(operation,
                  "loads " + std::string(member->name) + ", which programs of this type may not");
  }
  const bool is_signed = operation.opcode == isa::Opcode::ldsx8 ||
                         operation.opcode == isa::Opcode::ldsx16 ||
                         operation.opcode == isa::Opcode::ldsx32;
  if (is_signed && (base.context || !narrow)) {
    return refuse(operation, "loads " + std::string(member->name) + " with a sign");
  }
  WEIR_CHECK(set_access(operation, base.context  ? Access::context
                                   : base.probed ? Access::probed
                                                 : Access::checked));
  Value value;
  switch (member->kind) {
    case MemberKind::scalar:
    case MemberKind::bytes:
      value =
          Value::scalar(is_signed ? Scalar::sign_extended_of_size(size) : Scalar::of_size(size));
      break;
    case MemberKind::pointer:
    case MemberKind::probed_pointer:
      value = Value::structure(member->target);
      value.probed = base.probed || member->kind == MemberKind::probed_pointer;
      break;
    case MemberKind::packet:
      value.type = Type::packet;
      break;
    case MemberKind::packet_end:
      value.type = Type::packet_end;
      break;
  }
  state.registers[operation.dst] = value;
  return {};
}

Status Transfer::store_member(Operation& operation, const Value& base, const Value& value) {
  const std::uint32_t size = access_size(operation);
  const Member* member = member_at(base.structure_id(), operation.off, size);
  const bool whole = member != nullptr &&
                     operation.off == static_cast<std::int64_t>(member->offset) &&
                     size == member->size;
  if (!base.context || base.offset != 0 || !whole ||
      (member->writers & bit_of(code_.program->type)) == 0) {
    return refuse(operation, "writes " + plural(size) + " at offset " +
                                 std::to_string(base.offset + operation.off) + " of " +
                                 describe(base) + ", which is read-only to programs of this type");
  }
  // Constants have been taken since 6.4 only.
  if (form(operation) != isa::Form::store_reg || !value.is_scalar()) {
    return refuse(operation,
                  "writes " + describe(value) + " to the context, expected a number in a register");
  }
  return set_access(operation, Access::context);
}

Status Transfer::load(State& state, Operation& operation) {
  WEIR_TRY(base, read(state, operation, operation.src));
  if (base.type == Type::structure) return load_member(state, operation, base);
  const std::uint32_t size = access_size(operation);
  WEIR_CHECK(bounds(state, operation, base, {.offset = operation.off, .size = size}));
  WEIR_CHECK(
      set_access(operation, base.type == Type::untrusted ? Access::probed : Access::checked));
  const bool is_signed = operation.opcode == isa::Opcode::ldsx8 ||
                         operation.opcode == isa::Opcode::ldsx16 ||
                         operation.opcode == isa::Opcode::ldsx32;
  Value value = Value::scalar(Scalar::of_size(size));
  if (base.type == Type::stack) {
    const std::int64_t begin = base.offset + operation.off;
    auto loaded = read_stack(state, operation, base.object, begin);
    if (!loaded) return std::unexpected(loaded.error());
    value = *loaded;
  }
  if (is_signed) value = Value::scalar(sign_extend(value.number, size * 8));
  state.registers[operation.dst] = value;
  return {};
}

Status Transfer::store(State& state, Operation& operation) {
  WEIR_TRY(base, read(state, operation, operation.dst));
  const bool from_register = form(operation) == isa::Form::store_reg;
  const std::uint32_t size = access_size(operation);
  Value value = Value::scalar(Scalar::constant(operation.imm));
  if (from_register) {
    WEIR_TRY(source, read(state, operation, operation.src));
    value = source;
  }
  if (base.type == Type::structure) return store_member(operation, base, value);
  WEIR_CHECK(
      bounds(state, operation, base, {.offset = operation.off, .size = size, .write = true}));
  WEIR_CHECK(set_access(operation, Access::checked));
  if (base.type != Type::stack) return {};
  const std::int64_t begin = base.offset + operation.off;
  const bool whole_slot = size == slot_size && begin % slot_size == 0;
  if (value.is_pointer() && !whole_slot) {
    return refuse(operation, "stores " + describe(value) + ", expected 8 aligned bytes for it");
  }
  if (value.type == Type::stack && base.object != state.depth()) {
    return refuse(operation, "stores " + describe(value) + " in the stack of a calling function");
  }
  Frame& frame = state.frame(base.object);
  write_stack(frame, begin, size);
  if (!whole_slot) return {};
  if (from_register && value.is_scalar() && value.id == 0 && !value.number.is_constant()) {
    value.id = state.new_id();
    state.registers[operation.src] = value;
  }
  Slot& slot = frame.writable_slot(slot_of(begin));
  slot = {.kind = Slot::Kind::spill, .value = value};
  return {};
}

Status Transfer::atomic(State& state, Operation& operation) {
  WEIR_TRY(base, read(state, operation, operation.dst));
  WEIR_TRY(source, read(state, operation, operation.src));
  const std::uint32_t size = access_size(operation);
  if (!source.is_scalar()) {
    return refuse(operation, "combines memory with " + describe(source) + ", expected a number");
  }
  if (form(operation) == isa::Form::atomic_cmpxchg) {
    WEIR_TRY(expected, read(state, operation, 0));
    if (!expected.is_scalar()) {
      return refuse(operation,
                    "compares memory with " + describe(expected) + ", expected a number");
    }
  }
  if (base.type != Type::stack && base.type != Type::map_value) {
    return refuse(operation, "is an atomic operation on " + describe(base) +
                                 ", expected the stack or a map's value");
  }
  WEIR_CHECK(
      bounds(state, operation, base, {.offset = operation.off, .size = size, .write = true}));
  WEIR_CHECK(set_access(operation, Access::checked));
  if (base.type == Type::stack) {
    const std::int64_t begin = base.offset + operation.off;
    auto old = read_stack(state, operation, base.object, begin);
    if (!old) return std::unexpected(old.error());
    if (!old->is_scalar()) {
      return refuse(operation, "is an atomic operation on " + describe(*old));
    }
    write_stack(state.frame(base.object), begin, size);
  }
  const Value fetched = Value::scalar(Scalar::of_size(size));
  if (form(operation) == isa::Form::atomic_fetch) state.registers[operation.src] = fetched;
  if (form(operation) == isa::Form::atomic_cmpxchg) state.registers[0] = fetched;
  return {};
}

}  // namespace weir::engine
