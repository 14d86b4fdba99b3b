// SPDX-License-Identifier: BSD-2-Clause
//
// Sockets of a cgroup, both directions (BPF_PROG_TYPE_CGROUP_SKB). Packets start at the network
// header (__cgroup_bpf_run_filter_skb() in kernel/bpf/cgroup.c) and have been through the IP stack:
// what comes in is reassembled and for a local socket, what goes out is past postrouting and not
// yet cut into fragments. IP packets alone come here, of both families.
//
// Before a packet comes to its socket, the stack forgets its connection (nf_reset_ct() in
// tcp_v4_rcv() and udp_queue_rcv_one_skb()); on the way out it is still there.
#include "backend/hooks/facts.h"
#include "backend/profile.h"

namespace weir::backend {

using flow::ContextKey;

namespace {

std::optional<ContextKey> at_both(imr::MetaKey key) {
  switch (key) {
    case imr::MetaKey::protocol:
      return ContextKey::protocol;
    case imr::MetaKey::mark:
      return ContextKey::mark;
    case imr::MetaKey::length:
      return ContextKey::length;
    case imr::MetaKey::pkttype:
      return ContextKey::pkttype;
    case imr::MetaKey::iif:
    case imr::MetaKey::oif:
    case imr::MetaKey::iifname:
    case imr::MetaKey::oifname:
    case imr::MetaKey::iiftype:
    case imr::MetaKey::l4proto:
    case imr::MetaKey::nfproto:
      return std::nullopt;
  }
  throw InvariantError("meta key out of range");
}

std::optional<ContextKey> at_ingress(imr::MetaKey key) {
  if (key == imr::MetaKey::iif) return ContextKey::iif;
  if (key == imr::MetaKey::iifname) return ContextKey::iifname0;
  if (key == imr::MetaKey::iiftype) return ContextKey::iiftype;
  return at_both(key);
}

std::optional<ContextKey> at_egress(imr::MetaKey key) {
  if (key == imr::MetaKey::oif) return ContextKey::oif;
  if (key == imr::MetaKey::oifname) return ContextKey::oifname0;
  return at_both(key);
}

constexpr Profile make(isa::Direction direction) {
  const bool ingress = direction == isa::Direction::ingress;
  Profile profile;
  profile.name = ingress ? "cgroup:ingress" : "cgroup:egress";
  profile.program_type = isa::ProgramType::cgroup_skb;
  profile.direction = direction;
  profile.accept = 1;
  profile.drop = 0;
  profile.start = Profile::Start::network;
  profile.context_key = ingress ? at_ingress : at_egress;
  profile.has_conntrack = !ingress;
  profile.writes_mark = true;
  profile.window_buffer = true;
  profile.emit_context = facts::emit_skb_context;
  profile.emit_window = facts::direct_window;
  return profile;
}

}  // namespace

const Profile cgroup_ingress_profile = make(isa::Direction::ingress);
const Profile cgroup_egress_profile = make(isa::Direction::egress);

}  // namespace weir::backend
