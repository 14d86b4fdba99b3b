// SPDX-License-Identifier: BSD-2-Clause
#include "imr/probes.h"

#include <map>
#include <optional>

#include "imr/constants.h"
#include "packet/headers.h"

namespace weir::imr {
namespace {

packet::Layer layer_of(HeaderBase base) {
  switch (base) {
    case HeaderBase::link:
      return packet::Layer::link;
    case HeaderBase::network:
      return packet::Layer::network;
    case HeaderBase::transport:
    case HeaderBase::inner:
      return packet::Layer::transport;
  }
  throw InvariantError("header base out of range");
}

packet::ItemKind item_kind(ExtensionKind kind) {
  switch (kind) {
    case ExtensionKind::ipv6:
      return packet::ItemKind::ipv6_header;
    case ExtensionKind::tcp:
      return packet::ItemKind::tcp_option;
    case ExtensionKind::ipv4:
      return packet::ItemKind::ipv4_option;
    case ExtensionKind::sctp:
      return packet::ItemKind::sctp_chunk;
  }
  throw InvariantError("extension kind out of range");
}

// How many bytes there are in front of what stands behind the transport header, most often.
std::uint16_t size_of_transport(std::uint8_t ip_protocol) {
  switch (ip_protocol) {
    case 6:
      return 20;
    case 47:
      return 4;
    case 4:
      return 0;
    default:
      return 8;
  }
}

// What a rule says about the packets that it is about.
struct About {
  std::optional<std::uint16_t> ethertype;
  std::optional<std::uint8_t> ip_protocol;
};

std::map<std::size_t, About> rule_subjects(const Ruleset& ruleset, const Constants& constants) {
  std::map<std::size_t, About> subjects;
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    const Family family = ruleset[ruleset[ruleset.rules[i].chain].table].family;
    if (family == Family::ip) subjects[i].ethertype = packet::ethertype_ipv4;
    if (family == Family::ip6) subjects[i].ethertype = packet::ethertype_ipv6;
    if (family == Family::arp) subjects[i].ethertype = packet::ethertype_arp;
  }
  for (const MetaConstant& constant : constants.meta) {
    About& about = subjects[constant.rule.index()];
    if (constant.key == MetaKey::l4proto) about.ip_protocol = constant.value[0];
    if (constant.key == MetaKey::nfproto) {
      about.ethertype = constant.value[0] == static_cast<std::uint8_t>(Nfproto::ipv6)
                            ? packet::ethertype_ipv6
                            : packet::ethertype_ipv4;
    }
    if (constant.key == MetaKey::protocol) {
      about.ethertype = static_cast<std::uint16_t>(load_big_endian(constant.value));
    }
  }
  // The ethertype of the Ethernet header, or behind a tag.
  for (const PacketConstant& constant : constants.packet) {
    const bool type = constant.base == HeaderBase::link && constant.length == 2 &&
                      (constant.offset == 12 || constant.offset == 16);
    if (!type) continue;
    const auto value = static_cast<std::uint16_t>(load_big_endian(constant.value));
    if (value != packet::ethertype_vlan && value != packet::ethertype_qinq) {
      subjects[constant.rule.index()].ethertype = value;
    }
  }
  return subjects;
}

}  // namespace

std::vector<packet::Probe> probes_of(const Ruleset& ruleset) {
  const Constants constants = imr::constants(ruleset);
  std::map<std::size_t, About> subjects = rule_subjects(ruleset, constants);
  std::vector<packet::Probe> probes;
  for (const ExtensionConstant& constant : constants.extension) {
    const About& about = subjects[constant.rule.index()];
    const Extension& item = constant.extension;
    packet::Probe probe{.layer = packet::Layer::extension,
                        .offset = item.offset,
                        .length = static_cast<std::uint16_t>(item.presence ? 0 : item.length),
                        .value = constant.value,
                        .group = static_cast<std::uint32_t>(constant.rule.index()),
                        .ethertype = about.ethertype,
                        .ip_protocol = about.ip_protocol,
                        .item = packet::ItemName{.kind = item_kind(item.kind), .type = item.type}};
    if (item.kind == ExtensionKind::tcp) probe.ip_protocol = 6;
    if (item.kind == ExtensionKind::sctp) probe.ip_protocol = 132;
    // What is no extension header may be the last one.
    constexpr std::uint8_t mobility = 135;
    if (item.kind == ExtensionKind::ipv6 && item.type == mobility) probe.ip_protocol = mobility;
    probes.push_back(std::move(probe));
  }
  for (const PacketConstant& constant : constants.packet) {
    About about = subjects[constant.rule.index()];
    std::uint16_t offset = constant.offset;
    if (constant.base == HeaderBase::inner) {
      if (!about.ip_protocol) about.ip_protocol = 17;
      offset = static_cast<std::uint16_t>(offset + size_of_transport(*about.ip_protocol));
    }
    probes.push_back({.layer = layer_of(constant.base),
                      .offset = offset,
                      .length = constant.length,
                      .value = constant.value,
                      .group = static_cast<std::uint32_t>(constant.rule.index()),
                      .ethertype = about.ethertype,
                      .ip_protocol = about.ip_protocol});
  }
  return probes;
}

}  // namespace weir::imr
