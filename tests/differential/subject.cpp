// SPDX-License-Identifier: BSD-2-Clause
#include "differential/subject.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "imr/constants.h"
#include "packet/directed.h"

namespace weir::differential {
namespace {

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

// What a rule says about the protocols of the packets that it matches.
struct Kind {
  std::optional<std::uint16_t> ethertype;
  std::optional<std::uint8_t> ip_protocol;
};

std::optional<std::uint16_t> ethertype_of(Nfproto nfproto) {
  return nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd;
}

std::map<std::uint32_t, Kind> kinds_of_rules(const imr::Ruleset& ruleset,
                                             const imr::Constants& constants) {
  std::map<std::uint32_t, Kind> kinds;
  for (const imr::MetaConstant& constant : constants.meta) {
    Kind& kind = kinds[constant.rule.value];
    if (constant.key == imr::MetaKey::l4proto) kind.ip_protocol = constant.value[0];
    if (constant.key == imr::MetaKey::nfproto) {
      const std::uint8_t nfproto = constant.value[0];
      if (nfproto == 2) kind.ethertype = 0x0800;
      if (nfproto == 10) kind.ethertype = 0x86dd;
    }
  }
  for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
    const imr::RuleId rule(i);
    const Family family = ruleset[ruleset[ruleset[rule].chain].table].family;
    if (family == Family::ip) kinds[rule.value].ethertype = ethertype_of(Nfproto::ipv4);
    if (family == Family::ip6) kinds[rule.value].ethertype = ethertype_of(Nfproto::ipv6);
  }
  return kinds;
}

std::vector<packet::Probe> probes_of(const imr::Ruleset& ruleset, const imr::Constants& constants) {
  const std::map<std::uint32_t, Kind> kinds = kinds_of_rules(ruleset, constants);
  std::vector<packet::Probe> probes;
  for (const imr::PacketConstant& constant : constants.packet) {
    packet::Probe probe{.layer = layer_of(constant.base),
                        .offset = constant.offset,
                        .length = constant.length,
                        .value = constant.value,
                        .group = constant.rule.value};
    if (const auto kind = kinds.find(constant.rule.value); kind != kinds.end()) {
      probe.ethertype = kind->second.ethertype;
      probe.ip_protocol = kind->second.ip_protocol;
    }
    probes.push_back(std::move(probe));
  }
  return probes;
}

// Draws what the kernel knows about a packet beside its bytes.
class Facts {
 public:
  Facts(const imr::Constants& constants, std::mt19937_64& random) : random_(random) {
    for (const imr::MetaConstant& constant : constants.meta) {
      values_[constant.key].push_back(constant.value);
    }
  }

  void give(packet::Packet& packet) {
    packet.mark = static_cast<std::uint32_t>(number(imr::MetaKey::mark, 4));
    packet.in = device(imr::MetaKey::iif, imr::MetaKey::iifname);
    packet.out = device(imr::MetaKey::oif, imr::MetaKey::oifname);
    packet.type = static_cast<packet::PacketType>(random_() % 4);
    constexpr std::array infos = {packet::CtInfo::established, packet::CtInfo::related,
                                  packet::CtInfo::new_, packet::CtInfo::established_reply,
                                  packet::CtInfo::related_reply};
    packet.has_connection = random_() % 4 != 0;
    packet.ct_info = infos[random_() % infos.size()];
    if (!packet.has_connection) {
      packet.ct_info = random_() % 2 == 0 ? packet::CtInfo::untracked : packet::CtInfo::established;
    }
  }

 private:
  // A constant of the rules, a neighbour of one, or zero.
  std::uint64_t number(imr::MetaKey key, std::size_t size) {
    const std::vector<Bytes>& known = values_[key];
    if (known.empty() || random_() % 5 == 0) return random_() % 3;
    const std::uint64_t value = load_native(known[random_() % known.size()]);
    const std::uint64_t limit = size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * size) - 1;
    return (value + random_() % 3 - 1) & limit;
  }

  packet::Device device(imr::MetaKey index_key, imr::MetaKey name_key) {
    if (random_() % 10 == 0) return {};
    packet::Device device;
    // Values of a prefix ("eth*") are shorter than a name; what follows is free.
    const std::vector<Bytes>& names = values_[name_key];
    if (!names.empty() && random_() % 6 != 0) {
      for (const std::uint8_t c : names[random_() % names.size()]) {
        if (c == 0 || c == 0xff) break;
        device.name += static_cast<char>(c);
      }
    }
    constexpr std::array<std::string_view, 5> endings = {"", "", "0", "1", "x7"};
    device.name += endings[random_() % endings.size()];
    if (device.name.empty()) device.name = "eth0";
    device.name = device.name.substr(0, 15);
    device.index = static_cast<std::uint32_t>(number(index_key, 4));
    if (device.index == 0) device.index = 7;
    return device;
  }

  std::mt19937_64& random_;
  std::map<imr::MetaKey, std::vector<Bytes>> values_;
};

// See kernel::test_run().
bool test_run_takes(const packet::Packet& packet, bool at_xdp) {
  const ByteView bytes = at_xdp ? ByteView(packet.bytes) : packet.network();
  if (at_xdp) return bytes.size() >= 14 && bytes.size() <= 3498;
  const bool ipv4 = packet.ethertype == 0x0800;
  if (bytes.size() < (ipv4 ? 20U : 40U) || bytes.size() > 3698) return false;
  return bytes[0] >> 4 == (ipv4 ? 4 : 6);
}

}  // namespace

Result<RulesetAtHook> read_at_hook(frontend::nft::ScratchNamespace& scratch,
                                   const std::string& script, const Hook& hook) {
  WEIR_TRY(ruleset, scratch.read(script, "generated.nft"));
  RulesetAtHook subject{.ruleset = std::move(ruleset), .hook = hook, .attachments = {}};
  std::vector<driver::ChainName> chains;
  if (hook.kind == Hook::Kind::xdp) {
    for (const imr::Chain& chain : subject.ruleset.chains) {
      if (!chain.base) continue;
      const imr::Table& table = subject.ruleset[chain.table];
      chains.push_back({.family = table.family, .table = table.name, .chain = chain.name});
    }
  }
  WEIR_TRY(attachments, driver::plan(subject.ruleset, hook, chains));
  subject.attachments = std::move(attachments);
  return subject;
}

std::vector<packet::Packet> packets_for(const RulesetAtHook& subject, std::size_t count, bool facts,
                                        std::mt19937_64& random) {
  const imr::Constants constants = imr::constants(subject.ruleset);
  const bool at_xdp = subject.hook.kind == Hook::Kind::xdp;
  packet::DirectedOptions options{
      .count = count, .link_header = at_xdp, .vlan_tags = at_xdp, .other_protocols = at_xdp};
  if (at_xdp) options.min_ipv4_size = options.min_ipv6_size = 0;
  std::vector<packet::Packet> packets =
      packet::directed_packets(probes_of(subject.ruleset, constants), options, random);
  if (facts) {
    Facts draw(constants, random);
    for (packet::Packet& packet : packets) draw.give(packet);
  } else {
    std::erase_if(packets,
                  [&](const packet::Packet& packet) { return !test_run_takes(packet, at_xdp); });
  }
  return packets;
}

}  // namespace weir::differential
