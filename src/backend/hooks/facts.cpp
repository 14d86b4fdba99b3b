// SPDX-License-Identifier: BSD-2-Clause
#include "backend/hooks/facts.h"

#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend::facts {

using flow::ContextKey;
using isa::Opcode;

namespace {

// Offsets in struct __sk_buff.
constexpr std::int16_t view_len = 0;
constexpr std::int16_t view_pkt_type = 4;
constexpr std::int16_t view_mark = 8;
constexpr std::int16_t view_protocol = 16;
constexpr std::int16_t view_vlan_present = 20;
constexpr std::int16_t view_vlan_tci = 24;
constexpr std::int16_t view_vlan_proto = 28;
constexpr std::int16_t view_priority = 32;
constexpr std::int16_t view_ifindex = 40;
constexpr std::int16_t view_data = 76;
constexpr std::int16_t view_data_end = 80;

// r2 = a mask of the bytes of `word` before its first zero byte, and r3 = 0 if it has none. The
// borrow of (w - 0x01..) & ~w & 0x80.. is right up to the first zero byte, and the lowest bit
// tells.
void mask_before_zero(Emitter& out, std::uint8_t word) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  out.constant(r2, ones);
  out.op(Opcode::mov64_reg, r3, word);
  out.op(Opcode::sub64_reg, r3, r2);
  out.op(Opcode::lsh64_imm, r2, 0, 0, 7);
  out.op(Opcode::and64_reg, r3, r2);
  out.op(Opcode::mov64_reg, r2, word);
  out.op(Opcode::xor64_imm, r2, 0, 0, -1);
  out.op(Opcode::and64_reg, r3, r2);
  out.op(Opcode::mov64_reg, r2, r3);
  out.op(Opcode::neg64, r2);
  out.op(Opcode::and64_reg, r2, r3);
  out.op(Opcode::rsh64_imm, r2, 0, 0, 7);
  out.op(Opcode::sub64_imm, r2, 0, 0, 1);
}

// dst = the struct sk_buff behind the context; r1 to r5 are lost.
void kernel_skb(Emitter& out, std::uint8_t dst) {
  out.load_context_pointer(r1);
  out.call_kfunc("bpf_cast_to_kern_ctx");
  if (dst != r0) out.op(Opcode::mov64_reg, dst, r0);
}

void view_field(Emitter& out, std::int16_t offset) {
  out.load_context_pointer(r1);
  out.op(Opcode::ldx32, r0, r1, offset);
}

// r1 = skb->dev
void skb_device(Emitter& out) {
  kernel_skb(out, r1);
  out.load_field(Opcode::ldx64, r1, r1, "sk_buff", "dev");
}

// skb_network_offset()
void network_offset(Emitter& out) {
  kernel_skb(out, r1);
  out.load_field(Opcode::ldx16, r0, r1, "sk_buff", "network_header");
  out.load_field(Opcode::ldx64, r2, r1, "sk_buff", "data");
  out.load_field(Opcode::ldx64, r3, r1, "sk_buff", "head");
  out.op(Opcode::sub64_reg, r2, r3);
  out.op(Opcode::sub64_reg, r0, r2);
}

// The four bytes of the tag as they would stand in the frame, and 0 without one.
void vlan_tag(Emitter& out) {
  const Label none = out.label();
  view_field(out, view_vlan_present);
  out.jump_imm(Opcode::jeq64_imm, r0, 0, none);
  out.op(Opcode::ldx32, r0, r1, view_vlan_tci);
  out.op(Opcode::be16, r0);
  out.op(Opcode::lsh64_imm, r0, 0, 0, 16);
  out.op(Opcode::ldx32, r2, r1, view_vlan_proto);
  out.op(Opcode::or64_reg, r0, r2);
  out.bind(none);
}

std::optional<ContextKey> skb_key_at_both(imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::protocol:
      return ContextKey::protocol;
    case imr::MetaKey::mark:
      return ContextKey::mark;
    case imr::MetaKey::priority:
      return ContextKey::priority;
    case imr::MetaKey::cpu:
      return ContextKey::cpu;
    case imr::MetaKey::time:
    case imr::MetaKey::hour:
      return ContextKey::wall_offset;
    case imr::MetaKey::length:
      return ContextKey::length;
    case imr::MetaKey::pkttype:
      return ContextKey::pkttype;
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
    case imr::MetaKey::iif:
    case imr::MetaKey::oif:
    case imr::MetaKey::iifname:
    case imr::MetaKey::oifname:
    case imr::MetaKey::iiftype:
    case imr::MetaKey::oiftype:
    case imr::MetaKey::iifgroup:
    case imr::MetaKey::oifgroup:
    case imr::MetaKey::iifkind:
    case imr::MetaKey::oifkind:
    case imr::MetaKey::l4proto:
    case imr::MetaKey::nfproto:
      return std::nullopt;
  }
  throw InvariantError("meta key out of range");
}

