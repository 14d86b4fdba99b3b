// SPDX-License-Identifier: BSD-2-Clause
#include "engine/layout.h"

#include <array>
#include <cstddef>

#include "base/error.h"

namespace weir::engine {
namespace {

using namespace kernel_structs;

#define WEIR_MEMBER(text, member_kind, type, field)                                   \
  Member {                                                                            \
    .name = (text), .kind = MemberKind::member_kind, .offset = offsetof(type, field), \
    .size = sizeof(type::field), .real_offset = offsetof(type, field),                \
    .real_size = sizeof(type::field)                                                  \
  }
#define WEIR_POINTER(text, member_kind, type, field, target_structure)                \
  Member {                                                                            \
    .name = (text), .kind = MemberKind::member_kind, .offset = offsetof(type, field), \
    .size = sizeof(type::field), .target = StructureId::target_structure,             \
    .real_offset = offsetof(type, field), .real_size = sizeof(type::field)            \
  }
#define WEIR_AT(text, member_kind, at, bytes, type, field)                            \
  Member {                                                                            \
    .name = (text), .kind = MemberKind::member_kind, .offset = (at), .size = (bytes), \
    .real_offset = offsetof(type, field), .real_size = sizeof(type::field)            \
  }

// Members that are pointers are meant to have a pointer's size.
// NOLINTBEGIN(bugprone-sizeof-expression)

// struct xdp_md in linux/bpf.h.
constexpr std::array xdp_members = {
    WEIR_AT("data", packet, 0, 4, XdpBuff, data),
    WEIR_AT("data_end", packet_end, 4, 4, XdpBuff, data_end),
    WEIR_AT("data_meta", scalar, 8, 4, XdpBuff, data_meta),
    WEIR_AT("ingress_ifindex", scalar, 12, 4, XdpBuff, ingress_ifindex),
    WEIR_AT("rx_queue_index", scalar, 16, 4, XdpBuff, rx_queue_index),
};

// struct __sk_buff in linux/bpf.h. Who may load and store what: sk_filter_is_valid_access(),
// cg_skb_is_valid_access() and tc_cls_act_is_valid_access() in net/core/filter.c. Members that weir
// has no use for are not there.
constexpr std::uint32_t by_tc = bit_of(isa::ProgramType::sched_cls);
constexpr std::uint32_t by_cgroup = bit_of(isa::ProgramType::cgroup_skb);
constexpr std::uint32_t by_socket = bit_of(isa::ProgramType::socket_filter);
constexpr std::uint32_t by_all = by_tc | by_cgroup | by_socket;
constexpr std::uint32_t by_none = 0;

#define WEIR_VIEW(text, member_kind, at, field, who_loads, who_stores)          \
  Member {                                                                      \
    .name = (text), .kind = MemberKind::member_kind, .offset = (at), .size = 4, \
    .real_offset = offsetof(SkBuff, field), .real_size = sizeof(SkBuff::field), \
    .readers = (who_loads), .writers = (who_stores)                             \
  }

constexpr std::array view_members = {
    WEIR_VIEW("len", scalar, 0, len, by_all, by_none),
    WEIR_VIEW("pkt_type", scalar, 4, pkt_type_bits, by_all, by_none),
    WEIR_VIEW("mark", scalar, 8, mark, by_all, by_tc | by_cgroup),
    WEIR_VIEW("protocol", scalar, 16, protocol, by_all, by_none),
    WEIR_VIEW("vlan_present", scalar, 20, vlan_present, by_all, by_none),
    WEIR_VIEW("vlan_tci", scalar, 24, vlan_tci, by_all, by_none),
    WEIR_VIEW("vlan_proto", scalar, 28, vlan_proto, by_all, by_none),
    WEIR_VIEW("priority", scalar, 32, priority, by_all, by_tc | by_cgroup),
    WEIR_VIEW("ingress_ifindex", scalar, 36, skb_iif, by_all, by_none),
    WEIR_VIEW("ifindex", scalar, 40, dev_ifindex, by_all, by_none),
    WEIR_VIEW("cb[0]", scalar, 48, cb[0], by_all, by_all),
    WEIR_VIEW("cb[1]", scalar, 52, cb[1], by_all, by_all),
    WEIR_VIEW("cb[2]", scalar, 56, cb[2], by_all, by_all),
    WEIR_VIEW("cb[3]", scalar, 60, cb[3], by_all, by_all),
    WEIR_VIEW("cb[4]", scalar, 64, cb[4], by_all, by_all),
    WEIR_VIEW("hash", scalar, 68, hash, by_all, by_none),
    WEIR_VIEW("data", packet, 76, data, by_tc | by_cgroup, by_none),
    WEIR_VIEW("data_end", packet_end, 80, data_end, by_tc | by_cgroup, by_none),
};

#undef WEIR_VIEW

// struct bpf_nf_ctx in linux/netfilter.h. The offsets are those of the kernel.
constexpr std::array netfilter_members = {
    WEIR_POINTER("state", pointer, NetfilterContext, state, nf_hook_state),
    WEIR_POINTER("skb", pointer, NetfilterContext, skb, sk_buff),
};

constexpr std::array state_members = {
    WEIR_MEMBER("hook", scalar, HookState, hook),
    WEIR_MEMBER("pf", scalar, HookState, pf),
    WEIR_POINTER("in", probed_pointer, HookState, in, net_device),
    WEIR_POINTER("out", probed_pointer, HookState, out, net_device),
    WEIR_MEMBER("net", scalar, HookState, net),
};

constexpr std::array skb_members = {
    WEIR_MEMBER("len", scalar, SkBuff, len),
    WEIR_MEMBER("data_len", scalar, SkBuff, data_len),
    WEIR_MEMBER("_nfct", scalar, SkBuff, nfct),
    WEIR_MEMBER("pkt_type", scalar, SkBuff, pkt_type_bits),
    WEIR_MEMBER("protocol", scalar, SkBuff, protocol),
    WEIR_MEMBER("network_header", scalar, SkBuff, network_header),
    WEIR_MEMBER("mac_header", scalar, SkBuff, mac_header),
    WEIR_MEMBER("mac_len", scalar, SkBuff, mac_len),
    WEIR_MEMBER("mark", scalar, SkBuff, mark),
    WEIR_MEMBER("priority", scalar, SkBuff, priority),
    WEIR_MEMBER("hash", scalar, SkBuff, hash),
    WEIR_MEMBER("skb_iif", scalar, SkBuff, skb_iif),
    WEIR_MEMBER("vlan_proto", scalar, SkBuff, vlan_proto),
    WEIR_MEMBER("vlan_tci", scalar, SkBuff, vlan_tci),
    WEIR_MEMBER("_skb_refdst", scalar, SkBuff, refdst),
    WEIR_MEMBER("sk", scalar, SkBuff, sk),
    WEIR_POINTER("dev", probed_pointer, SkBuff, dev, net_device),
    WEIR_MEMBER("head", scalar, SkBuff, head),
    WEIR_MEMBER("data", scalar, SkBuff, data),
};

constexpr std::array device_members = {
    WEIR_MEMBER("name", bytes, NetDevice, name),
    WEIR_MEMBER("ifindex", scalar, NetDevice, ifindex),
    WEIR_MEMBER("type", scalar, NetDevice, type),
    WEIR_MEMBER("group", scalar, NetDevice, group),
    WEIR_POINTER("rtnl_link_ops", probed_pointer, NetDevice, rtnl_link_ops, rtnl_link_ops),
    WEIR_POINTER("nd_net.net", probed_pointer, NetDevice, net, net),
};

constexpr std::array link_ops_members = {
    WEIR_MEMBER("kind", scalar, LinkOps, kind),
};

constexpr std::array task_members = {
    WEIR_POINTER("dl.dl_timer.base", probed_pointer, Task, timer_base, hrtimer_clock_base),
};

constexpr std::array clock_members = {
    WEIR_POINTER("cpu_base", probed_pointer, ClockBase, cpu_base, hrtimer_cpu_base),
};

constexpr std::array clocks_members = {
    WEIR_MEMBER("clock_base.1.offset", scalar, CpuClocks, real_offset),
};

constexpr std::array net_members = {
    WEIR_MEMBER("net_cookie", scalar, Net, cookie),
    WEIR_MEMBER("ipv4.sysctl_ip_default_ttl", scalar, Net, ip_ttl),
    WEIR_POINTER("ipv6.devconf_all", probed_pointer, Net, devconf, ipv6_devconf),
};

constexpr std::array devconf_members = {
    WEIR_MEMBER("hop_limit", scalar, Ipv6Devconf, hop_limit),
};

constexpr std::array sock_members = {
    WEIR_MEMBER("__sk_common.skc_state", scalar, Sock, state),
    WEIR_MEMBER("__sk_common.skc_net.net", scalar, Sock, net),
    WEIR_MEMBER("sk_socket", scalar, Sock, socket),
    WEIR_MEMBER("sk_cgrp_data.classid", scalar, Sock, classid),
};

constexpr std::array request_members = {
    WEIR_MEMBER("__req_common.skc_listener", scalar, Sock, listener),
};

constexpr std::array socket_members = {
    WEIR_MEMBER("file", scalar, Socket, file),
};

constexpr std::array file_members = {
    WEIR_MEMBER("f_cred", scalar, File, cred),
};

constexpr std::array cred_members = {
    WEIR_MEMBER("fsuid", scalar, Cred, fsuid),
    WEIR_MEMBER("fsgid", scalar, Cred, fsgid),
};

constexpr std::array dst_members = {
    WEIR_MEMBER("tclassid", scalar, DstEntry, tclassid),
    WEIR_MEMBER("xfrm", scalar, DstEntry, xfrm),
};

constexpr std::array route_members = {
    WEIR_MEMBER("rt_gw_family", scalar, Route, gateway_family),
    WEIR_MEMBER("rt_gw4", bytes, Route, gateway),
};

constexpr std::array route6_members = {
    WEIR_MEMBER("rt6i_dst.addr", bytes, Route, destination6),
    WEIR_MEMBER("rt6i_gateway", bytes, Route, gateway6),
    WEIR_MEMBER("rt6i_flags", scalar, Route, flags6),
};

// Members within members have the names of their paths.
#define WEIR_TUPLE(text, number, field)                                     \
  Member {                                                                  \
    .name = "tuplehash." #number ".tuple." text, .kind = MemberKind::bytes, \
    .offset = offsetof(Conn, tuples) + number * sizeof(ConntrackTuple) +    \
              offsetof(ConntrackTuple, field),                              \
    .size = sizeof(ConntrackTuple::field)                                   \
  }

constexpr std::array connection_members = {
    WEIR_MEMBER("status", scalar, Conn, status),
    WEIR_MEMBER("mark", scalar, Conn, mark),
    WEIR_MEMBER("zone", scalar, Conn, zone),
    WEIR_MEMBER("master", scalar, Conn, master),
    WEIR_MEMBER("ext", scalar, Conn, ext),
    WEIR_TUPLE("src.u3", 0, src_u3),
    WEIR_TUPLE("src.u", 0, src_u),
    WEIR_TUPLE("src.l3num", 0, l3num),
    WEIR_TUPLE("dst.u3", 0, dst_u3),
    WEIR_TUPLE("dst.u", 0, dst_u),
    WEIR_TUPLE("dst.protonum", 0, protonum),
    WEIR_TUPLE("src.u3", 1, src_u3),
    WEIR_TUPLE("src.u", 1, src_u),
    WEIR_TUPLE("dst.u3", 1, dst_u3),
    WEIR_TUPLE("dst.u", 1, dst_u),
};

constexpr std::array extension_members = {
    WEIR_MEMBER("offset.NF_CT_EXT_HELPER", scalar, CtExtensions, helper_offset),
    WEIR_MEMBER("offset.NF_CT_EXT_ACCT", scalar, CtExtensions, acct_offset),
    WEIR_MEMBER("offset.NF_CT_EXT_LABELS", scalar, CtExtensions, labels_offset),
};

constexpr std::array account_members = {
    WEIR_MEMBER("counter.0.packets", scalar, ConnAcct, original_packets),
    WEIR_MEMBER("counter.0.bytes", scalar, ConnAcct, original_bytes),
    WEIR_MEMBER("counter.1.packets", scalar, ConnAcct, reply_packets),
    WEIR_MEMBER("counter.1.bytes", scalar, ConnAcct, reply_bytes),
};

constexpr std::array label_members = {
    WEIR_MEMBER("bits", bytes, ConnLabels, bits),
};

constexpr std::array help_members = {
    WEIR_MEMBER("helper", scalar, ConnHelp, helper),
};

constexpr std::array helper_members = {
    WEIR_MEMBER("name", bytes, ConntrackHelper, name),
};

constexpr std::array buff_members = {
    WEIR_MEMBER("data", scalar, XdpBuff, data),
    WEIR_MEMBER("data_end", scalar, XdpBuff, data_end),
    WEIR_MEMBER("data_hard_start", scalar, XdpBuff, data_hard_start),
    WEIR_POINTER("rxq", probed_pointer, XdpBuff, rxq, xdp_rxq_info),
};

constexpr std::array queue_members = {
    WEIR_POINTER("dev", probed_pointer, XdpReceiveQueue, dev, net_device),
    WEIR_MEMBER("queue_index", scalar, XdpReceiveQueue, queue_index),
};

// NOLINTEND(bugprone-sizeof-expression)

#undef WEIR_TUPLE
#undef WEIR_MEMBER
#undef WEIR_POINTER
#undef WEIR_AT

// In the order of StructureId.
constexpr std::array structures = {
    Structure{"xdp_md", xdp_members},
    Structure{"bpf_nf_ctx", netfilter_members},
    Structure{"nf_hook_state", state_members},
    Structure{"sk_buff", skb_members},
    Structure{"net_device", device_members},
    Structure{"__sk_buff", view_members},
    Structure{"xdp_buff", buff_members},
    Structure{"xdp_rxq_info", queue_members},
    Structure{"rtnl_link_ops", link_ops_members},
    Structure{"task_struct", task_members},
    Structure{"hrtimer_clock_base", clock_members},
    Structure{"hrtimer_cpu_base", clocks_members},
    Structure{"net", net_members},
    Structure{"sock", sock_members},
    Structure{"request_sock", request_members},
    Structure{"socket", socket_members},
    Structure{"file", file_members},
    Structure{"cred", cred_members},
    Structure{"dst_entry", dst_members},
    Structure{"rtable", route_members},
    Structure{"rt6_info", route6_members},
    Structure{"nf_conn", connection_members},
    Structure{"nf_ct_ext", extension_members},
    Structure{"nf_conn_acct", account_members},
    Structure{"nf_conn_labels", label_members},
    Structure{"nf_conn_help", help_members},
    Structure{"nf_conntrack_helper", helper_members},
    Structure{"ipv6_devconf", devconf_members},
};

}  // namespace

const Structure& structure(StructureId id) {
  return structures[static_cast<std::size_t>(id)];
}

const Member* member_at(StructureId id, std::int64_t offset, std::uint32_t size) {
  for (const Member& member : structure(id).members) {
    if (offset >= member.offset && offset + size <= std::int64_t{member.offset} + member.size) {
      return &member;
    }
  }
  return nullptr;
}

std::optional<std::int64_t> field_offset(const isa::FieldOffset& field) {
  for (const Structure& candidate : structures) {
    if (candidate.name != field.structure) continue;
    for (const Member& member : candidate.members) {
      if (member.name == field.member) return std::int64_t{member.offset} + field.addend;
    }
  }
  return std::nullopt;
}

StructureId context_of(isa::ProgramType type) {
  switch (type) {
    case isa::ProgramType::xdp:
      return StructureId::xdp_md;
    case isa::ProgramType::netfilter:
      return StructureId::bpf_nf_ctx;
    case isa::ProgramType::socket_filter:
    case isa::ProgramType::sched_cls:
    case isa::ProgramType::cgroup_skb:
      return StructureId::sk_buff_view;
  }
  throw InvariantError("a program type without a context");
}

bool runs_on_skb(isa::ProgramType type) {
  return context_of(type) == StructureId::sk_buff_view;
}

std::optional<StructureId> kernel_context_of(isa::ProgramType type) {
  if (runs_on_skb(type)) return StructureId::sk_buff;
  if (type == isa::ProgramType::xdp) return StructureId::xdp_buff;
  return std::nullopt;
}

}  // namespace weir::engine
