// SPDX-License-Identifier: BSD-2-Clause
//
// Traffic control, both directions (BPF_PROG_TYPE_SCHED_CLS). Packets start at the link header, if
// the device has one; the stack knows where the network header is, and one VLAN tag is out of the
// bytes. About half of a veth's packets are not linear, so bytes that are not in place come by
// bpf_skb_load_bytes().
//
// The reference are the kernel's netdev chains. At ingress these see skb->data at the network
// header, at egress at the link header (sch_handle_ingress(), nf_hook_egress() in net/core/dev.c
// and include/linux/netfilter_netdev.h): so does what counts from there.
#include "backend/answers.h"
#include "backend/hooks/facts.h"
#include "backend/profile.h"
#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using isa::Opcode;

namespace {

// TC_ACT_UNSPEC, the same number as TCX_NEXT: the next program decides, the rest of the classifiers
// with legacy tc. TC_ACT_OK would end them. TC_ACT_SHOT drops in both.
constexpr std::int32_t tc_act_unspec = -1;
constexpr std::int32_t tc_act_shot = 2;
constexpr std::int32_t tc_act_redirect = 7;

// bpf_skb_adjust_room()
constexpr std::int32_t adjust_at_link_header = 1;
// Offsets in struct __sk_buff (linux/bpf.h), a fixed interface.
constexpr std::int16_t view_length = 0;
constexpr std::int16_t view_mark = 8;
constexpr std::int16_t view_priority = 32;
constexpr std::int16_t view_ifindex = 40;

// Makes the packet r9 bytes long; what is in it does not count.
//
// It may have a checksum that is left to the device, at a place that has another meaning in the
// answer. The kernel forgets it where the place is cut off (skb_postpull_rcsum()), and does not
// make a packet shorter than up to there: so it is made as short as tunnels put no such place
// behind, and all of that is cut off, behind more bytes that it has to have. A packet is never cut
// to less than where its transport header was found, so that one whose checksum is known is cut in
// front.
void resize(Emitter& out, Label fail) {
  constexpr std::int32_t headers = 270;  // bytes
  constexpr std::int32_t rest = 64;      // an Ethernet header and one of IPv6 at least
  constexpr std::int32_t longest_cut =
      4000;  // bpf_skb_adjust_room() takes no more than 4,095 bytes
  const Label whole = out.label();
  const Label is_short = out.label();
  const Label shorter = out.label();
  const Label near = out.label();
  const Label done = out.label();
  const auto change_tail = [&](std::uint8_t size, std::int32_t more) {
    out.load_context_pointer(r1);
    out.op(Opcode::mov64_reg, r2, size);
    if (more != 0) out.op(Opcode::add64_imm, r2, 0, 0, more);
    out.op(Opcode::mov64_imm, r3, 0, 0, 0);
    out.call_helper(static_cast<std::int32_t>(isa::Helper::skb_change_tail));
    out.jump_imm(Opcode::jne64_imm, r0, 0, fail);
  };
  // By the difference of r2 and r3.
  const auto adjust_room = [&] {
    out.load_context_pointer(r1);
    out.op(Opcode::sub64_reg, r2, r3);
    out.op(Opcode::mov64_imm, r3, 0, 0, adjust_at_link_header);
    out.op(Opcode::mov64_imm, r4, 0, 0, 0);
    out.call_helper(static_cast<std::int32_t>(isa::Helper::skb_adjust_room));
    out.jump_imm(Opcode::jne64_imm, r0, 0, fail);
  };
  out.op(Opcode::ldx64, r2, r6, whole_slot);
  out.load_context_pointer(r1);
  out.op(Opcode::ldx32, r6, r1, view_length);
  out.jump_imm(Opcode::jne64_imm, r2, 0, whole);
  out.jump_imm(Opcode::jle64_imm, r6, headers, is_short);
  out.op(Opcode::mov64_imm, r6, 0, 0, headers);
  out.bind(is_short);
  change_tail(r6, 0);
  change_tail(r6, rest);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.op(Opcode::mov64_reg, r3, r6);
  adjust_room();
  out.op(Opcode::mov64_reg, r2, r9);
  out.op(Opcode::mov64_imm, r3, 0, 0, rest);
  adjust_room();
  out.jump(done);
  out.bind(whole);
  out.jump_reg(Opcode::jle64_reg, r9, r6, shorter);
  change_tail(r9, 0);
  out.jump(done);
  out.bind(shorter);
  out.jump_imm(Opcode::jle64_imm, r6, longest_cut, near);
  out.op(Opcode::mov64_imm, r6, 0, 0, longest_cut);
  change_tail(r6, 0);
  out.bind(near);
  out.op(Opcode::mov64_reg, r2, r9);
  out.op(Opcode::mov64_reg, r3, r6);
  adjust_room();
  out.bind(done);
}

// What a packet of the kernel's own has not: a tag, unless the answer keeps it, and what was
// written to this one.
void forget_facts(Emitter& out, Label fail) {
  const Label keep_tag = out.label();
  out.jump_imm(Opcode::jset64_imm, r7, answer_routed, keep_tag);
  out.load_context_pointer(r1);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::skb_vlan_pop));
  out.jump_imm(Opcode::jne64_imm, r0, 0, fail);
  out.bind(keep_tag);
  out.load_context_pointer(r1);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.op(Opcode::stx32, r1, r2, view_mark);
  out.op(Opcode::stx32, r1, r2, view_priority);
}

