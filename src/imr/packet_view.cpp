// SPDX-License-Identifier: BSD-2-Clause
//
// Kernel sources followed here, all of Linux 6.18: include/net/netfilter/nf_tables_ipv4.h and
// nf_tables_ipv6.h, ipv6_find_hdr() in net/ipv6/exthdrs_core.c, nft_payload_eval() in
// net/netfilter/nft_payload.c, nft_payload_fast_eval() in net/netfilter/nf_tables_core.c,
// net/netfilter/nft_chain_filter.c, skb_vlan_untag() in net/core/skbuff.c.
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
  view.transport_offset =
      view.data.size() - view.network.size() + std::size_t{view.network[0] & 0x0fU} * 4;
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
        // the transport offset keeps the 0 that it began with, which is skb->data.
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
  at += view.data.size() - bytes.size();
  if (at > max_transport_offset) return;
  view.has_transport = true;
  view.l4proto = next;
  view.transport_offset = at;
}

void find_transport(PacketView& view, Nfproto nfproto) {
  switch (nfproto) {
    case Nfproto::ipv4:
      return find_ipv4_transport(view);
    case Nfproto::ipv6:
      return find_ipv6_transport(view);
    case Nfproto::other:
      return;
  }
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

bool is_vlan_tag(std::size_t ethertype) {
  return ethertype == 0x8100 || ethertype == 0x88a8;
}

// skb->protocol of what stands at `at`: lengths of IEEE 802.3 frames become ETH_P_802_2, or
// ETH_P_802_3 before 0xffff (eth_type_trans(), vlan_set_encap_proto()).
std::uint16_t protocol_at(ByteView frame, std::size_t at) {
  const std::size_t type = big_endian_16(frame, at);
  if (type >= 0x0600) return static_cast<std::uint16_t>(type);
  const bool novell = at + 4 <= frame.size() && big_endian_16(frame, at + 2) == 0xffff;
  return novell ? 0x0001 : 0x0004;
}

// nft_payload_copy_vlan(): the tag goes back where it was, and behind it comes skb->protocol.
Bytes with_tag(ByteView frame, const packet::HwaccelTag& tag, std::uint16_t protocol) {
  Bytes out(frame.begin(), frame.begin() + 12);
  for (const std::uint16_t half : {tag.protocol, tag.tci, protocol}) {
    out.push_back(static_cast<std::uint8_t>(half >> 8));
    out.push_back(static_cast<std::uint8_t>(half));
  }
  out.insert(out.end(), frame.begin() + ethernet_header_size, frame.end());
  return out;
}

// Finds the network header behind the tags that the reading skips; false where the frame is cut.
bool find_network(PacketView& view, const packet::Packet& packet, Reading reading, bool at_xdp) {
  view.frame = packet.bytes;
  if (view.frame.size() < ethernet_header_size) return false;
  const bool one_tag = reading == Reading::netdev || reading == Reading::ingress;
  // At TC the outer tag is in metadata: one in the bytes is a second one.
  int tags = one_tag ? (at_xdp ? 1 : 0) : 2;
  if (packet.vlan && !one_tag) --tags;
  std::size_t at = ethernet_header_size - 2;
  for (; tags > 0 && is_vlan_tag(big_endian_16(view.frame, at)); --tags) {
    at += vlan_tag_size;
    if (view.frame.size() < at + 2) return false;
  }
  view.protocol = protocol_at(view.frame, at);
  view.link_size = at + 2;
  view.network = view.frame.subspan(view.link_size);
  if (packet.vlan) {
    const std::uint16_t behind = protocol_at(view.frame, ethernet_header_size - 2);
    view.retagged = with_tag(view.frame, *packet.vlan, behind);
  }
  return true;
}

// The unit that nft_do_chain_netdev() would take the packet for.
Nfproto nfproto_of(std::uint16_t protocol) {
  if (protocol == 0x0800) return Nfproto::ipv4;
  if (protocol == 0x86dd) return Nfproto::ipv6;
  return Nfproto::other;
}

}  // namespace

