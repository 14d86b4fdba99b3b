// SPDX-License-Identifier: BSD-2-Clause
//
// XDP: packets as the device received them, from the Ethernet header on, read in place between
// xdp_md.data and data_end. Nothing else is known of them but the device, whose name and type are
// behind struct xdp_buff.
#include "backend/emitter.h"
#include "backend/hooks/facts.h"
#include "backend/profile.h"
#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend {

using flow::ContextKey;
using isa::Opcode;

namespace {

// Offsets in struct xdp_md (linux/bpf.h), a fixed interface.
constexpr std::int16_t md_data = 0;
constexpr std::int16_t md_data_end = 4;
constexpr std::int16_t md_ingress_ifindex = 12;

std::optional<ContextKey> context_key(imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::iif:
      return ContextKey::iif;
    case imr::MetaKey::iifname:
      return ContextKey::iifname0;
    case imr::MetaKey::iiftype:
      return ContextKey::iiftype;
    case imr::MetaKey::iifgroup:
      return ContextKey::iifgroup;
    case imr::MetaKey::iifkind:
      return ContextKey::iifkind0;
    case imr::MetaKey::cpu:
      return ContextKey::cpu;
    case imr::MetaKey::time:
    case imr::MetaKey::hour:
      return ContextKey::wall_offset;
    case imr::MetaKey::length:
      return ContextKey::length;
    case imr::MetaKey::l4proto:
    case imr::MetaKey::nfproto:
    case imr::MetaKey::protocol:
    case imr::MetaKey::mark:
    case imr::MetaKey::oif:
    case imr::MetaKey::oifname:
    case imr::MetaKey::pkttype:
    case imr::MetaKey::oiftype:
    case imr::MetaKey::oifgroup:
    case imr::MetaKey::oifkind:
    case imr::MetaKey::priority:
    case imr::MetaKey::skuid:
    case imr::MetaKey::skgid:
    case imr::MetaKey::cgroup:
    case imr::MetaKey::rtclassid:
    case imr::MetaKey::rtipsec:
      return std::nullopt;
  }
  throw InvariantError("meta key out of range");
}

// r1 = the device, by struct xdp_buff: xdp->rxq->dev
void load_device(Emitter& out) {
  out.load_context_pointer(r1);
  out.call_kfunc("bpf_cast_to_kern_ctx");
  out.load_field(Opcode::ldx64, r1, r0, "xdp_buff", "rxq");
  out.load_field(Opcode::ldx64, r1, r1, "xdp_rxq_info", "dev");
}

void emit_context(Emitter& out, ContextKey key) {
  switch (key) {
    case ContextKey::iif:
      out.load_context_pointer(r1);
      out.op(Opcode::ldx32, r0, r1, md_ingress_ifindex);
      return;
    case ContextKey::iifname0:
      load_device(out);
      return facts::device_name(out, false);
    case ContextKey::iifname1:
      load_device(out);
      return facts::device_name(out, true);
    case ContextKey::iiftype:
      load_device(out);
      return facts::device_type(out);
    case ContextKey::iifgroup:
      load_device(out);
      return facts::device_group(out);
    case ContextKey::iifkind0:
    case ContextKey::iifkind1:
      load_device(out);
      return facts::device_kind(out, key == ContextKey::iifkind1);
    case ContextKey::cpu:
      return out.call_helper(static_cast<std::int32_t>(isa::Helper::get_smp_processor_id));
    case ContextKey::length:
      out.load_context_pointer(r1);
      out.op(Opcode::ldx32, r0, r1, md_data_end);
      out.op(Opcode::ldx32, r2, r1, md_data);
      out.op(Opcode::sub64_reg, r0, r2);
      return;
    case ContextKey::wall_offset:
      return facts::wall_offset(out);
    case ContextKey::ip_ttl:
    case ContextKey::ip6_hop_limit:
      load_device(out);
      return facts::time_to_live(out, key == ContextKey::ip6_hop_limit);
    case ContextKey::linear_length:
      return emit_context(out, ContextKey::length);
    case ContextKey::zero:
      // n * (n + 1) is even, which no verifier follows; minus its lowest bit may be anything to it.
      out.load_context_pointer(r1);
      out.op(Opcode::ldx32, r0, r1, md_ingress_ifindex);
      out.op(Opcode::mov64_reg, r2, r0);
      out.op(Opcode::add64_imm, r2, 0, 0, 1);
      out.op(Opcode::mul64_reg, r0, r2);
      out.op(Opcode::and64_imm, r0, 0, 0, 1);
      out.op(Opcode::neg64, r0);
      return;
    default:
      break;
  }
  throw InvariantError("a context key that XDP does not have");
}

