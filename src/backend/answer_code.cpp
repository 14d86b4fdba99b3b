// SPDX-License-Identifier: BSD-2-Clause
#include "backend/answer_code.h"

#include "isa/helpers.h"

namespace weir::backend {

using flow::ContextKey;
using isa::Opcode;
using namespace answers;

void AnswerCode::load(int to) {
  read_slot(r1, network_slot);
  out_.op(Opcode::add64_reg, r2, r1);
  move(r3, r6);
  imm(Opcode::add64_imm, r3, to);
  out_.load_context_pointer(r1);
  out_.call_helper(profile_.load_helper);
}

void AnswerCode::find_scratch(isa::MapIndex scratch) {
  out_.op(Opcode::st32, frame_pointer, 0, key_slot, 0);
  out_.map_pointer(r1, scratch);
  move(r2, frame_pointer);
  imm(Opcode::add64_imm, r2, key_slot);
  out_.call_helper(static_cast<std::int32_t>(isa::Helper::map_lookup_elem));
  fail_if(Opcode::jeq64_imm, r0, 0);
  move(r6, r0);
}

// Where the network header stands, and how much from there on. A packet with a tag in its bytes is
// no IP packet to bpf_skb_adjust_room().
void AnswerCode::find_length() {
  constexpr std::int32_t shortest_link = 14;
  const std::int32_t longest_link = profile_.start == Profile::Start::skb ? shortest_link : 22;
  constexpr std::int32_t longest = 0xffff;
  profile_.emit_context(out_, ContextKey::length);
  read_slot(r1, network_slot);
  fail_if(Opcode::jlt64_imm, r1, shortest_link);
  fail_if(Opcode::jgt64_imm, r1, longest_link);
  slot(network_slot, r1);
  set(r2, 0);
  slot(whole_slot, r2);
  out_.jump_reg(Opcode::jle64_reg, r0, r1, fail_);
  out_.op(Opcode::sub64_reg, r0, r1);
  fail_if(Opcode::jgt64_imm, r0, longest);
  slot(length_slot, r0);
}

// Addresses of one card each, changed about; and what stands behind them, without tags but in
// routed answers.
void AnswerCode::link_header() {
  constexpr std::int32_t untagged = 14;
  constexpr std::int32_t addresses = 12;
  constexpr std::int16_t address = 6;
  const Label known = out_.label();
  read_slot(r2, network_slot);
  out_.jump_imm(Opcode::jset64_imm, r7, answer_routed, known);
  set(r2, untagged);
  out_.bind(known);
  slot(link_slot, r2);
  frame_at(r9);
  out_.load_context_pointer(r1);
  set(r2, 0);
  move(r3, r9);
  set(r4, addresses);
  out_.call_helper(profile_.load_helper);
  fail_if(Opcode::jne64_imm, r0, 0);
  out_.op(Opcode::ldx8, r1, r9, 0);
  fail_if(Opcode::jset64_imm, r1, 1);
  for (std::int16_t at = 0; at < address; at = static_cast<std::int16_t>(at + 2)) {
    const auto other = static_cast<std::int16_t>(at + address);
    out_.op(Opcode::ldx16, r1, r9, at);
    out_.op(Opcode::ldx16, r2, r9, other);
    out_.op(Opcode::stx16, r9, r2, at);
    out_.op(Opcode::stx16, r9, r1, other);
  }
  read_slot(r4, link_slot);
  imm(Opcode::sub64_imm, r4, addresses);
  read_slot(r2, network_slot);
  out_.op(Opcode::sub64_reg, r2, r4);
  move(r3, r9);
  imm(Opcode::add64_imm, r3, addresses);
  out_.load_context_pointer(r1);
  out_.call_helper(profile_.load_helper);
  fail_if(Opcode::jne64_imm, r0, 0);
}

void AnswerCode::unreachable(const Version& version) {
  constexpr std::int32_t icmp_header = 8;
  const Label right = out_.label();
  const Label whole = out_.label();
  refuse_errors(version);
  if (version.is_ipv6) {
    read_slot(r1, header_slot);
    read_slot(r2, checked_slot);
    out_.jump_reg(Opcode::jge64_reg, r1, r2, fail_);
  }
  go_without_checksum(right);
  check_sum(version, right);
  out_.bind(right);
  read_slot(r4, length_slot);
  fail_if(Opcode::jeq64_imm, r4, 0);
  out_.jump_imm(Opcode::jle64_imm, r4, version.quoted, whole);
  set(r4, version.quoted);
  out_.bind(whole);
  slot(quoted_slot, r4);
  set(r2, 0);
  require(version.transport() + icmp_header);
  set(r8, 0);
  if (version.is_ipv6) {
    read_slot(r1, quoted_slot);
    imm(Opcode::add64_imm, r1, icmp_header);
    set(r2, version.icmp);
    pseudo_header(version);
  }
  move(r1, r7);
  imm(Opcode::and64_imm, r1, 0xff);
  imm(Opcode::lsh64_imm, r1, 8);
  imm(Opcode::or64_imm, r1, version.unreachable);
  put(r1, Opcode::stx32, version.transport());
  put_number(0, version.transport() + 4);
  out_.op(Opcode::add64_reg, r8, r1);
  sum_quoted(version);
  out_.op(Opcode::add64_reg, r8, r0);
  finish_sum(r8);
  put(r8, Opcode::stx16, version.transport() + 2);
  read_slot(r9, quoted_slot);
  imm(Opcode::add64_imm, r9, icmp_header);
  ip_header(version, version.icmp);
}

// nf_reject_ip_tcphdr_get() and its sister.
void AnswerCode::reset(const Version& version) {
  constexpr std::int32_t rst = 4;
  const Label right = out_.label();
  read_slot(r1, protocol_slot);
  fail_if(Opcode::jne64_imm, r1, tcp);
  read_slot(r1, length_slot);
  slot(checked_slot, r1);
  read_slot(r2, header_slot);
  move(r3, r2);
  imm(Opcode::add64_imm, r3, tcp_header);
  out_.jump_reg(Opcode::jgt64_reg, r3, r1, fail_);
  set(r4, tcp_header);
  require(looked);
  get(r1, Opcode::ldx8, looked + 13);
  fail_if(Opcode::jset64_imm, r1, rst);
  check_sum(version, right);
  out_.bind(right);
  sequence_numbers(version);
  set(r1, tcp_header);
  set(r2, tcp);
  pseudo_header(version);
  add_words(r8, version.transport(), tcp_header / 4);
  finish_sum(r8);
  put(r8, Opcode::stx16, version.transport() + 16);
  set(r9, tcp_header);
  ip_header(version, tcp);
}

// nf_reject_ip_tcphdr_put() and its sister, but for the checksum.
void AnswerCode::sequence_numbers(const Version& version) {
  constexpr std::int32_t ack = 16;
  constexpr std::int32_t length_and_rst = 0x50 | 0x04 << 8;
  const int to = version.transport();
  const Label acknowledged = out_.label();
  const Label known = out_.label();
  get(r1, Opcode::ldx16, looked);
  get(r2, Opcode::ldx16, looked + 2);
  put(r2, Opcode::stx16, to);
  put(r1, Opcode::stx16, to + 2);
  get(r1, Opcode::ldx8, looked + 13);
  out_.jump_imm(Opcode::jset64_imm, r1, ack, acknowledged);
  read_slot(r2, length_slot);
  read_slot(r3, header_slot);
  out_.op(Opcode::sub64_reg, r2, r3);
  get(r3, Opcode::ldx8, looked + 12);
  imm(Opcode::rsh64_imm, r3, 4);
  imm(Opcode::lsh64_imm, r3, 2);
  out_.op(Opcode::sub64_reg, r2, r3);
  get(r3, Opcode::ldx32, looked + 4);
  out_.op(Opcode::be32, r3);
  out_.op(Opcode::add64_reg, r2, r3);
  move(r3, r1);
  imm(Opcode::and64_imm, r1, 1);  // FIN
  out_.op(Opcode::add64_reg, r2, r1);
  imm(Opcode::rsh64_imm, r3, 1);
  imm(Opcode::and64_imm, r3, 1);  // SYN
  out_.op(Opcode::add64_reg, r2, r3);
  out_.op(Opcode::be32, r2);
  put_number(0, to + 4);
  put(r2, Opcode::stx32, to + 8);
  put_number(length_and_rst | ack << 8, to + 12);
  out_.jump(known);
  out_.bind(acknowledged);
  get(r2, Opcode::ldx32, looked + 8);
  put(r2, Opcode::stx32, to + 4);
  put_number(0, to + 8);
  put_number(length_and_rst, to + 12);
  out_.bind(known);
  put_number(0, to + 16);
}

// nf_reject_iphdr_put(), nf_reject_ip6hdr_put()
void AnswerCode::ip_header(const Version& version, std::int32_t protocol) {
  move(r2, r7);
  imm(Opcode::rsh64_imm, r2, 8);
  imm(Opcode::and64_imm, r2, 0xff);  // time to live
  if (version.is_ipv6) {
    put_number(0x60, network);
    imm(Opcode::lsh64_imm, r2, 24);
    imm(Opcode::or64_imm, r2, protocol << 16);
    move(r1, r9);
    out_.op(Opcode::be16, r1);
    out_.op(Opcode::or64_reg, r1, r2);
    put(r1, Opcode::stx32, network + 4);
    for (const int half : {0, 8}) {
      get(r1, Opcode::ldx64, heard + version.destination + half);
      put(r1, Opcode::stx64, network + version.source + half);
      get(r1, Opcode::ldx64, heard + version.source + half);
      put(r1, Opcode::stx64, network + version.destination + half);
    }
    imm(Opcode::add64_imm, r9, version.header);
    return;
  }
  constexpr std::int32_t not_fragmented = 0x40 << 16;
  imm(Opcode::add64_imm, r9, version.header);
  move(r1, r9);
  out_.op(Opcode::be16, r1);
  imm(Opcode::lsh64_imm, r1, 16);
  imm(Opcode::or64_imm, r1, 0x45);
  put(r1, Opcode::stx32, network);
  put_number(not_fragmented, network + 4);
  imm(Opcode::or64_imm, r2, protocol << 8);
  put(r2, Opcode::stx32, network + 8);
  get(r1, Opcode::ldx32, heard + version.destination);
  put(r1, Opcode::stx32, network + version.source);
  get(r1, Opcode::ldx32, heard + version.source);
  put(r1, Opcode::stx32, network + version.destination);
  set(r8, 0);
  add_words(r8, network, version.header / 4);
  finish_sum(r8);
  put(r8, Opcode::stx16, network + 10);
}

void AnswerCode::answer(const Version& version) {
  const Label resets = out_.label();
  const Label made = out_.label();
  if (version.is_ipv6) {
    hear_ipv6();
  } else {
    hear_ipv4();
  }
  out_.jump_imm(Opcode::jset64_imm, r7, answer_reset, resets);
  unreachable(version);
  out_.jump(made);
  out_.bind(resets);
  reset(version);
  out_.bind(made);
}

void AnswerCode::send() {
  read_slot(r1, link_slot);
  out_.op(Opcode::add64_reg, r9, r1);
  frame_at(r8);
  profile_.emit_answer(out_);
  fail_if(Opcode::jne64_imm, r0, 0);
}

// r1: context, r2: what Op::answer is told, r3: where the network header is.
void AnswerCode::write(isa::MapIndex scratch) {
  const Label other = out_.label();
  const Label made = out_.label();
  slot(-8, r1);
  slot(network_slot, r3);
  move(r7, r2);
  find_scratch(scratch);
  find_length();
  link_header();
  out_.jump_imm(Opcode::jset64_imm, r7, answer_ipv6, other);
  answer(ipv4);
  out_.jump(made);
  out_.bind(other);
  answer(ipv6);
  out_.bind(made);
  send();
  set(r0, 1);
  out_.op(Opcode::exit);
  out_.bind(fail_);
  set(r0, 0);
  out_.op(Opcode::exit);
}

void Emitter::answering_function(isa::MapIndex scratch) {
  AnswerCode(*this, profile_).write(scratch);
}

}  // namespace weir::backend
