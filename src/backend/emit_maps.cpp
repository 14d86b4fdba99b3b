// SPDX-License-Identifier: BSD-2-Clause
//
// Emission of what programs do to maps: elements, counters, words that processors share.
#include "backend/emitter.h"

#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::Instruction;
using flow::Op;
using flow::Reg;
using isa::Opcode;

void Emitter::put_key(const Instruction& instruction) {
  std::int16_t at = key_;
  for (const Reg chunk : instruction.args) {
    op(Opcode::stx64, frame_pointer, in_register(chunk, r0), at);
    at = static_cast<std::int16_t>(at + 8);
  }
  op(Opcode::mov64_reg, r2, frame_pointer);
  op(Opcode::add64_imm, r2, 0, 0, key_);
}

void Emitter::lookup(const Instruction& instruction) {
  put_key(instruction);
  map_pointer(r1, instruction.map);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_lookup_elem));
  store(instruction.dst, r0);
}

void Emitter::insert(const Instruction& instruction) {
  constexpr std::int32_t no_exist = 1;  // BPF_NOEXIST
  put_key(instruction);
  op(Opcode::mov64_reg, r3, frame_pointer);
  op(Opcode::add64_imm, r3, 0, 0, key_ + (instruction.key_size + 7) / 8 * 8);
  op(Opcode::mov64_imm, r4, 0, 0, no_exist);
  map_pointer(r1, instruction.map);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_update_elem));
  store(instruction.dst, r0);
}

void Emitter::erase(const Instruction& instruction) {
  put_key(instruction);
  map_pointer(r1, instruction.map);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_delete_elem));
}

void Emitter::sweep(const Instruction& instruction) {
  op(Opcode::stx64, frame_pointer, in_register(instruction.a, r0), key_);
  map_pointer(r1, instruction.map);
  load_function(r2, sweeping_name);
  op(Opcode::mov64_reg, r3, frame_pointer);
  op(Opcode::add64_imm, r3, 0, 0, key_);
  op(Opcode::mov64_imm, r4, 0, 0, 0);
  call_helper(static_cast<std::int32_t>(isa::Helper::for_each_map_elem));
  sweeps_ = true;
}

void Emitter::sweeping_function() {
  const Label stays = label();
  op(Opcode::ldx64, r5, r3, 0);
  jump_imm(Opcode::jeq64_imm, r5, 0, stays);
  op(Opcode::ldx64, r4, r4, 0);
  jump_reg(Opcode::jgt64_reg, r5, r4, stays);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_delete_elem));
  bind(stays);
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  op(Opcode::exit);
}

// A few counters are counted in place, many by a function of their own: the kernel expands each
// lookup, and a thousand of them carry jumps beyond their reach.
void Emitter::count(const Instruction& instruction) {
  invariant(!counters_.valid() || counters_ == instruction.map, "emission: one map of counters");
  const std::uint8_t bytes = in_register(instruction.a, r2);
  if (bytes != r2) op(Opcode::mov64_reg, r2, bytes);
  // Counters use their operands behind the call: they are in no register that calls clobber.
  if (instruction.b.valid()) {
    const std::uint8_t index = in_register(instruction.b, r1);
    if (index != r1) op(Opcode::mov64_reg, r1, index);
  } else {
    op(Opcode::mov64_imm, r1, 0, 0, static_cast<std::int32_t>(instruction.imm));
  }
  if (count_by_call_) {
    counters_ = instruction.map;
    call_function(counting_name);
  } else {
    add_to_counter(instruction.map);
  }
}

// No operand outlives the instruction in a register that calls clobber (backend/allocate.h), but
// they may be there: what is loaded from the stack goes where neither is.
void Emitter::shared_word(const Instruction& instruction) {
  const bool exchanges = instruction.op == Op::exchange;
  const std::uint8_t first = in_register(instruction.a, r0);
  if (first != r0) op(Opcode::mov64_reg, r0, first);
  const std::uint8_t source = exchanges ? in_register(instruction.b, r5) : r0;
  map_value(r1, instruction.map, static_cast<std::uint32_t>(instruction.imm));
  op(exchanges ? Opcode::atomic_cmpxchg64 : Opcode::atomic_fetch_add64, r1, source);
  store(instruction.dst, r0);
}

// Operands may be where others are loaded to from the stack: those are moved first.
void Emitter::word_at(const Instruction& instruction) {
  const auto offset = static_cast<std::int16_t>(instruction.imm);
  if (instruction.op == Op::word_at) {
    const std::uint8_t dst = target_of(instruction.dst);
    op(Opcode::ldx64, dst, in_register(instruction.a, r1), offset);
    return store(instruction.dst, dst);
  }
  const std::uint8_t value = in_register(instruction.b, r0);
  if (instruction.op == Op::put_at) {
    return op(Opcode::stx64, in_register(instruction.a, r1), value, offset);
  }
  if (value != r0) op(Opcode::mov64_reg, r0, value);
  const std::uint8_t address = in_register(instruction.a, r1);
  if (address != r1) op(Opcode::mov64_reg, r1, address);
  const bool exchanges = instruction.op == Op::exchange_at;
  const std::uint8_t source = exchanges ? in_register(instruction.args.front(), r5) : r0;
  op(exchanges ? Opcode::atomic_cmpxchg64 : Opcode::atomic_fetch_add64, r1, source, offset);
  store(instruction.dst, r0);
}

// r1: index of the counter, r2: bytes. Needs 16 bytes of stack at key_.
void Emitter::add_to_counter(isa::MapIndex counters) {
  const auto bytes = static_cast<std::int16_t>(key_ + 8);
  const Label skip = label();
  op(Opcode::stx32, frame_pointer, r1, key_);
  op(Opcode::stx64, frame_pointer, r2, bytes);
  op(Opcode::mov64_reg, r2, frame_pointer);
  op(Opcode::add64_imm, r2, 0, 0, key_);
  map_pointer(r1, counters);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_lookup_elem));
  jump_imm(Opcode::jeq64_imm, r0, 0, skip);
  op(Opcode::ldx64, r2, frame_pointer, bytes);
  if (profile_.per_cpu_maps) {
    op(Opcode::ldx64, r1, r0, 0);
    op(Opcode::add64_imm, r1, 0, 0, 1);
    op(Opcode::stx64, r0, r1, 0);
    op(Opcode::ldx64, r1, r0, 8);
    op(Opcode::add64_reg, r1, r2);
    op(Opcode::stx64, r0, r1, 8);
  } else {
    op(Opcode::mov64_imm, r1, 0, 0, 1);
    op(Opcode::atomic_add64, r0, r1, 0);
    op(Opcode::atomic_add64, r0, r2, 8);
  }
  bind(skip);
}

void Emitter::counting_function(isa::MapIndex counters) {
  key_ = -16;  // in a frame of its own
  add_to_counter(counters);
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  op(Opcode::exit);
}

}  // namespace weir::backend