// skb->dev->nd_net, of the struct sk_buff at r1, as skb_socket() wants it.
void net_of_device(Emitter& out) {
  out.load_field(Opcode::ldx64, r2, r1, "sk_buff", "dev");
  out.load_field(Opcode::ldx64, r2, r2, "net_device", "nd_net.net");
}

constexpr PacketAccess view_access = {.load_skb = [](Emitter& out) { kernel_skb(out, r1); },
                                      .load_net = net_of_device};

}  // namespace

void device_name(Emitter& out, bool second) {
  const Label none = out.label();
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.add_field_offset(r1, "net_device", "name");
  out.op(Opcode::ldx64, r4, r1, 0);
  if (second) out.op(Opcode::ldx64, r1, r1, 8);
  mask_before_zero(out, r4);
  if (second) {
    out.jump_imm(Opcode::jne64_imm, r3, 0, none);
    mask_before_zero(out, r1);
    out.op(Opcode::mov64_reg, r4, r1);
  }
  out.op(Opcode::mov64_reg, r0, r4);
  out.op(Opcode::and64_reg, r0, r2);
  out.bind(none);
}

void mark_present(Emitter& out, std::int32_t bit) {
  constexpr std::int32_t sign = 63;
  out.op(Opcode::mov64_reg, r3, r2);
  out.op(Opcode::neg64, r3);
  out.op(Opcode::or64_reg, r2, r3);
  out.op(Opcode::rsh64_imm, r2, 0, 0, sign);
  out.op(Opcode::lsh64_imm, r2, 0, 0, bit);
  out.op(Opcode::or64_reg, r0, r2);
}

void device_type(Emitter& out) {
  const Label none = out.label();
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.load_field(Opcode::ldx16, r0, r1, "net_device", "type");
  out.load_field(Opcode::ldx32, r2, r1, "net_device", "ifindex");
  mark_present(out, 16);
  out.bind(none);
}

void device_group(Emitter& out) {
  const Label none = out.label();
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.load_field(Opcode::ldx32, r0, r1, "net_device", "group");
  out.load_field(Opcode::ldx32, r2, r1, "net_device", "ifindex");
  mark_present(out, 32);
  out.bind(none);
}

void device_kind(Emitter& out, bool second) {
  const Label none = out.label();
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.load_field(Opcode::ldx64, r1, r1, "net_device", "rtnl_link_ops");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.load_field(Opcode::ldx64, r1, r1, "rtnl_link_ops", "kind");
  to_memory(out);
  text(out, second, none);
  out.bind(none);
}

void time_to_live(Emitter& out, bool of_ipv6) {
  constexpr std::int32_t usual = 64;  // IPDEFTTL, IPV6_DEFAULT_HOPLIMIT
  const Label none = out.label();
  out.op(Opcode::mov64_imm, r0, 0, 0, usual);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.load_field(Opcode::ldx64, r1, r1, "net_device", "nd_net.net");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  if (!of_ipv6) {
    out.load_field(Opcode::ldx8, r0, r1, "net", "ipv4.sysctl_ip_default_ttl");
  } else {
    out.load_field(Opcode::ldx64, r1, r1, "net", "ipv6.devconf_all");
    out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
    out.load_field(Opcode::ldx32, r0, r1, "ipv6_devconf", "hop_limit");
    out.op(Opcode::and64_imm, r0, 0, 0, 0xff);
  }
  out.bind(none);
}

// Every task has timers, and each timer leads to the clocks of a processor, which hold what
// ktime_get_real() adds to ktime_get(). Who sets the clock changes those of all processors at once
// (clock_was_set() in kernel/time/hrtimer.c).
void wall_offset(Emitter& out) {
  out.call_helper(static_cast<std::int32_t>(isa::Helper::get_current_task_btf));
  out.load_field(Opcode::ldx64, r1, r0, "task_struct", "dl.dl_timer.base");
  out.load_field(Opcode::ldx64, r1, r1, "hrtimer_clock_base", "cpu_base");
  out.load_field(Opcode::ldx64, r0, r1, "hrtimer_cpu_base", "clock_base.1.offset");
}

void connection(Emitter& out) {
  // The connection's address, with ctinfo in its lowest three bits.
  const Label none = out.label();
  out.op(Opcode::mov64_reg, r1, r0);
  out.op(Opcode::and64_imm, r0, 0, 0, 7);
  out.op(Opcode::rsh64_imm, r1, 0, 0, 3);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.op(Opcode::or64_imm, r0, 0, 0, 8);
  out.bind(none);
}