std::optional<std::size_t> PacketView::find_inner() const {
  constexpr std::size_t udp_header_size = 8;
  constexpr std::size_t tcp_header_size = 20;
  constexpr std::size_t gre_base_size = 4;
  if (!has_transport || later_fragment) return std::nullopt;
  std::size_t size = 0;
  switch (l4proto) {
    case 17:
      size = udp_header_size;
      break;
    case 6:
      // As long as it says, be that less than a header has.
      if (transport_offset + tcp_header_size > data.size()) return std::nullopt;
      size = std::size_t{data[transport_offset + 12]} / 16 * 4;
      break;
    case 47: {
      if (transport_offset + gre_base_size > data.size()) return std::nullopt;
      const std::size_t flags = big_endian_16(data, transport_offset);
      const bool routing = (flags & 0x4000) != 0;
      const std::size_t version = flags & 0x0007;
      if (routing || version != 0) return std::nullopt;
      size = gre_base_size;
      // Checksum, key and sequence number have 4 bytes each.
      for (const std::size_t flag : {0x8000, 0x2000, 0x1000}) size += (flags & flag) != 0 ? 4 : 0;
      break;
    }
    case 4:
      break;
    default:
      return std::nullopt;
  }
  // struct nft_pktinfo has 16 bits for it, too.
  return static_cast<std::uint16_t>(transport_offset + size);
}

std::optional<Bytes> PacketView::load(const Payload& place) const {
  ByteView from;
  std::size_t at = place.offset;
  switch (place.base) {
    case HeaderBase::link:
      // skb_mac_header_was_set() and a length. A load may run on into the network header.
      if (link_size == 0) return std::nullopt;
      from = retagged ? ByteView(*retagged) : frame;
      break;
    case HeaderBase::network:
      from = network;
      break;
    case HeaderBase::transport:
      if (!has_transport) return std::nullopt;
      if (later_fragment && !(short_loads_in_later_fragments && place.in_later_fragments)) {
        return std::nullopt;
      }
      from = data;
      at += transport_offset;
      break;
    case HeaderBase::inner: {
      const auto inner = find_inner();
      if (!inner) return std::nullopt;
      from = data;
      at += *inner;
      break;
    }
  }
  if (at + place.length > from.size()) return std::nullopt;
  const ByteView found = from.subspan(at, place.length);
  return Bytes(found.begin(), found.end());
}

PacketView view_of_stack(const Unit& unit, const packet::Packet& packet) {
  invariant(packet.network_offset <= packet.bytes.size(), "network header beyond the packet");
  PacketView view;
  view.frame = packet.bytes;
  view.link_size = packet.network_offset;
  view.network = view.data = packet.network();
  view.protocol = unit.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd;
  view.counted_bytes = view.network.size();  // skb->len: the data start at the network header
  view.short_loads_in_later_fragments = has_nf_tables_quirks(unit);
  find_transport(view, unit.nfproto);
  return view;
}

FrameView view_of_frame(const Unit& unit, const packet::Packet& packet) {
  using Kind = FrameView::Kind;
  const Reading reading = reading_of(unit);
  FrameView out;
  PacketView& view = out.view;
  if (!find_network(view, packet, reading, unit.hook.kind == Hook::Kind::xdp)) return out;
  view.data = counts_link_header(unit) ? view.frame : view.network;
  view.counted_bytes = view.data.size();
  view.short_loads_in_later_fragments = has_nf_tables_quirks(unit);
  // An ARP packet that goes out has no link header yet (skb_mac_header_was_set()).
  if (reading == Reading::arp && unit.hook.kind == Hook::Kind::tc_egress) view.link_size = 0;

  const Nfproto claimed = nfproto_of(view.protocol);
  if (reading == Reading::arp) {
    out.kind = view.protocol == 0x0806 ? Kind::parsed : Kind::not_seen;
    return out;
  }
  find_transport(view, claimed);
  const bool valid = claimed == Nfproto::other || is_valid(view, claimed);
  if (reading == Reading::netdev) {
    // nft_set_pktinfo_unspec() for what cannot be parsed.
    if (!valid) {
      view.has_transport = false;
      view.later_fragment = false;
    }
    out.kind = (valid ? claimed : Nfproto::other) == unit.nfproto ? Kind::parsed : Kind::not_seen;
    return out;
  }
  if (claimed != unit.nfproto) return out;
  out.kind = valid ? Kind::parsed : reading == Reading::ingress ? Kind::refused : Kind::unparsable;
  return out;
}

}  // namespace weir::imr
