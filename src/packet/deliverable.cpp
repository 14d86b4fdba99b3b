// SPDX-License-Identifier: BSD-2-Clause
#include "packet/deliverable.h"

#include <algorithm>
#include <span>

#include "packet/headers.h"

namespace weir::packet {
namespace {

using MutableBytes = std::span<std::uint8_t>;

// Puts the first `prefix_length` bits of `prefix` into `address`. A host part of all zeros or all
// ones may name a network or everybody: its last bit changes.
void move_into(MutableBytes address, ByteView prefix, unsigned prefix_length) {
  bool all_zeros = true;
  bool all_ones = true;
  for (std::size_t i = 0; i < address.size(); ++i) {
    const std::size_t bits =
        std::min<std::size_t>(prefix_length > i * 8 ? prefix_length - i * 8 : 0, 8);
    const auto mask = static_cast<std::uint8_t>(0xff00U >> bits);
    address[i] = static_cast<std::uint8_t>((prefix[i] & mask) | (address[i] & ~mask));
    if ((address[i] & ~mask & 0xff) != 0) all_zeros = false;
    if ((address[i] | mask) != 0xff) all_ones = false;
  }
  const bool has_host_part = prefix_length + 1 < address.size() * 8;
  if (has_host_part && (all_zeros || all_ones)) address.back() ^= 1;
}

// RFC 1812 5.3.7 and 4.2.2.11: this network, loopback, multicast, reserved and broadcast.
bool is_martian_ipv4(ByteView address) {
  return address[0] == 0 || address[0] == 127 || address[0] >= 224;
}

// Outside of 2000::/3 and fc00::/7 are multicast, loopback, the unspecified address, link-local and
// IPv4-mapped ones, none of which a router forwards.
bool is_martian_ipv6(ByteView address) {
  return address[0] >> 5 != 1 && (address[0] & 0xfe) != 0xfc;
}

template <typename Prefix, typename Address>
void settle_address(MutableBytes address, const std::optional<Prefix>& prefix, bool martian,
                    const Address& fallback) {
  if (prefix) {
    move_into(address, prefix->address, prefix->length);
  } else if (martian) {
    std::ranges::copy(fallback, address.begin());
  }
}

void settle_ipv4(MutableBytes network, const Bytes& ip_options, const DirectedOptions& options) {
  const std::size_t header_size = 20 + ip_options.size();
  network[0] = static_cast<std::uint8_t>(0x40 | header_size / 4);
  network[6] &= 0x7f;  // RFC 791: the reserved flag is zero
  network[8] = std::max<std::uint8_t>(network[8], 2);
  const auto source = network.subspan(12, 4);
  const auto destination = network.subspan(16, 4);
  settle_address(source, options.ipv4_sources, is_martian_ipv4(source), Ipv4{}.source);
  settle_address(destination, options.ipv4_destinations, is_martian_ipv4(destination),
                 Ipv4{}.destination);
  std::ranges::copy(ip_options, network.begin() + 20);
}

void settle_ipv6(MutableBytes network, bool hop_by_hop, const DirectedOptions& options) {
  network[0] = static_cast<std::uint8_t>(0x60 | (network[0] & 0x0f));
  network[7] = std::max<std::uint8_t>(network[7], 2);
  const auto source = network.subspan(8, 16);
  const auto destination = network.subspan(24, 16);
  settle_address(source, options.ipv6_sources, is_martian_ipv6(source), Ipv6{}.source);
  settle_address(destination, options.ipv6_destinations, is_martian_ipv6(destination),
                 Ipv6{}.destination);
  // A router reads a hop-by-hop header: there must be one where the IPv6 header says so.
  if (network[6] == static_cast<std::uint8_t>(IpProtocol::hop_by_hop) && !hop_by_hop) {
    network[6] = static_cast<std::uint8_t>(IpProtocol::none);
  }
}

}  // namespace

ReadByRouters read_by_routers(const Built& built) {
  ReadByRouters read{.hop_by_hop = begins_with_hop_by_hop(built), .ipv4_options = {}};
  const std::size_t fixed = built.layout.network_offset + 20;
  if (built.packet.ethertype == ethertype_ipv4 && built.layout.network_end >= fixed) {
    const Bytes& bytes = built.packet.bytes;
    read.ipv4_options.assign(bytes.begin() + static_cast<std::ptrdiff_t>(fixed),
                             bytes.begin() + static_cast<std::ptrdiff_t>(built.layout.network_end));
  }
  return read;
}

void make_deliverable(Built& built, const ReadByRouters& read, const DirectedOptions& options) {
  Packet& packet = built.packet;
  const std::size_t header_size = built.layout.network_end - built.layout.network_offset;
  const MutableBytes network = MutableBytes(packet.bytes).subspan(built.layout.network_offset);
  if (packet.ethertype == ethertype_ipv4 && header_size >= 20) {
    settle_ipv4(network, read.ipv4_options, options);
  } else if (packet.ethertype == ethertype_ipv6 && header_size == 40) {
    settle_ipv6(network, read.hop_by_hop, options);
  }
  adjust_ip_length(built);
}

void adjust_ip_length(Built& built) {
  Packet& packet = built.packet;
  const MutableBytes network = MutableBytes(packet.bytes).subspan(packet.network_offset);
  const auto store = [&](std::size_t offset, std::size_t value) {
    network[offset] = static_cast<std::uint8_t>(value >> 8);
    network[offset + 1] = static_cast<std::uint8_t>(value);
  };
  if (packet.ethertype == ethertype_ipv4 && network.size() >= 20) store(2, network.size());
  if (packet.ethertype == ethertype_ipv6 && network.size() >= 40) store(4, network.size() - 40);
}

bool begins_with_hop_by_hop(const Built& built) {
  return built.packet.ethertype == ethertype_ipv6 && !built.layout.extension_ends.empty() &&
         built.packet.bytes[built.layout.network_offset + 6] ==
             static_cast<std::uint8_t>(IpProtocol::hop_by_hop);
}

std::size_t smallest_deliverable(const Built& built) {
  return begins_with_hop_by_hop(built) ? built.layout.extension_ends.front()
                                       : built.layout.network_end;
}

}  // namespace weir::packet
