// SPDX-License-Identifier: BSD-2-Clause
#include "packet/headers.h"

#include <cstddef>

namespace weir::packet {
namespace {

std::optional<TransportPlace> behind_ipv4(ByteView network) {
  if (network.size() < 20 || network[0] >> 4 != 4) return std::nullopt;
  const std::size_t header_size = (network[0] & 0x0f) * 4U;
  if (header_size < 20 || header_size > network.size()) return std::nullopt;
  const auto fragment = static_cast<std::uint32_t>(load_big_endian(network.subspan(6, 2)));
  return TransportPlace{.protocol = network[9],
                        .offset = static_cast<std::uint32_t>(header_size),
                        .more_fragments = (fragment & 0x2000) != 0,
                        .fragment_offset = (fragment & 0x1fff) * 8};
}

// Bytes of the extension header `protocol` at the start of `bytes`; 0 when it is not one.
// RFC 8200 counts in units of 8 bytes, AH (RFC 4302) in units of 4.
std::size_t extension_size(std::uint8_t protocol, ByteView bytes) {
  switch (static_cast<IpProtocol>(protocol)) {
    case IpProtocol::hop_by_hop:
    case IpProtocol::routing:
    case IpProtocol::destination:
      return (bytes[1] + 1U) * 8;
    case IpProtocol::fragment:
      return 8;
    case IpProtocol::ah:
      return (bytes[1] + 2U) * 4;
    default:
      return 0;
  }
}

std::optional<TransportPlace> behind_ipv6(ByteView network) {
  if (network.size() < 40 || network[0] >> 4 != 6) return std::nullopt;
  TransportPlace place{.protocol = network[6], .offset = 40};
  constexpr std::uint8_t smallest[8] = {};
  for (;;) {
    const ByteView rest = network.subspan(place.offset);
    const bool readable = rest.size() >= 8;
    const std::size_t size = extension_size(place.protocol, readable ? rest : ByteView(smallest));
    if (size == 0) return place;
    if (!readable || size > rest.size()) return std::nullopt;
    if (place.protocol == static_cast<std::uint8_t>(IpProtocol::fragment)) {
      const auto fragment = static_cast<std::uint32_t>(load_big_endian(rest.subspan(2, 2)));
      place.more_fragments = (fragment & 1) != 0;
      place.fragment_offset = fragment & 0xfff8;
    }
    place.protocol = rest[0];
    place.offset += static_cast<std::uint32_t>(size);
    if (place.fragment_offset != 0) return place;
  }
}

}  // namespace

std::optional<TransportPlace> find_transport(ByteView network, std::uint16_t ethertype) {
  if (ethertype == ethertype_ipv4) return behind_ipv4(network);
  if (ethertype == ethertype_ipv6) return behind_ipv6(network);
  return std::nullopt;
}

}  // namespace weir::packet
