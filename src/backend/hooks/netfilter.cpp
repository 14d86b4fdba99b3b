// SPDX-License-Identifier: BSD-2-Clause
//
// The netfilter hooks (BPF_PROG_TYPE_NETFILTER, kernel 6.4 and newer). The context is struct
// bpf_nf_ctx {state, skb}; skb->data is the network header (net/netfilter/nf_bpf_link.c). Packet
// bytes are read in place: bpf_rdonly_cast() to no type yields memory that any load may read and
// that faults to zero (6.17). Bytes that are not in the linear part, and all bytes on older
// kernels, come through dynptr slices.
#include "backend/emitter.h"
#include "backend/hooks/facts.h"
#include "backend/profile.h"
#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::ContextKey;
using isa::Opcode;

namespace {

std::optional<ContextKey> context_key(imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::protocol:
      return ContextKey::protocol;
    case imr::MetaKey::mark:
      return ContextKey::mark;
    case imr::MetaKey::iif:
      return ContextKey::iif;
    case imr::MetaKey::oif:
      return ContextKey::oif;
    case imr::MetaKey::iifname:
      return ContextKey::iifname0;
    case imr::MetaKey::oifname:
      return ContextKey::oifname0;
    case imr::MetaKey::length:
      return ContextKey::length;
    case imr::MetaKey::pkttype:
      return ContextKey::pkttype;
    case imr::MetaKey::iiftype:
      return ContextKey::iiftype;
    case imr::MetaKey::oiftype:
      return ContextKey::oiftype;
    case imr::MetaKey::iifgroup:
      return ContextKey::iifgroup;
    case imr::MetaKey::oifgroup:
      return ContextKey::oifgroup;
    case imr::MetaKey::iifkind:
      return ContextKey::iifkind0;
    case imr::MetaKey::oifkind:
      return ContextKey::oifkind0;
    case imr::MetaKey::priority:
      return ContextKey::priority;
    case imr::MetaKey::cpu:
      return ContextKey::cpu;
    case imr::MetaKey::time:
    case imr::MetaKey::hour:
      return ContextKey::wall_offset;
    case imr::MetaKey::skuid:
      return ContextKey::skuid;
    case imr::MetaKey::skgid:
      return ContextKey::skgid;
    case imr::MetaKey::cgroup:
      return ContextKey::cgroup;
    case imr::MetaKey::rtclassid:
      return ContextKey::rtclassid;
    case imr::MetaKey::rtipsec:
      return ContextKey::rtipsec;
    case imr::MetaKey::l4proto:
    case imr::MetaKey::nfproto:
      return std::nullopt;
  }
  throw InvariantError("meta key out of range");
}

void load_skb(Emitter& out, std::uint8_t dst) {
  out.load_context_pointer(dst);
  out.load_field(Opcode::ldx64, dst, dst, "bpf_nf_ctx", "skb");
}

void skb_field(Emitter& out, Opcode load, const char* member) {
  load_skb(out, r1);
  out.load_field(load, r0, r1, "sk_buff", member);
}

// r1 = ctx->state->in or out
void load_device(Emitter& out, bool in) {
  out.load_context_pointer(r1);
  out.load_field(Opcode::ldx64, r1, r1, "bpf_nf_ctx", "state");
  out.load_field(Opcode::ldx64, r1, r1, "nf_hook_state", in ? "in" : "out");
}

void device_index(Emitter& out, bool in) {
  const Label none = out.label();
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  load_device(out, in);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.load_field(Opcode::ldx32, r0, r1, "net_device", "ifindex");
  out.bind(none);
}

constexpr facts::PacketAccess packet_access = {
    .load_skb = [](Emitter& out) { load_skb(out, r1); },
    .load_net =
        [](Emitter& out) {
          out.load_context_pointer(r2);
          out.load_field(Opcode::ldx64, r2, r2, "bpf_nf_ctx", "state");
          out.load_field(Opcode::ldx64, r2, r2, "nf_hook_state", "net");
        }};

