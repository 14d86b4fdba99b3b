// SPDX-License-Identifier: BSD-2-Clause
//
// Kernel sources followed here, all of Linux 6.18: net/netfilter/nft_exthdr.c, ipv6_find_hdr() in
// net/ipv6/exthdrs_core.c, __ip_options_compile() in net/ipv4/ip_options.c.
#include "imr/extensions.h"

#include <algorithm>

namespace weir::imr {
namespace {

constexpr std::uint8_t ip_protocol_tcp = 6;
constexpr std::uint8_t ip_protocol_sctp = 132;

namespace ipv6 {
constexpr std::size_t header_size = 40;
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t authentication = 51;
constexpr std::uint8_t destination = 60;

bool is_walked(std::uint8_t next) {
  return next == hop_by_hop || next == routing || next == fragment || next == authentication ||
         next == destination;
}
}  // namespace ipv6

namespace ipv4 {
constexpr std::size_t header_size = 20;
constexpr std::uint8_t end = 0;
constexpr std::uint8_t no_operation = 1;
constexpr std::uint8_t record_route = 7;
constexpr std::uint8_t timestamp = 68;
constexpr std::uint8_t loose_source_route = 131;
constexpr std::uint8_t security_label = 134;  // CIPSO
constexpr std::uint8_t strict_source_route = 137;
constexpr std::uint8_t router_alert = 148;
}  // namespace ipv4

// An item that the packet has: where it begins, and how many of its bytes can be loaded.
struct Item {
  ByteView from;
  std::size_t usable = 0;
};
using Found = std::optional<Item>;

// All bytes of the packet from `at` on count, be they of the item or not; there may be none.
Item to_the_end(ByteView bytes, std::size_t at) {
  const ByteView rest = bytes.subspan(std::min(at, bytes.size()));
  return {rest, rest.size()};
}

std::size_t big_endian_16(ByteView bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes[at] << 8 | bytes[at + 1]);
}

// ipv6_find_hdr(skb, &offset, type, NULL, NULL): it passes over authentication headers, and what is
// no extension header need not be there to be found.
Found find_ipv6_header(ByteView bytes, std::uint8_t type) {
  constexpr std::size_t next_header = 6;
  if (bytes.size() <= next_header) return std::nullopt;
  std::uint8_t next = bytes[next_header];
  std::size_t at = ipv6::header_size;
  const auto holds = [&](std::size_t end) { return at + end <= bytes.size(); };
  while (ipv6::is_walked(next)) {
    const bool found = next == type;
    if (!holds(2) || (next == ipv6::routing && !holds(4))) return std::nullopt;
    std::size_t size = (bytes[at + 1] + 1U) * 8;
    if (next == ipv6::fragment) {
      if (!holds(4)) return std::nullopt;
      const bool later = (big_endian_16(bytes, at + 2) & 0xfff8) != 0;
      if (later && !found) return std::nullopt;
      size = 8;
    } else if (next == ipv6::authentication) {
      size = (bytes[at + 1] + 2U) * 4;
    }
    if (found) return to_the_end(bytes, at);
    next = bytes[at];
    at += size;
  }
  if (next != type) return std::nullopt;
  return to_the_end(bytes, at);
}

// What __ip_options_compile() notes of a header's options: offsets from the header on, 0 for none.
struct Ipv4Options {
  std::size_t source_route = 0;
  bool strict = false;
  std::size_t record_route = 0;
  std::size_t timestamp = 0;
  std::size_t router_alert = 0;
};

// One option of more than one byte; false where all options count as broken. `option` are its
// bytes.
bool take_option(ByteView option, std::size_t at, Ipv4Options& found) {
  const std::size_t size = option.size();
  const auto room_for = [&](std::size_t bytes) {
    const std::size_t pointer = option[2];
    return pointer > size || pointer + bytes <= size;
  };
  switch (option[0]) {
    case ipv4::strict_source_route:
    case ipv4::loose_source_route:
      if (found.source_route != 0 || size < 7 || option[2] != 4 || (size - 3) % 4 != 0) {
        return false;
      }
      found.source_route = at;
      found.strict = option[0] == ipv4::strict_source_route;
      return true;
    case ipv4::record_route:
      if (found.record_route != 0 || size < 3 || option[2] < 4 || !room_for(3)) return false;
      found.record_route = at;
      return true;
    case ipv4::timestamp: {
      if (found.timestamp != 0 || size < 4 || option[2] < 5 || !room_for(3)) return false;
      const unsigned kind = option[3] & 0x0fU;
      const unsigned overflow = option[3] >> 4;
      if ((kind == 1 || kind == 3) && !room_for(7)) return false;
      if (option[2] > size && kind != 3 && overflow == 15) return false;
      found.timestamp = at;
      return true;
    }
    case ipv4::router_alert:
      if (size < 4) return false;
      if (option[2] == 0 && option[3] == 0) found.router_alert = at;
      return true;
    case ipv4::security_label:
      // cipso_v4_validate() knows no domain of interpretation, unless one was configured.
      return false;
    default:
      return true;
  }
}

std::optional<Ipv4Options> read_ipv4_options(ByteView header) {
  Ipv4Options found;
  for (std::size_t at = ipv4::header_size; at < header.size();) {
    if (header[at] == ipv4::end) return found;
    if (header[at] == ipv4::no_operation) {
      ++at;
      continue;
    }
    if (header.size() - at < 2) return std::nullopt;
    const std::size_t size = header[at + 1];
    if (size < 2 || size > header.size() - at) return std::nullopt;
    if (!take_option(header.subspan(at, size), at, found)) return std::nullopt;
    at += size;
  }
  return found;
}

// ipv4_find_option(): it takes skb->data for the header's place.
Found find_ipv4_option(ByteView bytes, std::uint8_t type) {
  if (bytes.size() < ipv4::header_size) return std::nullopt;
  const std::size_t header_size = (bytes[0] & 0x0fU) * 4;
  if (header_size <= ipv4::header_size || header_size > bytes.size()) return std::nullopt;
  const auto options = read_ipv4_options(bytes.first(header_size));
  if (!options) return std::nullopt;
  std::size_t at = 0;
  if (type == ipv4::record_route) at = options->record_route;
  if (type == ipv4::router_alert) at = options->router_alert;
  if (type == ipv4::strict_source_route && options->strict) at = options->source_route;
  if (type == ipv4::loose_source_route && !options->strict) at = options->source_route;
  if (at == 0) return std::nullopt;
  return to_the_end(bytes, at);
}

// nft_exthdr_sctp_eval(): a chunk that is cut off is there, but none of its bytes can be loaded.
Found find_sctp_chunk(ByteView bytes, std::uint8_t type) {
  constexpr std::size_t common_header = 12;
  constexpr std::size_t chunk_header = 4;
  for (std::size_t at = common_header; at + chunk_header <= bytes.size();) {
    const std::size_t size = big_endian_16(bytes, at + 2);
    if (size == 0) return std::nullopt;
    if (bytes[at] == type) {
      if (at + size > bytes.size()) return Item{};
      return Item{bytes.subspan(at, size), size};
    }
    at += padded_size(size);
  }
  return std::nullopt;
}

// The bytes from the transport header on, where it is of this protocol.
ByteView transport_of(const PacketView& view, std::uint8_t protocol, bool in_later_fragments) {
  const bool there = view.has_transport && view.l4proto == protocol &&
                     (!view.later_fragment || in_later_fragments);
  if (!there || view.transport_offset > view.data.size()) return {};
  return view.data.subspan(view.transport_offset);
}

Found whole_tcp_option(const PacketView& view, std::uint8_t type) {
  const auto option = find_tcp_option(view, type);
  if (!option || option->at == 0 || !option->whole) return std::nullopt;
  const ByteView bytes = transport_of(view, ip_protocol_tcp, false);
  return Item{bytes.subspan(option->at, option->size), option->size};
}

Found find_item(const PacketView& view, const Extension& extension) {
  // Where nf_tables is not what decides, chunks are not looked for in later fragments, and a header
  // is where it is.
  const bool as_nf_tables = view.short_loads_in_later_fragments;
  switch (extension.kind) {
    case ExtensionKind::ipv6:
      return find_ipv6_header(view.network, extension.type);
    case ExtensionKind::tcp:
      return whole_tcp_option(view, extension.type);
    case ExtensionKind::ipv4:
      return find_ipv4_option(as_nf_tables ? view.data : view.network, extension.type);
    case ExtensionKind::sctp:
      return find_sctp_chunk(transport_of(view, ip_protocol_sctp, as_nf_tables), extension.type);
  }
  throw InvariantError("extension kind out of range");
}

}  // namespace

