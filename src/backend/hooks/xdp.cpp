// SPDX-License-Identifier: BSD-2-Clause
//
// XDP: packets as the device received them, from the Ethernet header on, read in place between
// xdp_md.data and data_end. Nothing else is known of them but the device.
#include "backend/emitter.h"
#include "backend/profile.h"

namespace weir::backend {

using flow::ContextKey;
using isa::Opcode;

namespace {

constexpr std::uint8_t r0 = 0;
constexpr std::uint8_t r1 = 1;
constexpr std::uint8_t r2 = 2;
constexpr std::uint8_t r3 = 3;
constexpr std::uint8_t r4 = 4;
// Offsets in struct xdp_md (linux/bpf.h), a fixed interface.
constexpr std::int16_t md_data = 0;
constexpr std::int16_t md_data_end = 4;
constexpr std::int16_t md_ingress_ifindex = 12;

std::optional<ContextKey> context_key(imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::iif:
      return ContextKey::iif;
    case imr::MetaKey::length:
      return ContextKey::length;
    case imr::MetaKey::iiftype:
    case imr::MetaKey::l4proto:
    case imr::MetaKey::nfproto:
    case imr::MetaKey::protocol:
    case imr::MetaKey::mark:
    case imr::MetaKey::oif:
    case imr::MetaKey::iifname:
    case imr::MetaKey::oifname:
    case imr::MetaKey::pkttype:
      return std::nullopt;
  }
  throw InvariantError("meta key out of range");
}

void emit_context(Emitter& out, ContextKey key) {
  out.load_context_pointer(r1);
  switch (key) {
    case ContextKey::iif:
      out.op(Opcode::ldx32, r0, r1, md_ingress_ifindex);
      return;
    case ContextKey::length:
      out.op(Opcode::ldx32, r0, r1, md_data_end);
      out.op(Opcode::ldx32, r2, r1, md_data);
      out.op(Opcode::sub64_reg, r0, r2);
      return;
    default:
      throw InvariantError("a context key that XDP does not have");
  }
}

void emit_window(Emitter& out, std::uint32_t width, flow::BlockId absent) {
  // The verifier follows packet pointers with offsets below 64 KiB; no linear frame is half of
  // that.
  constexpr std::int32_t max_offset = 0x7fff;
  out.load_context_pointer(r2);
  out.op(Opcode::ldx32, r0, r2, md_data);
  out.op(Opcode::ldx32, r3, r2, md_data_end);
  out.jump_imm(Opcode::jgt64_imm, r1, max_offset, out.label(absent));
  out.op(Opcode::add64_reg, r0, r1);
  out.op(Opcode::mov64_reg, r4, r0);
  out.op(Opcode::add64_imm, r4, 0, 0, static_cast<std::int32_t>(width));
  out.jump_reg(Opcode::jgt64_reg, r4, r3, out.label(absent));
}

}  // namespace

const Profile xdp_profile = {
    .name = "xdp",
    .program_type = isa::ProgramType::xdp,
    .accept = 2,  // XDP_PASS
    .drop = 1,    // XDP_DROP
    .starts_at_link = true,
    .nf_tables_quirks = false,
    .context_key = context_key,
    .has_conntrack = false,
    .emit_context = emit_context,
    .emit_window = emit_window,
};

const Profile& profile_for(const Hook& hook, const ProfileOptions& options) {
  switch (hook.kind) {
    case Hook::Kind::xdp:
      return xdp_profile;
    case Hook::Kind::netfilter:
      return options.untrusted_memory ? netfilter_profile : netfilter_slices_profile;
    case Hook::Kind::tc_ingress:
    case Hook::Kind::tc_egress:
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
    case Hook::Kind::socket:
      throw InvariantError("a hook without a profile");
  }
  throw InvariantError("hook kind out of range");
}

}  // namespace weir::backend
