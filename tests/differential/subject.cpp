// SPDX-License-Identifier: BSD-2-Clause
#include "differential/subject.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "imr/constants.h"
#include "imr/probes.h"
#include "packet/directed.h"
#include "packet/vlan.h"

namespace weir::differential {
namespace {

// Draws what the kernel knows about a packet beside its bytes.
class Facts {
 public:
  Facts(const imr::Constants& constants, std::mt19937_64& random) : random_(random) {
    for (const imr::MetaConstant& constant : constants.meta) {
      values_[constant.key].push_back(constant.value);
    }
    for (const imr::NexthopConstant& constant : constants.next_hop) {
      next_hops_.push_back(constant.value);
    }
  }

  void give_mark(packet::Packet& packet) {
    packet.mark = static_cast<std::uint32_t>(number(imr::MetaKey::mark, 4));
  }

  void give(packet::Packet& packet) {
    give_mark(packet);
    packet.in = device(imr::MetaKey::iif, imr::MetaKey::iifname);
    packet.out = device(imr::MetaKey::oif, imr::MetaKey::oifname);
    packet.type = static_cast<packet::PacketType>(random_() % 4);
    constexpr std::array infos = {packet::CtInfo::established, packet::CtInfo::related,
                                  packet::CtInfo::new_, packet::CtInfo::established_reply,
                                  packet::CtInfo::related_reply};
    give_seldom(packet);
    packet.has_connection = random_() % 4 != 0;
    packet.ct_info = infos[random_() % infos.size()];
    if (!packet.has_connection) {
      packet.ct_info = random_() % 2 == 0 ? packet::CtInfo::untracked : packet::CtInfo::established;
    }
  }

 private:
  // As Writer::seldom() of matches.cpp asks for them.
  void give_seldom(packet::Packet& packet) {
    const auto number = [&] { return static_cast<std::uint32_t>(random_() % 5); };
    packet.priority = number();
    packet.cpu = number();
    if (values_.contains(imr::MetaKey::time) || values_.contains(imr::MetaKey::hour)) {
      packet.time_ns = time();
    }
    constexpr std::array<std::string_view, 3> kinds = {"", "veth", "tun"};
    for (packet::Device* device : {&packet.in, &packet.out}) {
      device->group = number();
      device->kind = kinds[random_() % kinds.size()];
    }
    if (random_() % 3 != 0) packet.route = route(packet.ethertype == 0x86dd);
    if (random_() % 3 != 0) {
      packet.socket = packet::Socket{.has_file = random_() % 4 != 0,
                                     .user = number(),
                                     .group = number(),
                                     .cgroup_class = number()};
    }
    packet::Connection& connection = packet.connection;
    connection.status = static_cast<std::uint32_t>(random_() % 16);
    connection.mark = number();
    constexpr std::array<std::string_view, 3> helpers = {"", "ftp", "sip"};
    connection.helper = helpers[random_() % helpers.size()];
    connection.ipv6 = packet.ethertype == 0x86dd;
    connection.protocol = random_() % 2 == 0 ? 6 : 17;
    connection.zone = {.id = static_cast<std::uint16_t>(number()),
                       .of_original = random_() % 2 == 0,
                       .of_reply = random_() % 2 == 0};
    connection.labels[0] = static_cast<std::uint8_t>(random_() % 4);
    give_side(connection.original, connection.ipv6);
    give_side(connection.reply, connection.ipv6);
  }

  // Around a moment or an hour that the rules name, of some day.
  std::int64_t time() {
    constexpr std::uint64_t second = 1'000'000'000;
    constexpr std::uint64_t day = 86'400 * second;
    constexpr std::uint64_t some_years = 20'000 * day;
    if (values_.contains(imr::MetaKey::time) && random_() % 2 == 0) {
      return static_cast<std::int64_t>(number(imr::MetaKey::time, 8) % some_years);
    }
    const std::uint64_t hour = number(imr::MetaKey::hour, 4) % 86'400;
    return static_cast<std::int64_t>(random_() % some_years / day * day + hour * second +
                                     random_() % second);
  }

  // One of IPv4 may have a gateway of IPv6.
  packet::Route route(bool ipv6) {
    packet::Route out{.realms = static_cast<std::uint32_t>(random_() % 5),
                      .cached = random_() % 3 == 0,
                      .transformed = random_() % 2 == 0};
    if (random_() % 3 == 0) return out;
    out.next_hop = next_hops_.empty() ? Bytes() : next_hops_[random_() % next_hops_.size()];
    out.next_hop.resize(ipv6 || random_() % 6 == 0 ? 16 : 4);
    return out;
  }

