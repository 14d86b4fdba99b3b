// SPDX-License-Identifier: BSD-2-Clause
//
// Socket filters (BPF_PROG_TYPE_SOCKET_FILTER), for packet sockets: AF_PACKET, SOCK_RAW, whose
// packets start at the link header (packet_rcv() in net/packet/af_packet.c; without one on devices
// that have none, and on SOCK_DGRAM sockets). Other sockets run their filter when skb->data stands
// at the transport header: the network header then lies before the first byte that a program can
// read, and such packets count as not to be parsed. Packet bytes come by helper alone.
#include "backend/hooks/facts.h"
#include "backend/profile.h"

namespace weir::backend {

namespace {

// How much of the packet the socket gets: more than there is means all of it.
constexpr std::int32_t whole_packet = -1;

constexpr Profile make() {
  Profile profile;
  profile.name = "socket";
  profile.program_type = isa::ProgramType::socket_filter;
  profile.accept = whole_packet;
  profile.drop = 0;
  profile.start = Profile::Start::skb;
  // A packet socket sees both directions; skb->dev is the device where the packet was seen.
  profile.context_key = facts::skb_key_at_ingress;
  profile.needs_scratch = facts::packet_fact_needs_scratch;
  profile.window_buffer = true;
  profile.emit_context = facts::emit_skb_context;
  profile.emit_window = facts::helper_window;
  profile.emit_copy = facts::helper_copy;
  return profile;
}

}  // namespace

const Profile socket_profile = make();

}  // namespace weir::backend