// Back to where it came from (bpf_redirect()), through the device's egress as an answer of the
// kernel goes.
void answer(Emitter& out) {
  constexpr std::int32_t recompute = 1;  // BPF_F_RECOMPUTE_CSUM
  const Label done = out.label();
  resize(out, done);
  out.load_context_pointer(r1);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.op(Opcode::mov64_reg, r3, r8);
  out.op(Opcode::mov64_reg, r4, r9);
  out.op(Opcode::mov64_imm, r5, 0, 0, recompute);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::skb_store_bytes));
  out.jump_imm(Opcode::jne64_imm, r0, 0, done);
  forget_facts(out, done);
  out.load_context_pointer(r1);
  out.op(Opcode::ldx32, r1, r1, view_ifindex);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::redirect));
  out.op(Opcode::xor64_imm, r0, 0, 0, tc_act_redirect);
  out.bind(done);
}

constexpr Profile make(isa::Direction direction) {
  const bool ingress = direction == isa::Direction::ingress;
  Profile profile;
  profile.name = ingress ? "tc:ingress" : "tc:egress";
  profile.program_type = isa::ProgramType::sched_cls;
  profile.direction = direction;
  profile.accept = tc_act_unspec;
  profile.drop = tc_act_shot;
  profile.start = Profile::Start::skb;
  profile.context_key = ingress ? facts::skb_key_at_ingress : facts::skb_key_at_egress;
  // At ingress no connection has been looked up yet.
  profile.has_conntrack = !ingress;
  profile.has_socket = true;
  profile.needs_scratch = facts::packet_fact_needs_scratch;
  profile.writes_mark = true;
  profile.writes_priority = true;
  profile.writes_pkttype = true;
  profile.writes_packets = true;
  profile.knows_open_checksums = true;
  profile.window_buffer = true;
  profile.emit_context = facts::emit_skb_context;
  profile.emit_window = facts::direct_window;
  profile.emit_copy = facts::helper_copy;
  // The answer to a packet that is to go out would have to come in by the same device, and the
  // kernel has no such answers either (nft_reject_netdev_validate()).
  if (ingress) profile.emit_answer = answer;
  profile.answered = tc_act_redirect;
  profile.forwards = true;
  profile.duplicates = true;
  profile.forwarded = tc_act_redirect;
  profile.load_helper = static_cast<std::int32_t>(isa::Helper::skb_load_bytes);
  return profile;
}

}  // namespace

const Profile tc_ingress_profile = make(isa::Direction::ingress);
const Profile tc_egress_profile = make(isa::Direction::egress);

}  // namespace weir::backend
