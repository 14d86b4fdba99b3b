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

namespace {

constexpr Profile make(isa::Direction direction) {
  const bool ingress = direction == isa::Direction::ingress;
  Profile profile;
  profile.name = ingress ? "cgroup:ingress" : "cgroup:egress";
  profile.program_type = isa::ProgramType::cgroup_skb;
  profile.direction = direction;
  profile.accept = 1;
  profile.drop = 0;
  profile.start = Profile::Start::network;
  profile.context_key = ingress ? facts::skb_key_at_ingress : facts::skb_key_at_egress;
  profile.has_conntrack = !ingress;
  // At ingress skb->sk is the socket that the packet comes to, of which chains know only sometimes.
  profile.has_socket = !ingress;
  profile.needs_scratch = facts::packet_fact_needs_scratch;
  profile.writes_mark = true;
  profile.writes_priority = true;
  profile.window_buffer = true;
  profile.emit_context = facts::emit_skb_context;
  profile.emit_window = facts::direct_window;
  profile.emit_copy = facts::helper_copy;
  return profile;
}

}  // namespace

const Profile cgroup_ingress_profile = make(isa::Direction::ingress);
const Profile cgroup_egress_profile = make(isa::Direction::egress);

}  // namespace weir::backend
