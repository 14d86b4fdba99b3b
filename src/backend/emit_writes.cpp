// SPDX-License-Identifier: BSD-2-Clause
//
// Emission of writes to the packet and its facts, and of what sends it.
#include "backend/emitter.h"

#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::Instruction;
using flow::Op;
using isa::Opcode;

// In struct __sk_buff, which is the context wherever a mark or a priority can be written.
void Emitter::set_member(const Instruction& instruction, std::int16_t offset) {
  const std::uint8_t value = in_register(instruction.a, r0);
  if (value != r0) op(Opcode::mov64_reg, r0, value);
  load_context_pointer(r1);
  op(Opcode::stx32, r1, r0, offset);
}

// bpf_skb_change_type() takes and gives the types that nft_meta_set_eval() does.
void Emitter::set_pkttype(const Instruction& instruction) {
  const std::uint8_t value = in_register(instruction.a, r2);
  if (value != r2) op(Opcode::mov64_reg, r2, value);
  load_context_pointer(r1);
  call_helper(static_cast<std::int32_t>(isa::Helper::skb_change_type));
}

// By the device, the packet or a copy of it.
void Emitter::send(const Instruction& instruction) {
  const std::uint8_t device = in_register(instruction.a, r2);
  if (device != r2) op(Opcode::mov64_reg, r2, device);
  if (instruction.op == Op::duplicate) {
    load_context_pointer(r1);
    op(Opcode::mov64_imm, r3, 0, 0, 0);
    call_helper(static_cast<std::int32_t>(isa::Helper::clone_redirect));
    return;
  }
  op(Opcode::mov64_reg, r1, r2);
  op(Opcode::mov64_imm, r2, 0, 0, 0);
  call_helper(static_cast<std::int32_t>(isa::Helper::redirect));
}

// r2 = the place in the packet that the instruction names. Through r0: r2 may hold an operand that
// is moved in between.
void Emitter::load_place(const Instruction& instruction) {
  op(Opcode::mov64_reg, r2, r0);
  if (instruction.imm != 0) {
    op(Opcode::add64_imm, r2, 0, 0, static_cast<std::int32_t>(instruction.imm));
  }
}

// By a helper: what is not linear, or shared with others, is made writable by it. The value goes
// through the stack, which is little-endian as packet bytes in registers are.
void Emitter::store_packet(const Instruction& instruction) {
  const std::uint8_t place = in_register(instruction.a, r0);
  if (place != r0) op(Opcode::mov64_reg, r0, place);
  op(Opcode::stx64, frame_pointer, in_register(instruction.b, r1), key_);
  load_place(instruction);
  op(Opcode::mov64_reg, r3, frame_pointer);
  op(Opcode::add64_imm, r3, 0, 0, key_);
  op(Opcode::mov64_imm, r4, 0, 0, instruction.size);
  op(Opcode::mov64_imm, r5, 0, 0, 0);
  load_context_pointer(r1);
  call_helper(static_cast<std::int32_t>(profile_.program_type == isa::ProgramType::xdp
                                            ? isa::Helper::xdp_store_bytes
                                            : isa::Helper::skb_store_bytes));
}

// bpf_l4_csum_replace() knows what is left to the device. A sum of 0 becomes 0xffff, and one that
// was 0 is mended all the same (nft_csum_replace() in net/netfilter/nft_payload.c); of TCP options,
// no sum is special (inet_proto_csum_replace4() in net/core/utils.c).
void Emitter::add_to_sum(const Instruction& instruction) {
  constexpr std::int32_t pseudo_header = 1 << 4;  // BPF_F_PSEUDO_HDR
  constexpr std::int32_t no_zero = 1 << 5;        // BPF_F_MARK_MANGLED_0
  constexpr std::int32_t even_of_zero = 1 << 6;   // BPF_F_MARK_ENFORCE
  const std::uint8_t place = in_register(instruction.a, r0);
  if (place != r0) op(Opcode::mov64_reg, r0, place);
  const std::uint8_t difference = in_register(instruction.b, r4);
  if (difference != r4) op(Opcode::mov64_reg, r4, difference);
  load_place(instruction);
  op(Opcode::mov64_imm, r3, 0, 0, 0);
  std::int32_t flags = no_zero | even_of_zero;
  if (instruction.op == Op::add_to_pseudo_sum) flags |= pseudo_header;
  if (instruction.op == Op::add_to_tcp_sum) flags = 0;
  op(Opcode::mov64_imm, r5, 0, 0, flags);
  load_context_pointer(r1);
  call_helper(static_cast<std::int32_t>(isa::Helper::l4_csum_replace));
}

}  // namespace weir::backend