std::uint8_t emit_window(Emitter& out, const PacketWindow& window) {
  // The verifier follows packet pointers with offsets below 64 KiB; no linear frame is half of
  // that.
  constexpr std::int32_t max_offset = 0x7fff;
  const std::uint8_t base = window.base.value_or(r1);
  const std::uint8_t end = base == r3 ? r5 : r3;
  const bool in_use =
      window.wanted == r1 || window.wanted == r4 || window.wanted == end || window.wanted == base;
  const std::uint8_t pointer = in_use ? r0 : window.wanted;
  out.load_context_pointer(pointer);
  out.op(Opcode::ldx32, end, pointer, md_data_end);
  out.op(Opcode::ldx32, pointer, pointer, md_data);
  if (!window.base && (!window.offset || *window.offset > max_offset)) {
    out.jump_imm(Opcode::jgt64_imm, r1, max_offset, out.label(window.absent));
  }
  out.op(Opcode::add64_reg, pointer, base);
  if (window.base && window.number != 0) {
    out.op(Opcode::add64_imm, pointer, 0, 0, static_cast<std::int32_t>(window.number));
  }
  out.op(Opcode::mov64_reg, r4, pointer);
  out.op(Opcode::add64_imm, r4, 0, 0, static_cast<std::int32_t>(window.width));
  out.jump_reg(Opcode::jgt64_reg, r4, end, out.label(window.absent));
  return pointer;
}

// Through a helper, which also reaches the fragments of a frame that is not linear.
std::uint8_t helper_window(Emitter& out, const PacketWindow& window) {
  return facts::load_bytes(out, static_cast<std::int32_t>(isa::Helper::xdp_load_bytes), window);
}

// Longer or shorter at its head, which all drivers have room at, and then byte by byte.
void answer(Emitter& out) {
  const Label shorter = out.label();
  const Label sized = out.label();
  const Label done = out.label();
  out.load_context_pointer(r1);
  out.op(Opcode::ldx32, r2, r1, md_data_end);
  out.op(Opcode::ldx32, r3, r1, md_data);
  out.op(Opcode::sub64_reg, r2, r3);
  out.op(Opcode::sub64_reg, r2, r9);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.jump_imm(Opcode::jeq64_imm, r2, 0, sized);
  out.jump_imm(Opcode::jsgt64_imm, r2, 0, shorter);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::xdp_adjust_head));
  out.jump(sized);
  out.bind(shorter);
  out.op(Opcode::neg64, r2);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::xdp_adjust_tail));
  out.bind(sized);
  out.jump_imm(Opcode::jne64_imm, r0, 0, done);
  out.load_context_pointer(r1);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.op(Opcode::mov64_reg, r3, r8);
  out.op(Opcode::mov64_reg, r4, r9);
  out.call_helper(static_cast<std::int32_t>(isa::Helper::xdp_store_bytes));
  out.bind(done);
}

void copy(Emitter& out) {
  facts::copy_bytes(out, static_cast<std::int32_t>(isa::Helper::xdp_load_bytes));
}

constexpr Profile make(bool by_helper) {
  Profile profile;
  profile.name = "xdp";
  profile.program_type = isa::ProgramType::xdp;
  profile.accept = 2;  // XDP_PASS
  profile.drop = 1;    // XDP_DROP
  profile.start = Profile::Start::frame;
  profile.context_key = context_key;
  profile.writes_packets = true;
  profile.window_buffer = by_helper;
  profile.splits_offsets = !by_helper;
  profile.emit_context = emit_context;
  profile.emit_window = by_helper ? helper_window : emit_window;
  profile.emit_copy = copy;
  profile.emit_answer = answer;
  profile.answered = 3;  // XDP_TX
  profile.forwards = true;
  profile.forwarded = 4;  // XDP_REDIRECT
  profile.load_helper = static_cast<std::int32_t>(isa::Helper::xdp_load_bytes);
  return profile;
}

}  // namespace

const Profile xdp_profile = make(false);
const Profile xdp_helper_profile = make(true);

}  // namespace weir::backend
