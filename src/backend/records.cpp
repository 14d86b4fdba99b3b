// SPDX-License-Identifier: BSD-2-Clause
#include "backend/records.h"

#include <cstring>

#include "backend/emitter.h"
#include "backend/registers.h"
#include "imr/log.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::ContextKey;
using flow::Op;
using flow::Reg;
using isa::Opcode;

namespace {

// Room that is taken is of a known size: the smallest that holds what is captured.
constexpr std::array<std::int32_t, 4> rooms = {128, 512, 2048, imr::most_logged};
constexpr std::uint64_t ethernet_header = 14;  // bytes
constexpr std::uint32_t ring_size = 1U << 20;  // bytes

}  // namespace

std::optional<DecodedRecord> decode_record(ByteView record) {
  DecodedRecord out;
  if (record.size() < record_header) return std::nullopt;
  std::memcpy(&out.header, record.data(), record_header);
  out.bytes = record.subspan(record_header);
  if (out.header.captured > out.bytes.size()) return std::nullopt;
  out.bytes = out.bytes.first(out.header.captured);
  return out;
}

std::array<isa::MapSpec, 2> record_maps() {
  const isa::MapSpec ring{.name = record_ring_name,
                          .type = isa::MapType::ringbuf,
                          .key_size = 0,
                          .value_size = 0,
                          .max_entries = ring_size,
                          .flags = 0,
                          .entries = {}};
  isa::MapSpec lost{.name = lost_records_name,
                    .type = isa::MapType::array,
                    .key_size = 4,
                    .value_size = 8,
                    .max_entries = 1,
                    .flags = 0,
                    .entries = {}};
  lost.written_in_place = true;
  return {ring, lost};
}

void record(Builder& out, isa::MapIndex ring, const Profile& profile, const imr::Log& log,
            const RecordOf& of) {
  const auto fact = [&](imr::MetaKey key) {
    const std::optional<ContextKey> known = profile.context_key(key);
    return known ? out.context(*known) : out.constant(0);
  };
  const auto pair = [&](Reg low, Reg high) {
    return out.binary(Op::or_, low, out.binary(Op::shl, high, 32));
  };
  const std::uint32_t most = imr::logged_bytes(log);
  const Reg length = out.context(ContextKey::length);
  const Reg captured = out.function().new_register();
  const flow::BlockId longer = out.block();
  const flow::BlockId known = out.block();
  out.assign_copy(captured, length);
  out.branch(flow::Condition::gt, length, most, longer, known);
  out.at(longer);
  out.assign_constant(captured, most);
  out.jump(known);
  out.at(known);
  const auto network_offset = [&] {
    switch (profile.start) {
      case Profile::Start::network:
        return out.constant(0);
      case Profile::Start::frame:
        return out.constant(ethernet_header);
      case Profile::Start::skb:
        return out.binary(Op::and_, out.context(ContextKey::network_offset), 0xffff);
    }
    throw InvariantError("start of packets out of range");
  };
  const Reg lengths = pair(length, captured);
  const Reg devices = pair(fact(imr::MetaKey::iif), fact(imr::MetaKey::oif));
  const std::uint64_t statement = std::uint64_t{of.number} << 32;
  Reg what;
  if (of.rule_number.valid()) what = out.binary(Op::or_, of.rule_number, out.constant(statement));
  out.append({.op = Op::record,
              .b = what,
              .imm = what.valid() ? 0 : of.rule.value | statement,
              .map = ring,
              .args = {lengths, devices, pair(fact(imr::MetaKey::mark), network_offset())}});
}