void emit_context(Emitter& out, ContextKey key) {
  switch (key) {
    case ContextKey::mark:
      return skb_field(out, Opcode::ldx32, "mark");
    case ContextKey::priority:
      return skb_field(out, Opcode::ldx32, "priority");
    case ContextKey::length:
      return skb_field(out, Opcode::ldx32, "len");
    case ContextKey::linear_length:
      skb_field(out, Opcode::ldx32, "len");
      out.load_field(Opcode::ldx32, r1, r1, "sk_buff", "data_len");
      out.op(Opcode::sub64_reg, r0, r1);
      return;
    case ContextKey::pkttype:
      skb_field(out, Opcode::ldx8, "pkt_type");
      out.op(Opcode::and64_imm, r0, 0, 0, 7);
      return;
    case ContextKey::protocol:
      return skb_field(out, Opcode::ldx16, "protocol");
    case ContextKey::iif:
      return device_index(out, true);
    case ContextKey::oif:
      return device_index(out, false);
    case ContextKey::iifname0:
      load_device(out, true);
      return facts::device_name(out, false);
    case ContextKey::iifname1:
      load_device(out, true);
      return facts::device_name(out, true);
    case ContextKey::oifname0:
      load_device(out, false);
      return facts::device_name(out, false);
    case ContextKey::oifname1:
      load_device(out, false);
      return facts::device_name(out, true);
    case ContextKey::ct_info:
      skb_field(out, Opcode::ldx64, "_nfct");
      return facts::connection(out);
    case ContextKey::iiftype:
      // Of skb->dev: nft_meta_get_eval() in net/netfilter/nft_meta.c. At postrouting that is the
      // output device, whatever state->in says; at output mostly none.
      load_skb(out, r1);
      out.load_field(Opcode::ldx64, r1, r1, "sk_buff", "dev");
      return facts::device_type(out);
    case ContextKey::oiftype:
      load_device(out, false);
      return facts::device_type(out);
    case ContextKey::wall_offset:
      return facts::wall_offset(out);
    case ContextKey::iifgroup:
      load_device(out, true);
      return facts::device_group(out);
    case ContextKey::oifgroup:
      load_device(out, false);
      return facts::device_group(out);
    case ContextKey::iifkind0:
    case ContextKey::iifkind1:
      load_device(out, true);
      return facts::device_kind(out, key == ContextKey::iifkind1);
    case ContextKey::oifkind0:
    case ContextKey::oifkind1:
      load_device(out, false);
      return facts::device_kind(out, key == ContextKey::oifkind1);
    default:
      return facts::emit_packet_fact(out, key, packet_access);
  }
}

// A dynptr of the packet at the frame's place for it, with r1 saved.
void packet_dynptr(Emitter& out, Label gone) {
  out.op(Opcode::stx64, frame_pointer, r1, out.saved());
  load_skb(out, r1);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.op(Opcode::mov64_reg, r3, frame_pointer);
  out.op(Opcode::add64_imm, r3, 0, 0, out.dynptr());
  out.call_kfunc("bpf_dynptr_from_skb");
  out.jump_imm(Opcode::jne64_imm, r0, 0, gone);
}

// r0 = slice of the bytes at offset r1, with r1 to r5 lost.
std::uint8_t slice(Emitter& out, const PacketWindow& window) {
  const Label gone = out.label(window.absent);
  packet_dynptr(out, gone);
  out.op(Opcode::mov64_reg, r1, frame_pointer);
  out.op(Opcode::add64_imm, r1, 0, 0, out.dynptr());
  out.op(Opcode::ldx64, r2, frame_pointer, out.saved());
  out.op(Opcode::mov64_reg, r3, frame_pointer);
  out.op(Opcode::add64_imm, r3, 0, 0, out.buffer());
  out.op(Opcode::mov64_imm, r4, 0, 0, static_cast<std::int32_t>(window.width));
  out.call_kfunc("bpf_dynptr_slice");
  out.jump_imm(Opcode::jeq64_imm, r0, 0, gone);
  return r0;
}