std::optional<Bytes> find_extension(const PacketView& view, const Extension& extension) {
  if (extension.kind == ExtensionKind::ipv6 && view.protocol != 0x86dd) return std::nullopt;
  if (extension.kind == ExtensionKind::ipv4 && view.protocol != 0x0800) return std::nullopt;
  const Found item = find_item(view, extension);
  if (extension.presence) return Bytes{static_cast<std::uint8_t>(item ? 1 : 0)};
  if (!item || std::size_t{extension.offset} + extension.length > item->usable) {
    return std::nullopt;
  }
  const ByteView found = item->from.subspan(extension.offset, extension.length);
  return Bytes(found.begin(), found.end());
}

// nft_exthdr_tcp_eval() and its sisters that write: the end of options does not end the search, and
// the last byte of the header is not looked at.
std::optional<TcpOption> find_tcp_option(const PacketView& view, std::uint8_t type) {
  constexpr std::size_t fixed_size = 20;
  constexpr std::uint8_t no_operation = 1;
  const ByteView bytes = transport_of(view, ip_protocol_tcp, false);
  if (bytes.size() < fixed_size) return std::nullopt;
  const std::size_t header_size = (bytes[12] >> 4) * 4U;
  if (header_size < fixed_size || header_size > bytes.size()) return std::nullopt;
  for (std::size_t at = fixed_size; at + 1 < header_size;) {
    const bool single = bytes[at] <= no_operation || bytes[at + 1] == 0;
    const std::size_t size = single ? 1 : bytes[at + 1];
    if (bytes[at] == type) return TcpOption{at, size, at + size <= header_size};
    at += size;
  }
  return TcpOption{};
}

bool is_found_ipv4_option(std::uint8_t type) {
  return type == ipv4::record_route || type == ipv4::router_alert ||
         type == ipv4::strict_source_route || type == ipv4::loose_source_route;
}

}  // namespace weir::imr