void emit_skb_context(Emitter& out, ContextKey key) {
  switch (key) {
    case ContextKey::mark:
      return view_field(out, view_mark);
    case ContextKey::priority:
      return view_field(out, view_priority);
    case ContextKey::iif:
    case ContextKey::oif:
      return view_field(out, view_ifindex);
    case ContextKey::iifname0:
    case ContextKey::oifname0:
      skb_device(out);
      return device_name(out, false);
    case ContextKey::iifname1:
    case ContextKey::oifname1:
      skb_device(out);
      return device_name(out, true);
    case ContextKey::iiftype:
    case ContextKey::oiftype:
      skb_device(out);
      return device_type(out);
    case ContextKey::iifgroup:
    case ContextKey::oifgroup:
      skb_device(out);
      return device_group(out);
    case ContextKey::iifkind0:
    case ContextKey::oifkind0:
      skb_device(out);
      return device_kind(out, false);
    case ContextKey::iifkind1:
    case ContextKey::oifkind1:
      skb_device(out);
      return device_kind(out, true);
    case ContextKey::length:
      return view_field(out, view_len);
    case ContextKey::linear_length:
      view_field(out, view_data_end);
      out.op(Opcode::ldx32, r2, r1, view_data);
      out.op(Opcode::sub64_reg, r0, r2);
      return;
    case ContextKey::pkttype:
      return view_field(out, view_pkt_type);
    case ContextKey::protocol:
      return view_field(out, view_protocol);
    case ContextKey::ct_info:
      kernel_skb(out, r1);
      out.load_field(Opcode::ldx64, r0, r1, "sk_buff", "_nfct");
      return connection(out);
    case ContextKey::network_offset:
      return network_offset(out);
    case ContextKey::wall_offset:
      return wall_offset(out);
    case ContextKey::ip_ttl:
    case ContextKey::ip6_hop_limit:
      skb_device(out);
      return time_to_live(out, key == ContextKey::ip6_hop_limit);
    case ContextKey::vlan_tag:
      return vlan_tag(out);
    default:
      return emit_packet_fact(out, key, view_access);
  }
}

std::uint8_t load_bytes(Emitter& out, std::int32_t helper, const PacketWindow& window) {
  out.op(Opcode::mov64_reg, r2, r1);
  out.load_context_pointer(r1);
  out.op(Opcode::mov64_reg, r3, frame_pointer);
  out.op(Opcode::add64_imm, r3, 0, 0, out.buffer());
  out.op(Opcode::mov64_imm, r4, 0, 0, static_cast<std::int32_t>(window.width));
  out.call_helper(helper);
  out.jump_imm(Opcode::jne64_imm, r0, 0, out.label(window.absent));
  out.op(Opcode::mov64_reg, r0, frame_pointer);
  out.op(Opcode::add64_imm, r0, 0, 0, out.buffer());
  return r0;
}

void copy_bytes(Emitter& out, std::int32_t helper) {
  out.load_context_pointer(r1);
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.op(Opcode::mov64_reg, r3, r8);
  out.op(Opcode::mov64_reg, r4, r7);
  out.call_helper(helper);
}

void helper_copy(Emitter& out) {
  copy_bytes(out, static_cast<std::int32_t>(isa::Helper::skb_load_bytes));
}

std::uint8_t helper_window(Emitter& out, const PacketWindow& window) {
  return load_bytes(out, static_cast<std::int32_t>(isa::Helper::skb_load_bytes), window);
}

std::uint8_t direct_window(Emitter& out, const PacketWindow& window) {
  // The verifier follows packet pointers with offsets below 64 KiB; what lies beyond half of that
  // is left to the helper. It is not to learn from the comparison, which would make every offset
  // two, that of the one way and that of the other: so a shifted copy is compared.
  constexpr std::int32_t offset_bits = 15;
  const Label cold = out.label();
  const Label resume = out.label();
  if (!window.offset || *window.offset >> offset_bits != 0) {
    out.op(Opcode::mov64_reg, r2, r1);
    out.op(Opcode::rsh64_imm, r2, 0, 0, offset_bits);
    out.jump_imm(Opcode::jne64_imm, r2, 0, cold);
    out.op(Opcode::and64_imm, r1, 0, 0, (1 << offset_bits) - 1);
  }
  out.load_context_pointer(r2);
  out.op(Opcode::ldx32, r0, r2, view_data);
  out.op(Opcode::ldx32, r3, r2, view_data_end);
  out.op(Opcode::add64_reg, r0, r1);
  out.op(Opcode::mov64_reg, r4, r0);
  out.op(Opcode::add64_imm, r4, 0, 0, static_cast<std::int32_t>(window.width));
  out.jump_reg(Opcode::jgt64_reg, r4, r3, cold);
  out.bind(resume);
  out.defer([=, buffer = out.buffer()](Emitter& late) {
    late.bind(cold);
    late.use_buffer(buffer);
    helper_window(late, window);
    late.jump(resume);
  });
  return r0;
}

std::optional<ContextKey> skb_key_at_ingress(imr::MetaKey key) {
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
    default:
      return skb_key_at_both(key);
  }
}

std::optional<ContextKey> skb_key_at_egress(imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::oif:
      return ContextKey::oif;
    case imr::MetaKey::oifname:
      return ContextKey::oifname0;
    case imr::MetaKey::oiftype:
      return ContextKey::oiftype;
    case imr::MetaKey::oifgroup:
      return ContextKey::oifgroup;
    case imr::MetaKey::oifkind:
      return ContextKey::oifkind0;
    default:
      return skb_key_at_both(key);
  }
}

}  // namespace weir::backend::facts
