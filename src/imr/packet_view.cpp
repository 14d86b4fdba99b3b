// SPDX-License-Identifier: BSD-2-Clause
//
// Kernel sources followed here, all of Linux 6.18: include/net/netfilter/nf_tables_ipv4.h and
// nf_tables_ipv6.h, ipv6_find_hdr() in net/ipv6/exthdrs_core.c, nft_payload_eval() in
// net/netfilter/nft_payload.c, nft_payload_fast_eval() in net/netfilter/nf_tables_core.c.
#include "imr/packet_view.h"

namespace weir::imr {
namespace {

constexpr std::size_t ipv4_header_size = 20;
constexpr std::size_t ipv6_header_size = 40;
constexpr std::size_t ethernet_header_size = 14;
constexpr std::size_t vlan_tag_size = 4;

// Next header values that ipv6_ext_hdr() knows. ESP, mobility and the like count as transport.
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t authentication = 51;
constexpr std::uint8_t no_next_header = 59;
constexpr std::uint8_t destination_options = 60;

bool is_walked_header(std::uint8_t next) {
  return next == hop_by_hop || next == routing || next == fragment || next == authentication ||
         next == destination_options;
}

std::size_t big_endian_16(ByteView bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes[at] << 8 | bytes[at + 1]);
}

// struct nft_pktinfo has 16 bits for it.
constexpr std::size_t max_transport_offset = 65535;

// nft_set_pktinfo_ipv4(): neither version nor lengths are looked at, the stack has done so.
void find_ipv4_transport(PacketView& view) {
  if (view.network.size() < ipv4_header_size) return;
  view.has_transport = true;
  view.l4proto = view.network[9];
  view.transport_offset = (view.network[0] & 0x0fU) * 4;
  view.later_fragment = (big_endian_16(view.network, 6) & 0x1fff) != 0;
}

// ipv6_find_hdr(skb, &thoff, -1, &fragoff, IP6_FH_F_AUTH), step by step. Only the bytes that are
// there count; the payload length is not consulted.
void find_ipv6_transport(PacketView& view) {
  const ByteView bytes = view.network;
  if (bytes.size() < ipv6_header_size) return;
  const auto holds = [&](std::size_t at, std::size_t length) {
    return at + length <= bytes.size();
  };
  std::uint8_t next = bytes[6];
  std::size_t at = ipv6_header_size;
  while (is_walked_header(next)) {
    if (!holds(at, 2)) return;
    if (next == authentication) break;  // IP6_FH_F_AUTH: it is the last header
    const std::uint8_t following = bytes[at];
    std::size_t size = (bytes[at + 1] + 1U) * 8;
    if (next == routing && !holds(at, 4)) return;
    if (next == fragment) {
      if (!holds(at + 2, 2)) return;
      if ((big_endian_16(bytes, at + 2) & 0xfff8) != 0) {
        // A later fragment: its protocol is known if no further extension header would follow, and
        // the transport offset keeps the 0 that it began with.
        if (is_walked_header(following)) return;
        view.has_transport = true;
        view.l4proto = following;
        view.transport_offset = 0;
        view.later_fragment = true;
        return;
      }
      size = 8;
    }
    next = following;
    at += size;
  }
  if (at > max_transport_offset) return;
  view.has_transport = true;
  view.l4proto = next;
  view.transport_offset = at;
}

// nft_set_pktinfo_ipv4_validate(), nft_set_pktinfo_ipv6_validate().
bool is_valid(const PacketView& view, Nfproto nfproto) {
  const ByteView bytes = view.network;
  if (nfproto == Nfproto::ipv4) {
    if (bytes.size() < ipv4_header_size) return false;
    const std::size_t header_size = (bytes[0] & 0x0fU) * 4;
    const std::size_t total = big_endian_16(bytes, 2);
    return bytes[0] >> 4 == 4 && header_size >= ipv4_header_size && total <= bytes.size() &&
           total >= header_size;
  }
  if (bytes.size() < ipv6_header_size) return false;
  return bytes[0] >> 4 == 6 && big_endian_16(bytes, 4) + ipv6_header_size <= bytes.size() &&
         view.has_transport;
}

}  // namespace

std::optional<Bytes> PacketView::load(const Payload& place) const {
  ByteView from;
  std::size_t at = place.offset;
  switch (place.base) {
    case HeaderBase::link:
      // skb_mac_header_was_set() and a length. A load may run on into the network header.
      if (link_size == 0) return std::nullopt;
      from = frame;
      break;
    case HeaderBase::network:
      from = network;
      break;
    case HeaderBase::transport:
      if (!has_transport) return std::nullopt;
      if (later_fragment && !(short_loads_in_later_fragments && place.in_later_fragments)) {
        return std::nullopt;
      }
      from = network;
      at += transport_offset;
      break;
  }
  if (at + place.length > from.size()) return std::nullopt;
  const ByteView found = from.subspan(at, place.length);
  return Bytes(found.begin(), found.end());
}

PacketView view_at_netfilter(const packet::Packet& packet, Nfproto nfproto) {
  invariant(packet.network_offset <= packet.bytes.size(), "network header beyond the packet");
  PacketView view;
  view.frame = packet.bytes;
  view.link_size = packet.network_offset;
  view.network = packet.network();
  view.counted_bytes = view.network.size();  // skb->len: the data start at the network header
  view.short_loads_in_later_fragments = true;
  if (nfproto == Nfproto::ipv4) {
    find_ipv4_transport(view);
  } else {
    find_ipv6_transport(view);
  }
  return view;
}

FrameView view_at_xdp(const packet::Packet& packet, Nfproto nfproto) {
  const ByteView frame = packet.bytes;
  FrameView out;
  if (frame.size() < ethernet_header_size) return out;
  std::size_t network = ethernet_header_size;
  std::size_t ethertype = big_endian_16(frame, 12);
  for (int tag = 0; tag < 2 && (ethertype == 0x8100 || ethertype == 0x88a8); ++tag) {
    if (frame.size() < network + vlan_tag_size) return out;
    ethertype = big_endian_16(frame, network + 2);
    network += vlan_tag_size;
  }
  if (ethertype != (nfproto == Nfproto::ipv4 ? 0x0800U : 0x86ddU)) return out;

  out.view.frame = frame;
  out.view.link_size = network;
  out.view.network = frame.subspan(network);
  out.view.counted_bytes = frame.size();
  if (nfproto == Nfproto::ipv4) {
    find_ipv4_transport(out.view);
  } else {
    find_ipv6_transport(out.view);
  }
  out.kind = is_valid(out.view, nfproto) ? FrameView::Kind::parsed : FrameView::Kind::unparsable;
  return out;
}

}  // namespace weir::imr