  void give_side(packet::ConnectionSide& side, bool ipv6) {
    const auto address = [&] {
      Bytes out = ipv6 ? Bytes{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
                       : Bytes{10, 0, 0, 0};
      out.back() = static_cast<std::uint8_t>(random_() % 4);
      return out;
    };
    side = {.source = address(),
            .destination = address(),
            .source_port = 1000,
            .destination_port = 53,
            .bytes = random_() % 5,
            .packets = random_() % 4};
  }

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
  std::vector<Bytes> next_hops_;
};

constexpr int most_rounds = 100;

// Of test runs.
bool takes_marks(const Hook& hook) {
  return hook.kind != Hook::Kind::xdp && hook.kind != Hook::Kind::netfilter;
}

bool takes_frames(const Hook& hook) {
  return hook.kind == Hook::Kind::xdp || hook.kind == Hook::Kind::tc_ingress ||
         hook.kind == Hook::Kind::tc_egress || hook.kind == Hook::Kind::socket;
}

// A packet at a hook of one direction has the device of that direction (skb->dev), and before it is
// routed no other.
void place(packet::Packet& packet, const Hook& hook) {
  const auto some = [](packet::Device& device) {
    if (device.index == 0) device = {.index = 7, .name = "eth0"};
  };
  if (hook.kind == Hook::Kind::tc_ingress || hook.kind == Hook::Kind::cgroup_ingress ||
      hook.kind == Hook::Kind::socket) {
    packet.out = {};
    some(packet.in);
  } else if (hook.kind == Hook::Kind::tc_egress || hook.kind == Hook::Kind::cgroup_egress) {
    some(packet.out);
  }
}

}  // namespace

bool test_run_suffices(const driver::Reads& reads, const Hook& hook) {
  const bool marks = hook.kind != Hook::Kind::netfilter;
  return !reads.connection && !reads.random && !reads.next_hop &&
         std::ranges::all_of(reads.meta, [&](imr::MetaKey key) {
           switch (key) {
             case imr::MetaKey::l4proto:
             case imr::MetaKey::nfproto:
             case imr::MetaKey::protocol:
             case imr::MetaKey::length:
               return true;
             case imr::MetaKey::mark:
               return marks;
             default:
               return false;
           }
         });
}

// See kernel::test_run(). At TC it has no way to give a tag beside the bytes.
bool test_run_takes(const packet::Packet& packet, const Hook& hook) {
  const bool frames = takes_frames(hook);
  const ByteView bytes = frames ? ByteView(packet.bytes) : packet.network();
  if (hook.kind == Hook::Kind::xdp) return bytes.size() >= 14 && bytes.size() <= 3498;
  if (frames) {
    const packet::Packet seen = packet::as_received(packet);
    const std::size_t header = seen.ethertype == 0x0800 ? 20 : seen.ethertype == 0x86dd ? 40 : 1;
    return !seen.vlan && seen.network().size() >= header && bytes.size() <= 3498;
  }
  const bool ipv4 = packet.ethertype == 0x0800;
  if (bytes.size() < (ipv4 ? 20U : 40U) || bytes.size() > 3698) return false;
  return bytes[0] >> 4 == (ipv4 ? 4 : 6);
}

Result<std::vector<driver::Attachment>> plan_at_hook(const imr::Ruleset& ruleset,
                                                     const Hook& hook) {
  std::vector<driver::ChainName> chains;
  if (hook.kind != Hook::Kind::netfilter) {
    for (const imr::Chain& chain : ruleset.chains) {
      if (!chain.base) continue;
      const imr::Table& table = ruleset[chain.table];
      chains.push_back({.family = table.family, .table = table.name, .chain = chain.name});
    }
  }
  return driver::plan(ruleset, hook, chains);
}

Result<RulesetAtHook> read_at_hook(frontend::nft::ScratchNamespace& scratch,
                                   const std::string& script, const Hook& hook) {
  WEIR_TRY(ruleset, scratch.read(script, "generated.nft"));
  WEIR_TRY(attachments, plan_at_hook(ruleset, hook));
  return RulesetAtHook{
      .ruleset = std::move(ruleset), .hook = hook, .attachments = std::move(attachments)};
}

std::vector<packet::Packet> packets_for(const RulesetAtHook& subject, std::size_t count, bool facts,
                                        std::mt19937_64& random, bool deliverable) {
  const imr::Constants constants = imr::constants(subject.ruleset);
  const bool frames = takes_frames(subject.hook);
  const bool at_xdp = subject.hook.kind == Hook::Kind::xdp;
  packet::DirectedOptions options{.link_header = frames,
                                  .vlan_tags = at_xdp || facts,
                                  .other_protocols = frames,
                                  .deliverable = deliverable};
  if (frames) options.min_ipv4_size = options.min_ipv6_size = 0;
  const std::vector<packet::Probe> probes = imr::probes_of(subject.ruleset);
  Facts draw(constants, random);
  std::vector<packet::Packet> packets;
  // Some packets are not for a test run; others stand in for them.
  options.count = count;
  for (int round = 0; packets.size() < count; ++round) {
    invariant(round < most_rounds, "a test run takes too few of the packets");
    for (packet::Packet& packet : packet::directed_packets(probes, options, random)) {
      if (facts) draw.give(packet);
      if (!facts && takes_marks(subject.hook)) draw.give_mark(packet);
      if (facts) place(packet, subject.hook);
      // No driver and no socket hands in less than an Ethernet header.
      if (frames && packet.bytes.size() < 14) continue;
      if (!facts && !test_run_takes(packet, subject.hook)) continue;
      if (packets.size() < count) packets.push_back(std::move(packet));
    }
    options.count = 2 * (count - packets.size());
  }
  return packets;
}

}  // namespace weir::differential
