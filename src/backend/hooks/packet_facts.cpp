// SPDX-License-Identifier: BSD-2-Clause
//
// What a packet's socket, route and connection are, as net/netfilter/nft_meta.c and nft_ct.c take
// it from them (Linux 6.18). Their structures stand behind pointers that the verifier does not
// follow, or only by types that differ from case to case (a socket may be a request for one), so
// they are read as memory of no type, at offsets that relocations give. Loads through null give
// zero there.
#include "backend/hooks/facts.h"
#include "backend/registers.h"
#include "isa/helpers.h"

namespace weir::backend::facts {

using flow::ContextKey;
using isa::Opcode;

namespace {

// r0 = what stands there, with the bit above its 32 that says so; at `none` r0 is 0. r2 as
// mark_present() wants it.
void present(Emitter& out, Label none) {
  const Label end = out.label();
  mark_present(out, 32);
  out.jump(end);
  out.bind(none);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.bind(end);
}

// r1 = the packet's socket, r2 = its namespace: skb_to_full_sk() and sk_fullsock() in
// include/net/sock.h, and of the network namespace that the rules are of.
void load_socket(Emitter& out, const PacketAccess& access, Label none) {
  constexpr std::int32_t time_wait = 6;  // include/net/tcp_states.h
  constexpr std::int32_t new_syn_received = 12;
  const Label full = out.label();
  access.load_skb(out);
  access.load_net(out);
  out.op(Opcode::stx64, frame_pointer, r2, out.scratch());
  out.load_field(Opcode::ldx64, r1, r1, "sk_buff", "sk");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
  out.load_field(Opcode::ldx8, r3, r1, "sock", "__sk_common.skc_state");
  out.jump_imm(Opcode::jne64_imm, r3, new_syn_received, full);
  out.load_field(Opcode::ldx64, r1, r1, "request_sock", "__req_common.skc_listener");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
  out.load_field(Opcode::ldx8, r3, r1, "sock", "__sk_common.skc_state");
  out.bind(full);
  out.jump_imm(Opcode::jeq64_imm, r3, time_wait, none);
  out.jump_imm(Opcode::jeq64_imm, r3, new_syn_received, none);
  out.load_field(Opcode::ldx64, r2, r1, "sock", "__sk_common.skc_net.net");
  out.op(Opcode::ldx64, r3, frame_pointer, out.scratch());
  out.jump_reg(Opcode::jne64_reg, r2, r3, none);
}

// nft_meta_get_eval_skugid()
void owner(Emitter& out, const PacketAccess& access, const char* member) {
  const Label none = out.label();
  load_socket(out, access, none);
  out.load_field(Opcode::ldx64, r1, r1, "sock", "sk_socket");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
  out.load_field(Opcode::ldx64, r1, r1, "socket", "file");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
  out.load_field(Opcode::ldx64, r1, r1, "file", "f_cred");
  out.op(Opcode::stx64, frame_pointer, r1, out.scratch());
  to_memory(out);
  out.load_field(Opcode::ldx32, r0, r1, "cred", member);
  out.op(Opcode::ldx64, r2, frame_pointer, out.scratch());
  present(out, none);
}

// nft_meta_get_eval_cgroup()
void cgroup_class(Emitter& out, const PacketAccess& access) {
  const Label none = out.label();
  load_socket(out, access, none);
  out.load_field(Opcode::ldx32, r0, r1, "sock", "sk_cgrp_data.classid");
  present(out, none);
}

// r1 = skb_dst(); the lowest bit of the pointer says who counts it (SKB_DST_NOREF). To `none`
// without a route; else the scratch word holds what says that there is one.
void load_route(Emitter& out, const PacketAccess& access, Label none) {
  access.load_skb(out);
  out.load_field(Opcode::ldx64, r1, r1, "sk_buff", "_skb_refdst");
  out.op(Opcode::and64_imm, r1, 0, 0, -2);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.op(Opcode::stx64, frame_pointer, r1, out.scratch());
  to_memory(out);
}

// The value of r0, which is of the packet's route.
void present_of_route(Emitter& out, Label none) {
  out.op(Opcode::ldx64, r2, frame_pointer, out.scratch());
  present(out, none);
}

// nft_meta_get_eval_rtclassid()
void route_class(Emitter& out, const PacketAccess& access) {
  const Label none = out.label();
  load_route(out, access, none);
  out.load_field(Opcode::ldx32, r0, r1, "dst_entry", "tclassid");
  present_of_route(out, none);
}

// nft_rt_get_eval(), as all of routes below.
void route_ipsec(Emitter& out, const PacketAccess& access) {
  const Label none = out.label();
  load_route(out, access, none);
  out.load_field(Opcode::ldx64, r2, r1, "dst_entry", "xfrm");
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  mark_present(out, 0);
  present_of_route(out, none);
}

// The bit above that of `present()`.
constexpr std::int32_t gateway_bit = 33;

// rt_nexthop() in include/net/route.h: a gateway may be of IPv6, which has no IPv4 address.
void gateway4(Emitter& out, const PacketAccess& access) {
  constexpr std::int32_t family_ipv4 = 2;
  const Label none = out.label();
  load_route(out, access, none);
  out.load_field(Opcode::ldx32, r0, r1, "rtable", "rt_gw4");
  out.load_field(Opcode::ldx8, r2, r1, "rtable", "rt_gw_family");
  // Below 0 for that family alone.
  out.op(Opcode::xor64_imm, r2, 0, 0, family_ipv4);
  out.op(Opcode::sub64_imm, r2, 0, 0, 1);
  out.op(Opcode::rsh64_imm, r2, 0, 0, 63);
  out.op(Opcode::lsh64_imm, r2, 0, 0, gateway_bit);
  out.op(Opcode::or64_reg, r0, r2);
  present_of_route(out, none);
}

// r2 = whether the route of IPv6 at r1 has a gateway, and r3 = whether it is one that was cached,
// as rt6_nexthop() in include/net/ip6_route.h looks at them.
void route_flags6(Emitter& out) {
  constexpr std::int32_t of_gateway = 1;  // RTF_GATEWAY, RTF_CACHE: which bit
  constexpr std::int32_t of_cache = 24;
  out.load_field(Opcode::ldx32, r2, r1, "rt6_info", "rt6i_flags");
  out.op(Opcode::mov64_reg, r3, r2);
  out.op(Opcode::rsh64_imm, r2, 0, 0, of_gateway);
  out.op(Opcode::and64_imm, r2, 0, 0, 1);
  out.op(Opcode::rsh64_imm, r3, 0, 0, of_cache);
  out.op(Opcode::and64_imm, r3, 0, 0, 1);
}

void has_gateway6(Emitter& out, const PacketAccess& access) {
  const Label none = out.label();
  load_route(out, access, none);
  route_flags6(out);
  out.op(Opcode::mov64_reg, r0, r2);
  out.op(Opcode::or64_reg, r0, r3);
  out.op(Opcode::lsh64_imm, r0, 0, 0, gateway_bit);
  present_of_route(out, none);
}

// 8 bytes of the gateway, or else of the destination of a cached route.
void gateway6(Emitter& out, const PacketAccess& access, bool second) {
  const std::int16_t at = second ? 8 : 0;
  const Label none = out.label();
  const Label end = out.label();
  load_route(out, access, none);
  route_flags6(out);
  out.op(Opcode::mov64_reg, r4, r1);
  out.add_field_offset(r4, "rt6_info", "rt6i_dst.addr");
  out.op(Opcode::ldx64, r4, r4, at);
  out.add_field_offset(r1, "rt6_info", "rt6i_gateway");
  out.op(Opcode::ldx64, r0, r1, at);
  out.op(Opcode::xor64_reg, r0, r4);
  out.op(Opcode::neg64, r2);
  out.op(Opcode::and64_reg, r0, r2);
  out.op(Opcode::xor64_reg, r0, r4);
  out.jump(end);
  out.bind(none);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.bind(end);
}

// ---- Connections --------------------------------------------------------------------------------

// r1 = the packet's connection; to `none` without one, with 0 in r0.
void load_connection(Emitter& out, const PacketAccess& access, Label none) {
  access.load_skb(out);
  out.load_field(Opcode::ldx64, r1, r1, "sk_buff", "_nfct");
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.op(Opcode::and64_imm, r1, 0, 0, -8);
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
}

void member(Emitter& out, const PacketAccess& access, Opcode load, const std::string& name) {
  const Label none = out.label();
  load_connection(out, access, none);
  out.load_field(load, r0, r1, "nf_conn", name);
  out.bind(none);
}

// 8 bytes of an address.
void address(Emitter& out, const PacketAccess& access, const std::string& name, bool second) {
  const Label none = out.label();
  load_connection(out, access, none);
  out.add_field_offset(r1, "nf_conn", name);
  out.op(Opcode::ldx64, r0, r1, second ? 8 : 0);
  out.bind(none);
}

// r1 = the extension of the connection at r1 (nf_ct_ext_find() in
// include/net/netfilter/nf_conntrack_extend.h); to `none` without it, with 0 in r0.
void load_extension(Emitter& out, const char* which, Label none) {
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.load_field(Opcode::ldx64, r1, r1, "nf_conn", "ext");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  out.op(Opcode::stx64, frame_pointer, r1, out.scratch());
  to_memory(out);
  out.load_field(Opcode::ldx8, r2, r1, "nf_ct_ext", std::string("offset.") + which);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.jump_imm(Opcode::jeq64_imm, r2, 0, none);
  out.op(Opcode::ldx64, r1, frame_pointer, out.scratch());
  out.op(Opcode::add64_reg, r1, r2);
  to_memory(out);
}

void labels(Emitter& out, const PacketAccess& access, bool second) {
  const Label none = out.label();
  load_connection(out, access, none);
  load_extension(out, "NF_CT_EXT_LABELS", none);
  out.add_field_offset(r1, "nf_conn_labels", "bits");
  out.op(Opcode::ldx64, r0, r1, second ? 8 : 0);
  out.bind(none);
}

void load_accounts(Emitter& out, const PacketAccess& access, Label none) {
  load_connection(out, access, none);
  load_extension(out, "NF_CT_EXT_ACCT", none);
}

void account(Emitter& out, const PacketAccess& access, const char* name) {
  const Label none = out.label();
  load_accounts(out, access, none);
  out.load_field(Opcode::ldx64, r0, r1, "nf_conn_acct", name);
  out.bind(none);
}

// A division by 0 gives 0, in eBPF as in nft_ct_get_eval().
void average(Emitter& out, const PacketAccess& access, bool original, bool reply) {
  const Label none = out.label();
  load_accounts(out, access, none);
  out.load_field(Opcode::ldx64, r0, r1, "nf_conn_acct",
                 original ? "counter.0.bytes" : "counter.1.bytes");
  out.load_field(Opcode::ldx64, r2, r1, "nf_conn_acct",
                 original ? "counter.0.packets" : "counter.1.packets");
  if (original && reply) {
    out.load_field(Opcode::ldx64, r3, r1, "nf_conn_acct", "counter.1.bytes");
    out.op(Opcode::add64_reg, r0, r3);
    out.load_field(Opcode::ldx64, r3, r1, "nf_conn_acct", "counter.1.packets");
    out.op(Opcode::add64_reg, r2, r3);
  }
  out.op(Opcode::div64_reg, r0, r2);
  out.bind(none);
}

// Of the connection that let this one expect.
void helper(Emitter& out, const PacketAccess& access, bool second) {
  const Label none = out.label();
  load_connection(out, access, none);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.load_field(Opcode::ldx64, r1, r1, "nf_conn", "master");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
  load_extension(out, "NF_CT_EXT_HELPER", none);
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  out.load_field(Opcode::ldx64, r1, r1, "nf_conn_help", "helper");
  out.jump_imm(Opcode::jeq64_imm, r1, 0, none);
  to_memory(out);
  out.add_field_offset(r1, "nf_conntrack_helper", "name");
  text(out, second, none);
  out.bind(none);
}

}  // namespace

void to_memory(Emitter& out) {
  out.op(Opcode::mov64_imm, r2, 0, 0, 0);
  out.call_kfunc("bpf_rdonly_cast");
  out.op(Opcode::mov64_reg, r1, r0);
}

void text(Emitter& out, bool second, Label done) {
  constexpr std::int16_t half = 8;
  constexpr std::int16_t longest = 15;
  out.op(Opcode::mov64_imm, r0, 0, 0, 0);
  for (std::int16_t at = 0; at < (second ? longest : half); ++at) {
    out.op(Opcode::ldx8, r3, r1, at);
    // On a copy that is not linked to it: what a checker learns would make states of each length.
    out.op(Opcode::mov64_reg, r4, r3);
    out.op(Opcode::lsh64_imm, r4, 0, 0, half);
    out.jump_imm(Opcode::jeq64_imm, r4, 0, done);
    if (second && at < half) continue;
    if (at % half != 0) out.op(Opcode::lsh64_imm, r3, 0, 0, 8 * (at % half));
    out.op(Opcode::or64_reg, r0, r3);
  }
}

void emit_packet_fact(Emitter& out, ContextKey key, const PacketAccess& access) {
  const auto tuple = [](int side, const char* name) {
    return "tuplehash." + std::to_string(side) + ".tuple." + name;
  };
  switch (key) {
    case ContextKey::cpu:
      return out.call_helper(static_cast<std::int32_t>(isa::Helper::get_smp_processor_id));
    case ContextKey::skuid:
      return owner(out, access, "fsuid");
    case ContextKey::skgid:
      return owner(out, access, "fsgid");
    case ContextKey::cgroup:
      return cgroup_class(out, access);
    case ContextKey::rtclassid:
      return route_class(out, access);
    case ContextKey::rtipsec:
      return route_ipsec(out, access);
    case ContextKey::gateway4:
      return gateway4(out, access);
    case ContextKey::has_gateway6:
      return has_gateway6(out, access);
    case ContextKey::gateway6_0:
      return gateway6(out, access, false);
    case ContextKey::gateway6_1:
      return gateway6(out, access, true);
    case ContextKey::ct_status:
      return member(out, access, Opcode::ldx32, "status");
    case ContextKey::ct_mark:
      return member(out, access, Opcode::ldx32, "mark");
    case ContextKey::ct_helper0:
      return helper(out, access, false);
    case ContextKey::ct_helper1:
      return helper(out, access, true);
    case ContextKey::ct_l3proto:
      return member(out, access, Opcode::ldx16, tuple(0, "src.l3num"));
    case ContextKey::ct_protocol:
      return member(out, access, Opcode::ldx8, tuple(0, "dst.protonum"));
    case ContextKey::ct_zone:
      return member(out, access, Opcode::ldx32, "zone");
    case ContextKey::ct_labels0:
      return labels(out, access, false);
    case ContextKey::ct_labels1:
      return labels(out, access, true);
    case ContextKey::ct_original_src0:
    case ContextKey::ct_original_src1:
      return address(out, access, tuple(0, "src.u3"), key == ContextKey::ct_original_src1);
    case ContextKey::ct_original_dst0:
    case ContextKey::ct_original_dst1:
      return address(out, access, tuple(0, "dst.u3"), key == ContextKey::ct_original_dst1);
    case ContextKey::ct_original_proto_src:
      return member(out, access, Opcode::ldx16, tuple(0, "src.u"));
    case ContextKey::ct_original_proto_dst:
      return member(out, access, Opcode::ldx16, tuple(0, "dst.u"));
    case ContextKey::ct_original_bytes:
      return account(out, access, "counter.0.bytes");
    case ContextKey::ct_original_packets:
      return account(out, access, "counter.0.packets");
    case ContextKey::ct_reply_src0:
    case ContextKey::ct_reply_src1:
      return address(out, access, tuple(1, "src.u3"), key == ContextKey::ct_reply_src1);
    case ContextKey::ct_reply_dst0:
    case ContextKey::ct_reply_dst1:
      return address(out, access, tuple(1, "dst.u3"), key == ContextKey::ct_reply_dst1);
    case ContextKey::ct_reply_proto_src:
      return member(out, access, Opcode::ldx16, tuple(1, "src.u"));
    case ContextKey::ct_reply_proto_dst:
      return member(out, access, Opcode::ldx16, tuple(1, "dst.u"));
    case ContextKey::ct_reply_bytes:
      return account(out, access, "counter.1.bytes");
    case ContextKey::ct_reply_packets:
      return account(out, access, "counter.1.packets");
    case ContextKey::ct_original_avgpkt:
      return average(out, access, true, false);
    case ContextKey::ct_reply_avgpkt:
      return average(out, access, false, true);
    case ContextKey::ct_avgpkt:
      return average(out, access, true, true);
    default:
      throw InvariantError("a context key that this hook's programs do not have");
  }
}

bool packet_fact_needs_scratch(ContextKey key) {
  switch (key) {
    case ContextKey::skuid:
    case ContextKey::skgid:
    case ContextKey::cgroup:
    case ContextKey::rtclassid:
    case ContextKey::rtipsec:
    case ContextKey::gateway4:
    case ContextKey::has_gateway6:
    case ContextKey::gateway6_0:
    case ContextKey::gateway6_1:
    case ContextKey::ct_helper0:
    case ContextKey::ct_helper1:
    case ContextKey::ct_labels0:
    case ContextKey::ct_labels1:
    case ContextKey::ct_original_bytes:
    case ContextKey::ct_original_packets:
    case ContextKey::ct_reply_bytes:
    case ContextKey::ct_reply_packets:
    case ContextKey::ct_original_avgpkt:
    case ContextKey::ct_reply_avgpkt:
    case ContextKey::ct_avgpkt:
      return true;
    default:
      return false;
  }
}

}  // namespace weir::backend::facts