// Through the stack: operands may be in any of r1 to r5.
void Emitter::record(const flow::Instruction& instruction) {
  invariant(!ring_.valid() || ring_ == instruction.map, "emission: one ring of records");
  ring_ = instruction.map;
  std::int16_t at = key_;
  for (const Reg one : instruction.args) {
    op(Opcode::stx64, frame_pointer, in_register(one, r0), at);
    at = static_cast<std::int16_t>(at + 8);
  }
  if (instruction.b.valid()) {
    const std::uint8_t what = in_register(instruction.b, r0);
    if (what != r2) op(Opcode::mov64_reg, r2, what);
  } else {
    constant(r2, instruction.imm);
  }
  op(Opcode::ldx64, r3, frame_pointer, key_);
  op(Opcode::ldx64, r4, frame_pointer, static_cast<std::int16_t>(key_ + 8));
  op(Opcode::ldx64, r5, frame_pointer, static_cast<std::int16_t>(key_ + 16));
  load_context_pointer(r1);
  call_function(recording_name);
}

// r1: context, r2: what the record is of, r3: length and captured bytes, r4: devices, r5: mark.
void Emitter::recording_function(isa::MapIndex ring) {
  constexpr std::int16_t what = -16;  // below the context pointer
  constexpr std::int16_t lengths = -24;
  constexpr std::int16_t mark = -32;  // and the network header's offset
  dynptr_ = -48;
  saved_ = -56;
  static_assert(-56 >= -recording_stack);
  op(Opcode::stx64, frame_pointer, r1, -8);
  op(Opcode::stx64, frame_pointer, r2, what);
  op(Opcode::stx64, frame_pointer, r3, lengths);
  op(Opcode::stx64, frame_pointer, r5, mark);
  op(Opcode::mov64_reg, r9, r4);
  op(Opcode::mov64_reg, r7, r3);
  op(Opcode::rsh64_imm, r7, 0, 0, 32);
  const isa::MapIndex losses(ring.index() + 1);  // record_maps()
  const Label end = label();
  const Label lost = label();
  for (const std::int32_t room : rooms) {
    const Label larger = label();
    const Label submit = label();
    jump_imm(Opcode::jgt64_imm, r7, room, larger);
    map_pointer(r1, ring);
    op(Opcode::mov64_imm, r2, 0, 0, static_cast<std::int32_t>(record_header) + room);
    op(Opcode::mov64_imm, r3, 0, 0, 0);
    call_helper(static_cast<std::int32_t>(isa::Helper::ringbuf_reserve));
    jump_imm(Opcode::jeq64_imm, r0, 0, lost);
    op(Opcode::mov64_reg, r8, r0);
    call_helper(static_cast<std::int32_t>(isa::Helper::ktime_get_ns));
    op(Opcode::stx64, r8, r0, offsetof(PacketRecord, time));
    op(Opcode::ldx64, r1, frame_pointer, what);
    op(Opcode::stx64, r8, r1, offsetof(PacketRecord, rule));
    op(Opcode::ldx64, r1, frame_pointer, lengths);
    op(Opcode::stx64, r8, r1, offsetof(PacketRecord, length));
    op(Opcode::stx64, r8, r9, offsetof(PacketRecord, iif));
    op(Opcode::ldx64, r1, frame_pointer, mark);
    op(Opcode::stx64, r8, r1, offsetof(PacketRecord, mark));
    jump_imm(Opcode::jeq64_imm, r7, 0, submit);
    op(Opcode::add64_imm, r8, 0, 0, static_cast<std::int32_t>(record_header));
    profile_.emit_copy(*this);
    op(Opcode::add64_imm, r8, 0, 0, -static_cast<std::int32_t>(record_header));
    bind(submit);
    op(Opcode::mov64_reg, r1, r8);
    op(Opcode::mov64_imm, r2, 0, 0, 0);
    call_helper(static_cast<std::int32_t>(isa::Helper::ringbuf_submit));
    jump(end);
    bind(larger);
  }
  jump(end);
  bind(lost);
  map_value(r1, losses);
  op(Opcode::mov64_imm, r2, 0, 0, 1);
  op(Opcode::atomic_add64, r1, r2);
  bind(end);
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  op(Opcode::exit);
}

}  // namespace weir::backend
