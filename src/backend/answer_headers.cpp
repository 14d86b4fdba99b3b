// SPDX-License-Identifier: BSD-2-Clause
#include "backend/answer_code.h"

namespace weir::backend {

using isa::Opcode;
using namespace answers;

// nf_reject_iphdr_validate()
void AnswerCode::hear_ipv4() {
  set(r2, 0);
  set(r4, ipv4.header);
  require(heard);
  get(r1, Opcode::ldx8, heard);
  move(r2, r1);
  imm(Opcode::rsh64_imm, r2, 4);
  fail_if(Opcode::jne64_imm, r2, 4);
  imm(Opcode::and64_imm, r1, 15);
  imm(Opcode::lsh64_imm, r1, 2);
  fail_if(Opcode::jlt64_imm, r1, ipv4.header);
  slot(header_slot, r1);
  get(r2, Opcode::ldx16, heard + 2);
  out_.op(Opcode::be16, r2);
  read_slot(r3, length_slot);
  out_.jump_reg(Opcode::jgt64_reg, r2, r3, fail_);
  out_.jump_reg(Opcode::jlt64_reg, r2, r1, fail_);
  slot(checked_slot, r2);
  get(r3, Opcode::ldx16, heard + 6);
  out_.op(Opcode::be16, r3);
  fail_if(Opcode::jset64_imm, r3, 0x1fff);
  get(r3, Opcode::ldx8, heard + 9);
  slot(protocol_slot, r3);
  if_routed([&] {
    constexpr std::int32_t multicast = 224;
    slot(length_slot, r2);
    for (const std::int16_t address : {ipv4.source, ipv4.destination}) {
      get(r1, Opcode::ldx8, heard + address);
      fail_if(Opcode::jeq64_imm, r1, 0);
      fail_if(Opcode::jge64_imm, r1, multicast);
    }
  });
}

// nf_reject_ip6hdr_validate()
void AnswerCode::hear_ipv6() {
  const Label jumbo = out_.label();
  set(r2, 0);
  set(r4, ipv6.header);
  require(heard);
  get(r1, Opcode::ldx8, heard);
  imm(Opcode::rsh64_imm, r1, 4);
  fail_if(Opcode::jne64_imm, r1, 6);
  read_slot(r2, length_slot);
  slot(checked_slot, r2);
  get(r1, Opcode::ldx16, heard + 4);
  out_.jump_imm(Opcode::jeq64_imm, r1, 0, jumbo);
  out_.op(Opcode::be16, r1);
  imm(Opcode::add64_imm, r1, ipv6.header);
  out_.jump_reg(Opcode::jgt64_reg, r1, r2, fail_);
  slot(checked_slot, r1);
  out_.bind(jumbo);
  if_routed([&] {
    constexpr std::int32_t multicast = 0xff;
    read_slot(r1, checked_slot);
    slot(length_slot, r1);
    for (const std::int16_t address : {ipv6.source, ipv6.destination}) {
      get(r1, Opcode::ldx8, heard + address);
      fail_if(Opcode::jeq64_imm, r1, multicast);
    }
    get(r1, Opcode::ldx64, heard + ipv6.source);
    get(r2, Opcode::ldx64, heard + ipv6.source + 8);
    out_.op(Opcode::or64_reg, r1, r2);
    fail_if(Opcode::jeq64_imm, r1, 0);
  });
  walk_headers();
}

// ipv6_skip_exthdr() in net/ipv6/exthdrs_core.c, of so many headers at most: r8 is the protocol of
// the one at r9. What kind it is makes no ways of its own, which a checker would walk each in each
// round. A header has 8 bytes at least: where not even 4 are there, the packet ends within it.
void AnswerCode::walk_headers() {
  constexpr std::int32_t most_headers = 200;  // as walk_ipv6() goes
  constexpr std::int32_t fragment = 44;
  constexpr std::int32_t authentication = 51;
  constexpr std::int32_t none = 59;
  constexpr std::uint64_t one = 1;
  constexpr std::uint64_t known =
      one << 0 | one << 43 | one << fragment | one << authentication | one << 60;
  const Label top = out_.label();
  const Label done = out_.label();
  get(r8, Opcode::ldx8, heard + 6);
  set(r9, ipv6.header);
  set(r1, 0);
  slot(fragment_slot, r1);
  slot(round_slot, r1);
  out_.bind(top);
  move(r1, r8);
  imm(Opcode::rsh64_imm, r1, 6);
  out_.jump_imm(Opcode::jne64_imm, r1, 0, done);
  out_.constant(r1, known);
  out_.op(Opcode::rsh64_reg, r1, r8);
  imm(Opcode::and64_imm, r1, 1);
  out_.jump_imm(Opcode::jeq64_imm, r1, 0, done);
  move(r2, r9);
  set(r4, 4);
  require(looked);
  get(r1, Opcode::ldx8, looked + 1);
  // r1 = (r1 + 1) * 8; of authentication (r1 + 2) * 4, of a fragment header 8. What that says is
  // looked at.
  is_equal(r2, r8, fragment);
  move(r5, r2);
  imm(Opcode::xor64_imm, r5, 1);
  out_.op(Opcode::mul64_reg, r1, r5);
  get(r3, Opcode::ldx16, looked + 2);
  out_.op(Opcode::mul64_reg, r3, r2);
  read_slot(r4, fragment_slot);
  out_.op(Opcode::mul64_reg, r4, r5);
  out_.op(Opcode::or64_reg, r4, r3);
  slot(fragment_slot, r4);
  out_.op(Opcode::be16, r3);
  fail_if(Opcode::jset64_imm, r3, 0xfff8);
  is_equal(r2, r8, authentication);
  out_.op(Opcode::add64_reg, r1, r2);
  imm(Opcode::add64_imm, r1, 1);
  imm(Opcode::lsh64_imm, r1, 3);
  out_.op(Opcode::rsh64_reg, r1, r2);
  out_.op(Opcode::add64_reg, r9, r1);
  get(r8, Opcode::ldx8, looked);
  read_slot(r1, round_slot);
  imm(Opcode::add64_imm, r1, 1);
  slot(round_slot, r1);
  out_.jump_imm(Opcode::jlt64_imm, r1, most_headers, top);
  out_.jump(fail_);
  out_.bind(done);
  fail_if(Opcode::jeq64_imm, r8, none);
  slot(protocol_slot, r8);
  slot(header_slot, r9);
}

// nf_skb_is_icmp_unreach(), nf_skb_is_icmp6_unreach(); icmp_send(), is_ineligible().
void AnswerCode::refuse_errors(const Version& version) {
  constexpr std::int32_t last_type = 18;
  constexpr std::int32_t first_query = 128;  // of ICMPv6
  const Label none = out_.label();
  read_slot(r1, protocol_slot);
  out_.jump_imm(Opcode::jne64_imm, r1, version.icmp, none);
  read_slot(r2, header_slot);
  read_slot(r1, length_slot);
  out_.jump_reg(Opcode::jge64_reg, r2, r1, none);
  set(r4, 1);
  load(looked);
  out_.jump_imm(Opcode::jne64_imm, r0, 0, none);
  get(r1, Opcode::ldx8, looked);
  if_routed([&] {
    if (version.is_ipv6) return fail_if(Opcode::jlt64_imm, r1, first_query);
    for (const std::int32_t error : {4, 5, 11, 12}) fail_if(Opcode::jeq64_imm, r1, error);
    fail_if(Opcode::jgt64_imm, r1, last_type);
  });
  out_.jump_imm(Opcode::jne64_imm, r1, version.unreachable, none);
  if (version.is_ipv6) {
    read_slot(r1, fragment_slot);
    out_.jump_imm(Opcode::jne64_imm, r1, 0, none);
  }
  out_.jump(fail_);
  out_.bind(none);
}

}  // namespace weir::backend
