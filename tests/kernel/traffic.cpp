// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/traffic.h"

#include <algorithm>

#include "differential/random.h"
#include "imr/probes.h"
#include "packet/checksum.h"
#include "packet/directed.h"
#include "packet/headers.h"

namespace weir::test {
namespace {

using differential::Random;

constexpr std::size_t too_long_for_a_page = 5200;  // bytes; see Tun::write()

packet::DirectedOptions forwarded(std::size_t count) {
  packet::DirectedOptions options;
  options.count = count;
  options.deliverable = true;
  return options;
}

}  // namespace

bool lengthen(Bytes& bytes, std::size_t size) {
  if (bytes.empty()) return false;
  const bool v6 = bytes[0] >> 4 == 6;
  if (bytes.size() < (v6 ? 40u : 20u) || bytes.size() >= size) return false;
  const std::size_t at = v6 ? 4 : 2;
  const std::size_t said = load_big_endian(ByteView(bytes).subspan(at, 2)) + (v6 ? 40 : 0);
  if (said != bytes.size()) return false;
  bytes.resize(size, 0x5a);
  const Bytes length = big_endian_bytes(size - (v6 ? 40 : 0), 2);
  std::ranges::copy(length, bytes.begin() + static_cast<std::ptrdiff_t>(at));
  packet::Packet whole{.bytes = std::move(bytes),
                       .network_offset = 0,
                       .ethertype = v6 ? packet::ethertype_ipv6 : packet::ethertype_ipv4};
  packet::repair_checksums(whole);
  bytes = std::move(whole.bytes);
  return true;
}

std::vector<Sent> directed_traffic(const imr::Ruleset& ruleset, std::size_t count,
                                   std::mt19937_64& random) {
  Random chance(random);
  std::vector<Sent> traffic;
  for (packet::Packet& packet :
       packet::directed_packets(imr::probes_of(ruleset), forwarded(count), random)) {
    traffic.push_back({.bytes = std::move(packet.bytes), .linear = 0, .back = chance.one_in(4)});
  }
  return traffic;
}

std::vector<Sent> nonlinear_traffic(const imr::Ruleset& ruleset, std::size_t count,
                                    std::mt19937_64& random) {
  Random chance(random);
  std::vector<Sent> traffic;
  for (Sent& sent : directed_traffic(ruleset, count, random)) {
    if (!lengthen(sent.bytes, too_long_for_a_page)) continue;
    sent.linear = static_cast<std::uint16_t>(20 + chance.below(80));
    traffic.push_back(std::move(sent));
  }
  return traffic;
}

bool is_fragment(ByteView packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    return (load_big_endian(packet.subspan(6, 2)) & 0x3fff) != 0;
  }
  if (packet.size() < 40) return false;
  std::uint8_t next = packet[6];
  std::size_t at = 40;
  while (next == 0 || next == 43 || next == 60 || next == 51) {
    if (at + 2 > packet.size()) return false;
    const std::size_t units = packet[at + 1];
    const std::size_t size = next == 51 ? (units + 2) * 4 : (units + 1) * 8;
    next = packet[at];
    at += size;
  }
  return next == 44;
}

}  // namespace weir::test
