// SPDX-License-Identifier: BSD-2-Clause
#include "backend/answer_code.h"

#include <array>

#include "isa/helpers.h"

namespace weir::backend {

using isa::Opcode;
using namespace answers;

namespace {

// Slots of the function that sums up.
constexpr std::int16_t summing_key_slot = -16;

}  // namespace

void AnswerCode::sum_packet() {
  read_slot(r1, network_slot);
  out_.op(Opcode::add64_reg, r2, r1);
  out_.load_context_pointer(r1);
  out_.call_function(summing_name);
  imm(Opcode::lsh64_imm, r0, 32);
  imm(Opcode::rsh64_imm, r0, 32);
}

void AnswerCode::fold(std::uint8_t reg) {
  constexpr int rounds = 4;
  for (int round = 0; round < rounds; ++round) {
    move(r4, reg);
    imm(Opcode::rsh64_imm, r4, 16);
    imm(Opcode::and64_imm, reg, 0xffff);
    out_.op(Opcode::add64_reg, reg, r4);
  }
}

void AnswerCode::add_words(std::uint8_t to, int at, int words) {
  for (int i = 0; i < words; ++i) {
    get(r3, Opcode::ldx32, at + 4 * i);
    out_.op(Opcode::add64_reg, to, r3);
  }
}

// Sums are of words as they stand in memory, whatever their order is.
void AnswerCode::pseudo_header(const Version& version) {
  move(r8, r1);
  out_.op(Opcode::be16, r8);
  imm(Opcode::lsh64_imm, r2, 8);
  out_.op(Opcode::add64_reg, r8, r2);
  add_words(r8, heard + version.source, version.is_ipv6 ? 8 : 2);
}

// nf_reject_verify_csum()
void AnswerCode::go_without_checksum(Label right) {
  constexpr std::array<std::int32_t, 5> others = {47, 51, 50, 132, 136};
  constexpr std::int32_t udp_header = 8;
  constexpr std::int32_t checksum = 6;
  read_slot(r1, protocol_slot);
  for (const std::int32_t other : others) {
    out_.jump_imm(Opcode::jeq64_imm, r1, other, right);
  }
  const Label check = out_.label();
  out_.jump_imm(Opcode::jne64_imm, r1, udp, check);
  read_slot(r2, header_slot);
  read_slot(r1, checked_slot);
  move(r3, r2);
  imm(Opcode::add64_imm, r3, udp_header);
  out_.jump_reg(Opcode::jgt64_reg, r3, r1, check);
  imm(Opcode::add64_imm, r2, checksum);
  set(r4, 2);
  require(field);
  get(r1, Opcode::ldx16, field);
  out_.jump_imm(Opcode::jeq64_imm, r1, 0, right);
  out_.bind(check);
}

// r3 = as many of the checked bytes as an answer quotes.
void AnswerCode::first_of_ipv4() {
  const Label all = out_.label();
  read_slot(r3, checked_slot);
  out_.jump_imm(Opcode::jle64_imm, r3, ipv4.quoted, all);
  set(r3, ipv4.quoted);
  out_.bind(all);
}

// r0 = the sum of all checked bytes; that of the first ones, of an even number where more follow,
// stays in sum_slot.
void AnswerCode::sum_all_of_ipv4() {
  const Label done = out_.label();
  first_of_ipv4();
  set(r2, 0);
  sum_packet();
  slot(sum_slot, r0);
  read_slot(r3, checked_slot);
  out_.jump_imm(Opcode::jle64_imm, r3, ipv4.quoted, done);
  set(r2, ipv4.quoted);
  out_.op(Opcode::sub64_reg, r3, r2);
  sum_packet();
  read_slot(r1, sum_slot);
  out_.op(Opcode::add64_reg, r0, r1);
  out_.bind(done);
}

// nf_ip_checksum(), nf_ip6_checksum(). A checksum that is that of the pseudo header alone is left
// to a device, and the packet has never been on a wire.
void AnswerCode::check_sum(const Version& version, Label right) {
  const Label is_tcp = out_.label();
  const Label is_udp = out_.label();
  const Label is_open = out_.label();
  const Label whole = out_.label();
  read_slot(r1, checked_slot);
  read_slot(r2, header_slot);
  out_.op(Opcode::sub64_reg, r1, r2);
  read_slot(r2, protocol_slot);
  pseudo_header(version);
  fold(r8);
  read_slot(r1, protocol_slot);
  read_slot(r2, header_slot);
  out_.jump_imm(Opcode::jeq64_imm, r1, tcp, is_tcp);
  out_.jump_imm(Opcode::jeq64_imm, r1, udp, is_udp);
  if (!version.is_ipv6) set(r8, 0);
  out_.jump(whole);
  out_.bind(is_tcp);
  imm(Opcode::add64_imm, r2, 16);
  out_.jump(is_open);
  out_.bind(is_udp);
  imm(Opcode::add64_imm, r2, 6);
  out_.bind(is_open);
  move(r3, r2);
  imm(Opcode::add64_imm, r3, 2);
  read_slot(r1, checked_slot);
  out_.jump_reg(Opcode::jgt64_reg, r3, r1, whole);
  set(r4, 2);
  require(field);
  get(r1, Opcode::ldx16, field);
  out_.jump_reg(Opcode::jeq64_reg, r1, r8, right);
  out_.bind(whole);
  if (version.is_ipv6) {
    read_slot(r2, header_slot);
    read_slot(r3, checked_slot);
    out_.op(Opcode::sub64_reg, r3, r2);
    sum_packet();
  } else {
    sum_all_of_ipv4();
  }
  out_.op(Opcode::add64_reg, r0, r8);
  fold(r0);
  fail_if(Opcode::jne64_imm, r0, 0xffff);
  set(r1, 1);
  slot(whole_slot, r1);
  out_.jump(right);
}

// r0 = the sum of what is quoted, which is known where that are the bytes that were checked.
void AnswerCode::sum_quoted(const Version& version) {
  const Label other = out_.label();
  const Label done = out_.label();
  if (!version.is_ipv6) {
    read_slot(r1, whole_slot);
    out_.jump_imm(Opcode::jeq64_imm, r1, 0, other);
    first_of_ipv4();
    read_slot(r1, quoted_slot);
    out_.jump_reg(Opcode::jne64_reg, r1, r3, other);
    read_slot(r0, sum_slot);
    out_.jump(done);
  }
  out_.bind(other);
  set(r2, 0);
  read_slot(r3, quoted_slot);
  sum_packet();
  out_.bind(done);
}

// r1: context, r2: offset in the packet, r3: bytes from there on. r0 = their sum in 32 bits; where
// they are not there, it is 0, which the sum of no packet is.
void Emitter::summing_function(isa::MapIndex scratch) {
  constexpr std::int32_t longest = 0xffff;
  const Label top = label();
  const Label rest = label();
  const Label done = label();
  const Label fail = label();
  const auto load = [&] {
    op(Opcode::mov64_reg, r2, r7);
    op(Opcode::mov64_reg, r3, r6);
    op(Opcode::add64_imm, r3, 0, 0, chunk);
    load_context_pointer(r1);
    call_helper(profile_.load_helper);
    jump_imm(Opcode::jne64_imm, r0, 0, fail);
  };
  const auto add = [&] {
    op(Opcode::mov64_imm, r1, 0, 0, 0);
    op(Opcode::mov64_imm, r2, 0, 0, 0);
    op(Opcode::mov64_reg, r3, r6);
    op(Opcode::add64_imm, r3, 0, 0, chunk);
    op(Opcode::mov64_reg, r5, r8);
    call_helper(static_cast<std::int32_t>(isa::Helper::csum_diff));
    op(Opcode::mov64_reg, r8, r0);
  };
  op(Opcode::stx64, frame_pointer, r1, -8);
  op(Opcode::mov64_reg, r7, r2);
  op(Opcode::mov64_reg, r9, r3);
  op(Opcode::st32, frame_pointer, 0, summing_key_slot, 0);
  map_pointer(r1, scratch);
  op(Opcode::mov64_reg, r2, frame_pointer);
  op(Opcode::add64_imm, r2, 0, 0, summing_key_slot);
  call_helper(static_cast<std::int32_t>(isa::Helper::map_lookup_elem));
  jump_imm(Opcode::jeq64_imm, r0, 0, fail);
  op(Opcode::mov64_reg, r6, r0);
  op(Opcode::mov64_imm, r8, 0, 0, 0);
  jump_imm(Opcode::jgt64_imm, r9, longest, fail);
  bind(top);
  jump_imm(Opcode::jlt64_imm, r9, chunk_size, rest);
  op(Opcode::mov64_imm, r4, 0, 0, chunk_size);
  load();
  op(Opcode::mov64_imm, r4, 0, 0, chunk_size);
  add();
  op(Opcode::add64_imm, r7, 0, 0, chunk_size);
  op(Opcode::sub64_imm, r9, 0, 0, chunk_size);
  jump(top);
  // Of fewer bytes, and zeros up to a word of 4.
  bind(rest);
  jump_imm(Opcode::jeq64_imm, r9, 0, done);
  op(Opcode::mov64_reg, r1, r9);
  op(Opcode::and64_imm, r1, 0, 0, chunk_size - 4);
  op(Opcode::add64_reg, r1, r6);
  op(Opcode::st32, r1, 0, chunk, 0);
  op(Opcode::mov64_reg, r4, r9);
  load();
  op(Opcode::mov64_reg, r4, r9);
  op(Opcode::add64_imm, r4, 0, 0, 3);
  op(Opcode::rsh64_imm, r4, 0, 0, 2);
  op(Opcode::lsh64_imm, r4, 0, 0, 2);
  add();
  bind(done);
  op(Opcode::mov64_reg, r0, r8);
  op(Opcode::exit);
  bind(fail);
  op(Opcode::mov64_imm, r0, 0, 0, 0);
  op(Opcode::exit);
}

}  // namespace weir::backend
