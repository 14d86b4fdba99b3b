// SPDX-License-Identifier: BSD-2-Clause
#include "packet/checksum.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "packet/headers.h"

namespace weir::packet {
namespace {

using MutableBytes = std::span<std::uint8_t>;

// At most 65,535 bytes a packet: 2^15 words of 16 bits do not overflow the sum.
std::uint32_t add_words(std::uint32_t sum, ByteView bytes) {
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  }
  if (bytes.size() % 2 != 0) sum += static_cast<std::uint32_t>(bytes.back() << 8);
  return (sum & 0xffff) + (sum >> 16);
}

void store16(MutableBytes bytes, std::size_t offset, std::uint16_t value) {
  bytes[offset] = static_cast<std::uint8_t>(value >> 8);
  bytes[offset + 1] = static_cast<std::uint8_t>(value);
}

// RFC 9293 3.1 and RFC 8200 8.1: addresses, length and protocol.
std::uint32_t pseudo_header_sum(ByteView network, std::uint8_t protocol, std::size_t length) {
  const bool is_ipv4 = network[0] >> 4 == 4;
  const ByteView addresses = is_ipv4 ? network.subspan(12, 8) : network.subspan(8, 32);
  const auto low = static_cast<std::uint32_t>(length & 0xffff);
  return add_words(static_cast<std::uint32_t>(length >> 16) + low + protocol, addresses);
}

// Bytes at the front of the segment that its checksum covers.
std::size_t coverage(IpProtocol protocol, ByteView segment) {
  std::size_t covered = segment.size();
  if (protocol == IpProtocol::udplite) {  // RFC 3828 3.1: 0 is all
    covered = load_big_endian(segment.subspan(4, 2));
  } else if (protocol == IpProtocol::dccp && (segment[5] & 0x0f) != 0) {  // RFC 4340 9.2
    covered = segment[4] * 4U + ((segment[5] & 0x0f) - 1U) * 4U;
  }
  return covered == 0 ? segment.size() : std::min(covered, segment.size());
}

void store_internet_checksum(IpProtocol protocol, MutableBytes segment, std::size_t offset,
                             std::uint32_t pseudo_header) {
  if (segment.size() < offset + 2 || segment.size() < 8) return;
  store16(segment, offset, 0);
  const ByteView covered = ByteView(segment).first(coverage(protocol, segment));
  std::uint16_t checksum = internet_checksum(covered, pseudo_header);
  // RFC 768: zero says that there is none.
  const bool zero_is_none = protocol == IpProtocol::udp || protocol == IpProtocol::udplite;
  if (checksum == 0 && zero_is_none) checksum = 0xffff;
  store16(segment, offset, checksum);
}

void store_crc32c(MutableBytes segment) {
  if (segment.size() < 12) return;
  std::fill_n(segment.begin() + 8, 4, std::uint8_t{0});
  const Bytes checksum = native_bytes(crc32c(segment), 4);
  std::ranges::copy(checksum, segment.begin() + 8);
}

void repair_segment(std::uint8_t number, MutableBytes segment, std::uint32_t pseudo_header) {
  const auto protocol = static_cast<IpProtocol>(number);
  switch (protocol) {
    case IpProtocol::tcp:
      return store_internet_checksum(protocol, segment, 16, pseudo_header);
    case IpProtocol::udp:
    case IpProtocol::udplite:
    case IpProtocol::dccp:
      return store_internet_checksum(protocol, segment, 6, pseudo_header);
    case IpProtocol::icmpv6:
      return store_internet_checksum(protocol, segment, 2, pseudo_header);
    case IpProtocol::icmp:
    case IpProtocol::igmp:
      return store_internet_checksum(protocol, segment, 2, 0);
    case IpProtocol::sctp:
      return store_crc32c(segment);
    case IpProtocol::gre:  // RFC 2784 2.1: only with the C bit
      if (!segment.empty() && (segment[0] & 0x80) != 0) {
        store_internet_checksum(protocol, segment, 4, 0);
      }
      return;
    case IpProtocol::hop_by_hop:
    case IpProtocol::routing:
    case IpProtocol::fragment:
    case IpProtocol::destination:
    case IpProtocol::esp:
    case IpProtocol::ah:
    case IpProtocol::none:
      return;
  }
}

// The length of the IP packet as its header says, or all bytes when they are fewer.
std::size_t datagram_size(ByteView network) {
  const bool is_ipv4 = network[0] >> 4 == 4;
  const std::size_t said = is_ipv4 ? load_big_endian(network.subspan(2, 2))
                                   : 40 + load_big_endian(network.subspan(4, 2));
  return std::min(said, network.size());
}

}  // namespace

std::uint16_t internet_checksum(ByteView bytes, std::uint32_t sum) {
  sum = add_words(sum, bytes);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::uint32_t crc32c(ByteView bytes) {
  constexpr std::uint32_t reversed_polynomial = 0x82f63b78;
  std::uint32_t crc = 0xffffffff;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? reversed_polynomial : 0);
    }
  }
  return ~crc;
}

void repair_checksums(Packet& packet) {
  const auto place = find_transport(packet.network(), packet.ethertype);
  if (!place) return;
  const MutableBytes network = MutableBytes(packet.bytes).subspan(packet.network_offset);
  if (packet.ethertype == ethertype_ipv4) {
    store16(network, 10, 0);
    store16(network, 10, internet_checksum(network.first(place->offset)));
  }
  const std::size_t size = datagram_size(network);
  if (place->is_fragment() || size < place->offset) return;
  const MutableBytes segment = network.first(size).subspan(place->offset);
  repair_segment(place->protocol, segment,
                 pseudo_header_sum(network, place->protocol, segment.size()));
}

}  // namespace weir::packet