// The same bytes copied by a helper, bpf_dynptr_read().
std::uint8_t copy(Emitter& out, const PacketWindow& window) {
  const Label gone = out.label(window.absent);
  packet_dynptr(out, gone);
  out.op(Opcode::mov64_reg, r1, frame_pointer);
  out.op(Opcode::add64_imm, r1, 0, 0, out.buffer());
  out.op(Opcode::mov64_imm, r2, 0, 0, static_cast<std::int32_t>(window.width));
  out.op(Opcode::mov64_reg, r3, frame_pointer);
  out.op(Opcode::add64_imm, r3, 0, 0, out.dynptr());
  out.op(Opcode::ldx64, r4, frame_pointer, out.saved());
  out.op(Opcode::mov64_imm, r5, 0, 0, 0);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::dynptr_read));
  out.jump_imm(Opcode::jne64_imm, r0, 0, gone);
  out.op(Opcode::mov64_reg, r0, frame_pointer);
  out.op(Opcode::add64_imm, r0, 0, 0, out.buffer());
  return r0;
}

std::uint8_t window_in_place(Emitter& out, const PacketWindow& window) {
  const auto bytes = static_cast<std::int32_t>(window.width);
  const Label cold = out.label();
  const Label resume = out.label();
  load_skb(out, r3);
  out.load_field(Opcode::ldx32, r2, r3, "sk_buff", "len");
  out.load_field(Opcode::ldx32, r4, r3, "sk_buff", "data_len");
  out.op(Opcode::sub64_reg, r2, r4);
  out.op(Opcode::mov64_reg, r4, r1);
  out.op(Opcode::add64_imm, r4, 0, 0, bytes);
  out.jump_reg(Opcode::jgt64_reg, r4, r2, cold);
  out.load_field(Opcode::ldx64, r4, r3, "sk_buff", "data");
  out.op(Opcode::add64_reg, r1, r4);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.call_kfunc("bpf_rdonly_cast");
  out.bind(resume);
  out.defer([=, buffer = out.buffer()](Emitter& late) {
    late.bind(cold);
    late.use_buffer(buffer);
    late.load_field(Opcode::ldx32, r2, r3, "sk_buff", "len");
    late.jump_reg(Opcode::jgt64_reg, r4, r2, late.label(window.absent));
    slice(late, window);
    // A slice or the buffer: as untrusted memory both are of one kind with the bytes in place.
    late.op(Opcode::mov64_reg, r1, r0);
    late.op(Opcode::mov64_imm, r2, 0, 0, 0);
    late.call_kfunc("bpf_rdonly_cast");
    late.jump(resume);
  });
  return r0;
}

void copy_start(Emitter& out) {
  const Label gone = out.label();
  packet_dynptr(out, gone);
  out.op(Opcode::mov64_reg, r1, r8);
  out.op(Opcode::mov64_reg, r2, r7);
  out.op(Opcode::mov64_reg, r3, frame_pointer);
  out.op(Opcode::add64_imm, r3, 0, 0, out.dynptr());
  out.op(Opcode::mov64_imm, r4, 0, 0, 0);
  out.op(Opcode::mov64_imm, r5, 0, 0, 0);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::dynptr_read));
  out.bind(gone);
}

constexpr Profile make(std::uint8_t (*window)(Emitter&, const PacketWindow&)) {
  Profile profile;
  profile.name = "netfilter";
  profile.program_type = isa::ProgramType::netfilter;
  profile.coarse_clock = false;
  profile.accept = 1;
  profile.drop = 0;
  profile.start = Profile::Start::network;
  profile.one_protocol = true;
  profile.context_key = context_key;
  profile.has_conntrack = true;
  profile.has_socket = true;
  profile.needs_scratch = facts::packet_fact_needs_scratch;
  profile.window_dynptr = true;
  profile.window_buffer = true;
  profile.emit_context = emit_context;
  profile.emit_window = window;
  profile.emit_copy = copy_start;
  return profile;
}

}  // namespace

const Profile netfilter_profile = make(window_in_place);
const Profile netfilter_slices_profile = make(slice);
const Profile netfilter_copies_profile = make(copy);

}  // namespace weir::backend
