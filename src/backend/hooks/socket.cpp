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

using flow::ContextKey;

namespace {

// How much of the packet the socket gets: more than there is means all of it.
constexpr std::int32_t whole_packet = -1;

// A packet socket sees both directions; skb->dev is the device where it was seen.
std::optional<ContextKey> context_key(imr::MetaKey key) {
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
      return ContextKey::iif;
    case imr::MetaKey::iifname:
      return ContextKey::iifname0;
    case imr::MetaKey::iiftype:
      return ContextKey::iiftype;
    case imr::MetaKey::oif:
    case imr::MetaKey::oifname:
    case imr::MetaKey::l4proto:
    case imr::MetaKey::nfproto:
      return std::nullopt;
  }
  throw InvariantError("meta key out of range");
}

constexpr Profile make() {
  Profile profile;
  profile.name = "socket";
  profile.program_type = isa::ProgramType::socket_filter;
  profile.accept = whole_packet;
  profile.drop = 0;
  profile.start = Profile::Start::skb;
  profile.context_key = context_key;
  profile.window_buffer = true;
  profile.emit_context = facts::emit_skb_context;
  profile.emit_window = facts::helper_window;
  return profile;
}

}  // namespace

const Profile socket_profile = make();

}  // namespace weir::backend
