// SPDX-License-Identifier: BSD-2-Clause
#include "backend/answers.h"

#include "backend/answer_code.h"
#include "imr/answer.h"
#include "imr/reading.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::ContextKey;
using flow::Op;
using flow::Reg;
using isa::Opcode;

isa::MapSpec answering_map() {
  return {.name = "answers",
          .type = isa::MapType::percpu_array,
          .key_size = 4,
          .value_size = answers::scratch_size,
          .max_entries = 1,
          .flags = 0,
          .entries = {}};
}

void answer(Builder& out, isa::MapIndex scratch, const imr::Unit& unit, flow::Reg what,
            flow::Reg network_header) {
  const bool is_ipv6 = unit.nfproto == Nfproto::ipv6;
  const bool routed = imr::reading_of(unit) != imr::Reading::netdev;
  const Reg ttl = out.context(is_ipv6 ? ContextKey::ip6_hop_limit : ContextKey::ip_ttl);
  const std::uint64_t flags = (is_ipv6 ? answer_ipv6 : 0) | (routed ? answer_routed : 0);
  const Reg flagged = out.binary(Op::or_, what, flags);
  const Reg told = out.binary(Op::or_, flagged, out.binary(Op::shl, ttl, 8));
  const Reg made = out.function().new_register();
  out.append({.op = Op::answer, .dst = made, .a = told, .b = network_header, .map = scratch});
  const BlockId none = out.block();
  out.leave_if(Condition::eq, made, 0, none);
  out.ret(flow::Verdict::answered);
  out.at(none);
  out.ret(false);
}

std::uint64_t told_of(const imr::Answer& answer, Nfproto nfproto) {
  switch (answer.kind) {
    case imr::Answer::Kind::icmp:
      return answer.code;
    case imr::Answer::Kind::icmpx:
      return imr::icmp_code(answer.code, nfproto);
    case imr::Answer::Kind::reset:
      return answer_reset;
  }
  throw InvariantError("kind of answer out of range");
}

// Through the stack: operands may be in any of r1 to r5.
void Emitter::answer(const flow::Instruction& instruction) {
  invariant(!scratch_map_.valid() || scratch_map_ == instruction.map, "emission: one scratch");
  scratch_map_ = instruction.map;
  op(Opcode::stx64, frame_pointer, in_register(instruction.a, r0), key_);
  const std::uint8_t from = in_register(instruction.b, r0);
  if (from != r3) op(Opcode::mov64_reg, r3, from);
  op(Opcode::ldx64, r2, frame_pointer, key_);
  load_context_pointer(r1);
  call_function(answering_name);
  store(instruction.dst, r0);
}

}  // namespace weir::backend
