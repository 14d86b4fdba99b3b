// SPDX-License-Identifier: BSD-2-Clause
#include "imr/answer.h"

#include <algorithm>
#include <array>

#include "imr/reading.h"

namespace weir::imr {
namespace {

constexpr std::uint8_t proto_icmp = 1;
constexpr std::uint8_t proto_tcp = 6;
constexpr std::uint8_t proto_udp = 17;
constexpr std::uint8_t proto_icmpv6 = 58;
constexpr std::size_t ipv4_header = 20;
constexpr std::size_t ipv6_header = 40;
constexpr std::size_t tcp_header = 20;
constexpr std::size_t addresses = 12;  // of a link header, bytes
constexpr std::size_t most_of_ipv4 = 536;
constexpr std::size_t most_of_ipv6 = 1220;

std::uint64_t word(ByteView bytes, std::size_t at, std::size_t size = 2) {
  return load_big_endian(bytes.subspan(at, size));
}

void put(Bytes& out, std::uint64_t value, std::size_t size) {
  const Bytes bytes = big_endian_bytes(value, size);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void set_word(Bytes& out, std::size_t at, std::uint64_t value) {
  std::ranges::copy(big_endian_bytes(value, 2), out.begin() + static_cast<std::ptrdiff_t>(at));
}

// The sum of RFC 1071 over the bytes, added to `sum`; not complemented.
std::uint32_t sum_of(ByteView bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

// What a packet is to who answers it: its headers, and how much of it there is.
struct Heard {
  ByteView packet;  // from the network header on
  std::size_t transport = 0;
  std::uint8_t protocol = 0;
  bool is_ipv6 = false;
  bool routed = false;      // of chains that answer through the kernel's routes
  bool fragmented = false;  // IPv6: whether a fragment header says anything

  [[nodiscard]] std::uint8_t type_of_icmp() const { return packet[transport]; }
  [[nodiscard]] bool is_icmp() const {
    return protocol == (is_ipv6 ? proto_icmpv6 : proto_icmp) && transport < packet.size();
  }
  [[nodiscard]] ByteView source() const {
    return is_ipv6 ? packet.subspan(8, 16) : packet.subspan(12, 4);
  }
  [[nodiscard]] ByteView destination() const {
    return is_ipv6 ? packet.subspan(24, 16) : packet.subspan(16, 4);
  }
};

// The sum over the pseudo header of `size` bytes of the protocol (RFC 9293, 8200).
std::uint32_t pseudo_sum(const Heard& heard, std::uint8_t protocol, std::size_t size) {
  Bytes rest;
  put(rest, size, 4);
  put(rest, protocol, 4);
  return sum_of(rest, sum_of(heard.destination(), sum_of(heard.source())));
}

// nf_reject_iphdr_validate()
std::optional<Heard> hear_ipv4(ByteView packet, bool routed) {
  if (packet.size() < ipv4_header || packet[0] >> 4 != 4) return std::nullopt;
  const std::size_t header = (packet[0] & 15U) * 4U;
  const std::size_t total = word(packet, 2);
  if (header < ipv4_header || total > packet.size() || total < header) return std::nullopt;
  if ((word(packet, 6) & 0x1fff) != 0) return std::nullopt;
  return Heard{.packet = routed ? packet.first(total) : packet,
               .transport = header,
               .protocol = packet[9],
               .routed = routed};
}

// nf_reject_ip6hdr_validate(), and ipv6_skip_exthdr() in net/ipv6/exthdrs_core.c.
std::optional<Heard> hear_ipv6(ByteView packet, bool routed) {
  constexpr std::uint8_t hop_by_hop = 0;
  constexpr std::uint8_t routing = 43;
  constexpr std::uint8_t fragment = 44;
  constexpr std::uint8_t authentication = 51;
  constexpr std::uint8_t none = 59;
  constexpr std::uint8_t destination = 60;
  if (packet.size() < ipv6_header || packet[0] >> 4 != 6) return std::nullopt;
  const std::size_t payload = word(packet, 4);
  if (payload + ipv6_header > packet.size()) return std::nullopt;
  if (routed && payload != 0) packet = packet.first(payload + ipv6_header);
  Heard out{.packet = packet,
            .transport = ipv6_header,
            .protocol = packet[6],
            .is_ipv6 = true,
            .routed = routed};
  for (;;) {
    const ByteView header = packet.subspan(std::min(out.transport, packet.size()));
    std::size_t size = 0;
    switch (out.protocol) {
      case fragment:
        if (header.size() < 4 || (word(header, 2) & 0xfff8) != 0) return std::nullopt;
        out.fragmented = word(header, 2) != 0;
        size = 8;
        break;
      case hop_by_hop:
      case routing:
      case destination:
      case authentication:
        if (header.size() < 2) return std::nullopt;
        size = out.protocol == authentication ? (header[1] + 2U) * 4U : (header[1] + 1U) * 8U;
        break;
      case none:
        return std::nullopt;
      default:
        return out;
    }
    out.protocol = header[0];
    out.transport += size;
  }
}

// Whether the packet is to be answered, whatever the answer.
bool is_of_hosts(const Heard& heard) {
  const std::uint8_t first_of_source = heard.source()[0];
  const std::uint8_t first_of_destination = heard.destination()[0];
  if (heard.is_ipv6) {
    const bool unspecified =
        std::ranges::all_of(heard.source(), [](std::uint8_t byte) { return byte == 0; });
    return first_of_source != 0xff && first_of_destination != 0xff && !unspecified;
  }
  const auto is_host = [](std::uint8_t first) { return first != 0 && first < 224; };
  return is_host(first_of_source) && is_host(first_of_destination);
}

// nf_skb_is_icmp_unreach(), nf_skb_is_icmp6_unreach(); icmp_send(), is_ineligible().
bool is_error(const Heard& heard) {
  if (!heard.is_icmp()) return false;
  const std::uint8_t type = heard.type_of_icmp();
  if (heard.is_ipv6) return (heard.routed && type < 128) || (type == 1 && !heard.fragmented);
  if (!heard.routed) return type == 3;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12 || type > 18;
}

// nf_reject_verify_csum(): others have no checksum of the whole. Kernels that still have sockets of
// DCCP, which those before 6.16 do, count it among them.
bool has_checksum(const Heard& heard, ByteView packet) {
  constexpr std::array<std::uint8_t, 5> others = {47, 51, 50, 132, 136};
  if (std::ranges::find(others, heard.protocol) != others.end()) return false;
  if (heard.protocol != proto_udp) return true;
  return heard.transport + 8 > packet.size() || word(packet, heard.transport + 6) != 0;
}

// nf_ip_checksum() and nf_ip6_checksum() of a packet whose checksum no device has looked at. That
// of IPv4 is over the IP header as well, whose own makes it nothing.
bool is_checksum_right(const Heard& heard, ByteView packet) {
  const std::size_t size = packet.size() - heard.transport;
  const bool has_pseudo_header =
      heard.is_ipv6 || heard.protocol == proto_tcp || heard.protocol == proto_udp;
  const std::uint32_t pseudo = has_pseudo_header ? pseudo_sum(heard, heard.protocol, size) : 0;
  const std::size_t field = heard.transport + (heard.protocol == proto_tcp ? 16 : 6);
  const bool may_be_open = heard.protocol == proto_tcp || heard.protocol == proto_udp;
  if (may_be_open && field + 2 <= packet.size() && word(packet, field) == pseudo) return true;
  return sum_of(packet.subspan(heard.is_ipv6 ? heard.transport : 0), pseudo) == 0xffff;
}

Bytes ip_header(const Heard& heard, std::uint8_t protocol, std::size_t payload, std::uint8_t ttl) {
  Bytes out;
  if (heard.is_ipv6) {
    put(out, 0x60000000, 4);
    put(out, payload, 2);
    put(out, protocol, 1);
    put(out, ttl, 1);
  } else {
    put(out, 0x4500, 2);
    put(out, ipv4_header + payload, 2);
    put(out, 0x00004000, 4);  // no identification; not to be fragmented
    put(out, ttl, 1);
    put(out, protocol, 1);
    put(out, 0, 2);
  }
  put(out, heard.destination());
  put(out, heard.source());
  if (!heard.is_ipv6) set_word(out, 10, ~sum_of(out) & 0xffff);
  return out;
}

std::optional<Bytes> unreachable(const Heard& heard, std::uint8_t code, std::uint8_t ttl) {
  if (is_error(heard)) return std::nullopt;
  // The checksum is looked at of what the header says, and all that came is quoted.
  std::size_t whole = heard.packet.size();
  if (!heard.is_ipv6) whole = word(heard.packet, 2);
  if (heard.is_ipv6 && word(heard.packet, 4) != 0) whole = word(heard.packet, 4) + ipv6_header;
  const ByteView packet = heard.packet.first(whole);
  if (heard.is_ipv6 && heard.transport >= whole) return std::nullopt;
  if (has_checksum(heard, packet) && !is_checksum_right(heard, packet)) return std::nullopt;
  const std::size_t most = heard.is_ipv6 ? most_of_ipv6 : most_of_ipv4;
  Bytes message;
  put(message, heard.is_ipv6 ? 1 : 3, 1);
  put(message, code, 1);
  put(message, 0, 6);
  put(message, heard.packet.first(std::min(most, heard.packet.size())));
  const std::uint8_t protocol = heard.is_ipv6 ? proto_icmpv6 : proto_icmp;
  const std::uint32_t pseudo = heard.is_ipv6 ? pseudo_sum(heard, protocol, message.size()) : 0;
  set_word(message, 2, ~sum_of(message, pseudo) & 0xffff);
  Bytes out = ip_header(heard, protocol, message.size(), ttl);
  put(out, message);
  return out;
}

// nf_reject_ip_tcphdr_get() and nf_reject_ip_tcphdr_put(), and their sisters of IPv6.
std::optional<Bytes> reset(const Heard& heard, std::uint8_t ttl) {
  constexpr std::uint8_t fin = 1;
  constexpr std::uint8_t syn = 2;
  constexpr std::uint8_t rst = 4;
  constexpr std::uint8_t ack = 16;
  if (heard.protocol != proto_tcp || heard.transport + tcp_header > heard.packet.size()) {
    return std::nullopt;
  }
  const ByteView segment = heard.packet.subspan(heard.transport);
  const std::uint8_t flags = segment[13];
  if ((flags & rst) != 0 || !is_checksum_right(heard, heard.packet)) return std::nullopt;
  Bytes header;
  put(header, segment.subspan(2, 2));
  put(header, segment.first(2));
  if ((flags & ack) != 0) {
    put(header, segment.subspan(8, 4));
    put(header, 0, 4);
  } else {
    const std::uint64_t data = segment.size() - (segment[12] >> 4) * 4U;
    const std::uint64_t next =
        word(segment, 4, 4) + ((flags & syn) != 0 ? 1 : 0) + ((flags & fin) != 0 ? 1 : 0) + data;
    put(header, 0, 4);
    put(header, next & 0xffffffff, 4);
  }
  put(header, 0x50, 1);
  put(header, (flags & ack) != 0 ? rst : rst | ack, 1);
  put(header, 0, 6);
  const std::uint32_t pseudo = pseudo_sum(heard, proto_tcp, header.size());
  set_word(header, 16, ~sum_of(header, pseudo) & 0xffff);
  Bytes out = ip_header(heard, proto_tcp, header.size(), ttl);
  put(out, header);
  return out;
}

}  // namespace

MeterState limit_of_answers() {
  return {.kind = MeterState::Kind::packet_rate, .amount = 1000, .unit = 1, .burst = 50};
}

// icmp_code_v4 and icmp_code_v6 in net/netfilter/nft_reject.c.
std::uint8_t icmp_code(std::uint8_t code, Nfproto nfproto) {
  constexpr std::array<std::uint8_t, 4> of_ipv4 = {0, 3, 1, 13};
  constexpr std::array<std::uint8_t, 4> of_ipv6 = {0, 4, 3, 1};
  return nfproto == Nfproto::ipv6 ? of_ipv6.at(code) : of_ipv4.at(code);
}

std::optional<Bytes> make_answer(const Unit& unit, const PacketView& view, const Answer& answer,
                                 std::uint8_t ttl) {
  constexpr std::size_t shortest_link = 14;
  constexpr std::size_t longest_link = 22;
  const bool routed = reading_of(unit) != Reading::netdev;
  // A packet with a tag in its bytes is no IP packet to the helpers that make it another's size.
  if (unit.hook.kind != Hook::Kind::xdp && view.link_size != shortest_link) return std::nullopt;
  if (unit.nfproto == Nfproto::other || view.link_size < shortest_link ||
      view.link_size > longest_link || (view.frame[0] & 1) != 0) {
    return std::nullopt;
  }
  const auto heard = unit.nfproto == Nfproto::ipv6 ? hear_ipv6(view.network, routed)
                                                   : hear_ipv4(view.network, routed);
  if (!heard || (routed && !is_of_hosts(*heard))) return std::nullopt;
  const std::uint8_t code =
      answer.kind == Answer::Kind::icmpx ? icmp_code(answer.code, unit.nfproto) : answer.code;
  const auto packet =
      answer.kind == Answer::Kind::reset ? reset(*heard, ttl) : unreachable(*heard, code, ttl);
  if (!packet) return std::nullopt;
  Bytes out;
  const ByteView link = view.frame.first(view.link_size);
  put(out, link.subspan(6, 6));
  put(out, link.first(6));
  put(out, routed ? link.subspan(addresses) : link.last(2));
  put(out, *packet);
  return out;
}

}  // namespace weir::imr
