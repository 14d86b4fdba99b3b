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
#include "backend/hooks/facts.h"
#include "backend/profile.h"

namespace weir::backend {

namespace {

// TC_ACT_UNSPEC, the same number as TCX_NEXT: the next program decides, the rest of the classifiers
// with legacy tc. TC_ACT_OK would end them. TC_ACT_SHOT drops in both.
constexpr std::int32_t tc_act_unspec = -1;
constexpr std::int32_t tc_act_shot = 2;

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
  return profile;
}

}  // namespace

const Profile tc_ingress_profile = make(isa::Direction::ingress);
const Profile tc_egress_profile = make(isa::Direction::egress);

}  // namespace weir::backend
