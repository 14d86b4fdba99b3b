// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/traffic.h"

#include <algorithm>
#include <map>

#include "imr/constants.h"
#include "kernel/chance.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace weir::test {
namespace {

constexpr std::size_t too_long_for_a_page = 5200;  // bytes; see Tun::write()

packet::Layer layer_of(imr::HeaderBase base) {
  switch (base) {
    case imr::HeaderBase::link:
      return packet::Layer::link;
    case imr::HeaderBase::network:
      return packet::Layer::network;
    case imr::HeaderBase::transport:
      return packet::Layer::transport;
  }
  throw InvariantError("header base out of range");
}

// What a rule says about the packets that it is about.
struct About {
  std::optional<std::uint16_t> ethertype;
  std::optional<std::uint8_t> ip_protocol;
};

std::map<std::size_t, About> rule_subjects(const imr::Ruleset& ruleset,
                                           const imr::Constants& constants) {
  std::map<std::size_t, About> subjects;
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    const Family family = ruleset[ruleset[ruleset.rules[i].chain].table].family;
    if (family == Family::ip) subjects[i].ethertype = packet::ethertype_ipv4;
    if (family == Family::ip6) subjects[i].ethertype = packet::ethertype_ipv6;
  }
  for (const imr::MetaConstant& constant : constants.meta) {
    About& about = subjects[constant.rule.index()];
    if (constant.key == imr::MetaKey::l4proto) about.ip_protocol = constant.value[0];
    if (constant.key == imr::MetaKey::nfproto) {
      about.ethertype = constant.value[0] == static_cast<std::uint8_t>(Nfproto::ipv6)
                            ? packet::ethertype_ipv6
                            : packet::ethertype_ipv4;
    }
    if (constant.key == imr::MetaKey::protocol) {
      about.ethertype = static_cast<std::uint16_t>(load_big_endian(constant.value));
    }
  }
  return subjects;
}

packet::DirectedOptions forwarded(std::size_t count) {
  packet::DirectedOptions options;
  options.count = count;
  options.deliverable = true;
  return options;
}

// Appends bytes to the packet and to the length in its IP header. False where that is not possible.
bool lengthen(Bytes& bytes, std::size_t size) {
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

}  // namespace

std::vector<packet::Probe> probes_of(const imr::Ruleset& ruleset) {
  const imr::Constants constants = imr::constants(ruleset);
  std::map<std::size_t, About> subjects = rule_subjects(ruleset, constants);
  std::vector<packet::Probe> probes;
  for (const imr::PacketConstant& constant : constants.packet) {
    const About& about = subjects[constant.rule.index()];
    probes.push_back({.layer = layer_of(constant.base),
                      .offset = constant.offset,
                      .length = constant.length,
                      .value = constant.value,
                      .group = static_cast<std::uint32_t>(constant.rule.index()),
                      .ethertype = about.ethertype,
                      .ip_protocol = about.ip_protocol});
  }
  return probes;
}

std::vector<Sent> directed_traffic(const imr::Ruleset& ruleset, std::size_t count,
                                   std::mt19937_64& random) {
  Chance chance(random);
  std::vector<Sent> traffic;
  for (packet::Packet& packet :
       packet::directed_packets(probes_of(ruleset), forwarded(count), random)) {
    traffic.push_back({.bytes = std::move(packet.bytes), .linear = 0, .back = chance.one_in(4)});
  }
  return traffic;
}

std::vector<Sent> nonlinear_traffic(const imr::Ruleset& ruleset, std::size_t count,
                                    std::mt19937_64& random) {
  Chance chance(random);
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
