// SPDX-License-Identifier: BSD-2-Clause
//
// Every hook's profile: random units mean there what the evaluator says, whatever lies in the
// linear part of a packet; link-layer loads see a tag that is in metadata; what a packet claims and
// is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "backend/limits.h"
#include "backend/servable.h"
#include "imr/reading.h"
#include "packet/builder.h"
#include "packet/vlan.h"
#include "unit/backend/support.h"
#include "unit/passes/unit_generator.h"

namespace weir::test {
namespace {

using packet::Arp;
using packet::Ethernet;
using packet::Ipv4;
using packet::Tcp;

struct Place {
  const char* hook;
  const char* family;   // "" keeps that of the random unit
  const char* nf_hook;  // of its base chains

  bool operator==(const Place& other) const {
    return std::string_view(hook) == other.hook && std::string_view(family) == other.family;
  }
};

std::ostream& operator<<(std::ostream& out, const Place& place) {
  return out << place.hook << " " << place.family;
}

std::string replaced(const std::string& text, const std::string& what, const std::string& with) {
  return std::regex_replace(text, std::regex(what), with);
}

// The unit in text, at another hook and of another family.
std::string moved(std::string text, const Place& place) {
  text = replaced(text, "^unit \\S+", std::string("unit ") + place.hook);
  if (*place.family != '\0') {
    text = replaced(text, "\\b(inet|ip|ip6) t\\b", std::string(place.family) + " t");
  }
  return replaced(text, "hook forward", std::string("hook ") + place.nf_hook);
}

bool takes_frames(const Place& place) {
  const std::string hook = place.hook;
  return hook == "xdp" || hook == "socket" || hook.starts_with("tc:");
}

// The protocols that have a unit in a program for these chains.
std::vector<imr::Unit> units(const std::string& text) {
  std::vector<imr::Unit> out;
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6, Nfproto::other}) {
    imr::Unit one =
        parse_unit(replaced(text, "^(unit \\S+) \\S+", "$1 " + std::string(to_string(nfproto))));
    if (sees(imr::family_of(one), nfproto)) out.push_back(std::move(one));
  }
  return out;
}

// What the units mean together: a packet is of one of them, or passes.
std::string meant(const std::vector<imr::Unit>& units, const packet::Packet& packet) {
  imr::Outcome whole;
  for (const imr::Unit& one : units) {
    if (imr::reading_of(one) == imr::Reading::stack) {
      if ((packet.ethertype == 0x0800 ? Nfproto::ipv4 : Nfproto::ipv6) != one.nfproto) continue;
    }
    const imr::Outcome part = imr::evaluate(one, packet);
    const bool silent =
        part.verdict == imr::Outcome::Verdict::accept && part.matched.empty() && !part.decided_by;
    if (!silent) whole = part;
  }
  return describe(whole);
}

// The packet as the hook sees it: one device, and its outer tag in metadata.
packet::Packet seen(const Place& place, packet::Packet packet) {
  const std::string hook = place.hook;
  (hook.ends_with("egress") ? packet.in : packet.out) = {};
  if (hook == "xdp" || !takes_frames(place)) return packet;
  return packet::as_received(std::move(packet));
}

bool reads_input(const std::string& text) {
  return text.find("meta iif") != std::string::npos;
}

class EveryHook : public testing::TestWithParam<Place> {};

TEST_P(EveryHook, MeansWhatTheEvaluatorSays) {
  const Place& place = GetParam();
  Random random(7);
  std::size_t matched = 0;
  for (int i = 0; i < 40 && !testing::Test::HasFailure(); ++i) {
    const bool linear = i % 2 == 0;
    const Nfproto nfproto = i % 4 < 2 ? Nfproto::ipv4 : Nfproto::ipv6;
    std::string text = random_unit({.at_xdp = true, .nfproto = nfproto}, random);
    if (place == Place{"tc:egress", "", "forward"} && reads_input(text)) continue;
    if (!takes_frames(place)) {
      text = random_unit({.at_xdp = false, .nfproto = nfproto}, random);
      if (reads_input(text) || text.find("meta oif") != std::string::npos ||
          text.find("ct state") != std::string::npos) {
        continue;
      }
    }
    // Beyond the linear part nf_tables itself reads later fragments otherwise.
    if (!linear) text = replaced(text, " later-fragments", "");
    const std::vector<packet::Packet> packets = packets_for(parse_unit(text), 60, random);
    const std::string there = moved(text, place);
    const std::vector<imr::Unit> judges = units(there);
    Result<Compiled> program = Compiled::make(judges, {.imr_passes = i % 3 == 0});
    ASSERT_TRUE(program.has_value()) << program.error().text() << there;
    for (const packet::Packet& made : packets) {
      const packet::Packet packet = seen(place, made);
      const std::uint32_t size = linear ? 0xffffffff : static_cast<std::uint32_t>(random() % 64);
      const std::string expected = meant(judges, packet);
      if (expected.find("matched") != std::string::npos) ++matched;
      EXPECT_EQ(describe(program->run(packet, size)), expected)
          << to_hex(packet.bytes) << "\nlinear " << size << "\n"
          << there;
      if (testing::Test::HasFailure()) break;
    }
  }
  EXPECT_GT(matched, 20U);
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, EveryHook,
    testing::Values(Place{"xdp", "", "forward"}, Place{"xdp", "netdev", "ingress"},
                    Place{"tc:ingress", "", "forward"}, Place{"tc:ingress", "inet", "ingress"},
                    Place{"tc:ingress", "netdev", "ingress"},
                    Place{"tc:ingress", "bridge", "prerouting"},
                    Place{"tc:ingress", "arp", "input"}, Place{"tc:egress", "", "forward"},
                    Place{"tc:egress", "netdev", "egress"}, Place{"cgroup:ingress", "", "forward"},
                    Place{"cgroup:egress", "", "forward"}, Place{"socket", "", "forward"}));

// Sockets, routes, groups of devices, and what is known of connections.
TEST(SeldomFacts, AreThoseOfThePacketAtEveryHook) {
  Random random(23);
  for (const Place& place :
       {Place{"netfilter:forward", "", "forward"}, Place{"cgroup:egress", "", "forward"},
        Place{"tc:egress", "", "forward"}, Place{"tc:ingress", "netdev", "ingress"},
        Place{"xdp", "netdev", "ingress"}}) {
    const bool at_netfilter = std::string_view(place.hook) == "netfilter:forward";
    std::size_t compiled = 0;
    std::size_t matched = 0;
    for (int i = 0; i < 160 && !testing::Test::HasFailure(); ++i) {
      const Nfproto nfproto = i % 4 < 2 ? Nfproto::ipv4 : Nfproto::ipv6;
      const std::string text = random_unit(
          {.at_xdp = takes_frames(place), .nfproto = nfproto, .all_facts = true}, random);
      const std::vector<packet::Packet> packets = packets_for(parse_unit(text), 40, random);
      const std::string there = moved(text, place);
      const std::vector<imr::Unit> judges =
          at_netfilter ? std::vector{parse_unit(there)} : units(there);
      // Refused by name, as random rules may be; no pass is to drop them before.
      const bool served = std::ranges::all_of(judges, [](const imr::Unit& one) {
        return backend::check_servable(one, backend::profile_for(one.hook)).has_value();
      });
      if (!served) continue;
      Result<Compiled> program = Compiled::make(judges, {.imr_passes = i % 3 == 0});
      ASSERT_TRUE(program) << program.error().text();
      ++compiled;
      for (const packet::Packet& made : packets) {
        packet::Packet packet = at_netfilter ? made : seen(place, made);
        // Elsewhere a packet is always at a device, which says what namespace it is in.
        const bool leaves = std::string_view(place.hook).ends_with("egress");
        packet::Device& device = leaves ? packet.out : packet.in;
        if (!at_netfilter && device.index == 0) {
          device.index = 3;
          device.name = "eth0";
        }
        const std::string expected = meant(judges, packet);
        if (expected.find("matched #") != std::string::npos) ++matched;
        EXPECT_EQ(describe(program->run(packet)), expected) << to_hex(packet.bytes) << "\n"
                                                            << there;
        if (testing::Test::HasFailure()) break;
      }
    }
    EXPECT_GT(compiled, 10U) << place;
    EXPECT_GT(matched, 100U) << place;
  }
}

// A socket of another namespace, of a connection that is being opened, or that is closing.
TEST(SocketFacts, AreThoseOfAFullSocketOfThisNamespace) {
  using Kind = engine::Socket::Kind;
  const std::string text =
      "unit netfilter:output ipv4 roots ip t c\ntable ip t\n"
      "chain ip t c hook output priority 0 policy accept\n"
      "rule match meta skuid == 0x05000000 drop\n";
  for (const auto& [kind, same_netns, has_file, dropped] :
       {std::tuple{Kind::full, true, true, true}, std::tuple{Kind::request, true, true, true},
        std::tuple{Kind::time_wait, true, true, false}, std::tuple{Kind::full, false, true, false},
        std::tuple{Kind::full, true, false, false}}) {
    Compiled program = compile(text);
    engine::Input in;
    const packet::Packet packet = packet::build({.network = Ipv4{}, .transport = Tcp{}});
    in.bytes = packet.bytes;
    in.protocol = 8;
    in.socket = {.kind = kind, .has_file = has_file, .same_netns = same_netns, .user = 5};
    EXPECT_EQ(program.accepts(in), !dropped)
        << static_cast<int>(kind) << " " << same_netns << " " << has_file;
  }
}

// rt_nexthop() in include/net/route.h: one by a gateway of IPv6 is as one without.
TEST(RouteFacts, OfIpv4AreThoseOfGatewaysOfIpv4) {
  const std::string text =
      "unit netfilter:output ipv4 roots ip t c\ntable ip t\n"
      "chain ip t c hook output priority 0 policy accept\n"
      "rule match nexthop(payload network 16 4) == 0x0a0000fe drop\n";
  const packet::Packet packet =
      packet::build({.network = Ipv4{.destination = {10, 9, 0, 1}}, .transport = Tcp{}});
  for (const auto& [family, dropped] : {std::pair{0, false}, {2, true}, {10, false}, {3, false}}) {
    Compiled program = compile(text);
    engine::Input in;
    in.bytes = packet.bytes;
    in.protocol = 8;
    in.route = engine::Route{.gateway_family = static_cast<std::uint8_t>(family),
                             .gateway = {10, 0, 0, 254}};
    EXPECT_EQ(program.accepts(in), !dropped) << family;
  }
}

// rt6_nexthop() in include/net/ip6_route.h: RTF_GATEWAY goes before RTF_CACHE.
TEST(RouteFacts, OfIpv6AreThoseOfGatewaysAndOfTheCache) {
  constexpr std::uint32_t gateway = 0x2;
  constexpr std::uint32_t cache = 0x01000000;
  const packet::Packet packet = packet::build(
      {.network = packet::Ipv6{.destination = packet::ipv6("2001:db8::3")}, .transport = Tcp{}});
  for (const auto& [flags, leads_to] :
       {std::pair{0U, 3}, std::pair{gateway, 1}, std::pair{cache, 2}, std::pair{gateway | cache, 1},
        std::pair{~(gateway | cache), 3}}) {
    Compiled program = compile(
        "unit netfilter:output ipv6 roots ip6 t c\ntable ip6 t\n"
        "chain ip6 t c hook output priority 0 policy accept\n"
        "rule match nexthop(payload network 24 16) == 0x20010db800000000000000000000000" +
        std::to_string(leads_to) + " drop\n");
    engine::Input in;
    in.bytes = packet.bytes;
    in.protocol = 0xdd86;
    in.route = engine::Route{.flags = flags,
                             .gateway6 = packet::ipv6("2001:db8::1"),
                             .destination = packet::ipv6("2001:db8::2")};
    EXPECT_FALSE(program.accepts(in)) << flags;
  }
}

// ---- VLAN tags in metadata
// ------------------------------------------------------------------------

// Each load of up to 8 bytes of the link header, against the bytes on the wire.
TEST(MetadataTag, IsWhereItWasForLinkLayerLoads) {
  const packet::Packet wire = packet::build(
      {.link = Ethernet{.tags = {{.id = 5}}}, .transport = Tcp{.destination_port = 22}});
  const packet::Packet tagged = packet::as_received(wire);
  ASSERT_TRUE(tagged.vlan.has_value());
  for (unsigned offset = 0; offset < 24; ++offset) {
    for (unsigned length = 1; length <= 8; ++length) {
      const Bytes there(wire.bytes.begin() + offset, wire.bytes.begin() + offset + length);
      const std::string text =
          "unit tc:ingress ipv4 roots netdev t c\ntable netdev t\n"
          "chain netdev t c hook ingress priority 0 policy accept\n"
          "rule match payload link " +
          std::to_string(offset) + " " + std::to_string(length) + " == " + to_hex(there) +
          " drop\n";
      Compiled program = compile(text);
      EXPECT_EQ(told(program, tagged), "drop by #0, matched #0") << text;
    }
  }
}

TEST(MetadataTag, StandsBehindNoPacketThatHasNone) {
  const std::string text =
      "unit tc:ingress ipv4 roots netdev t c\ntable netdev t\n"
      "chain netdev t c hook ingress priority 0 policy accept\n"
      "rule match payload link 12 2 == 0x8100 drop\n"
      "rule match payload link 12 4 == 0x08004500 counter\n";
  Compiled program = compile(text);
  EXPECT_EQ(told(program, packet::build({.link = Ethernet{}, .transport = Tcp{}})),
            "accept by policy, matched #1");
}

// ---- Devices without a link layer -------------------------------------------------------------

TEST(LinkLayer, IsAbsentOnDevicesWithoutOne) {
  const std::string text =
      "unit tc:ingress ipv4 roots inet t c\ntable inet t\n"
      "chain inet t c hook forward priority 0 policy drop\n"
      "rule match payload link 0 6 != 0x000000000000 counter\n"
      "rule match payload transport 2 2 == 0x0016 accept\n";
  Compiled program = compile(text);
  EXPECT_EQ(
      told(program, packet::build({.network = Ipv4{}, .transport = Tcp{.destination_port = 22}})),
      "accept by #1, matched #1");
}

// ---- Other protocols ----------------------------------------------------------------------------

TEST(OtherProtocols, MeetTheRulesOfNetdevChainsAndNoOthers) {
  const auto text = [](const std::string& hook, const std::string& family,
                       const std::string& nf_hook) {
    return "unit " + hook + " other roots " + family + " t c\ntable " + family + " t\nchain " +
           family + " t c hook " + nf_hook + " priority 0 policy accept\n" +
           "rule match meta protocol == 0x0806 match payload network 6 2 == 0x0001 drop\n"
           "rule match meta protocol == 0x0800 match meta l4proto >= 0x00 drop\n"
           "rule match meta protocol == 0x0800 drop\n";
  };
  const packet::Packet arp = packet::build({.link = Ethernet{}, .network = Arp{}});
  packet::Packet broken = packet::build({.link = Ethernet{}, .transport = Tcp{}});
  broken.bytes[14] = 0x41;
  const packet::Packet whole = packet::build({.link = Ethernet{}, .transport = Tcp{}});
  for (const std::string hook : {"xdp", "tc:ingress"}) {
    Result<Compiled> netdev = Compiled::make(units(text(hook, "netdev", "ingress")));
    ASSERT_TRUE(netdev.has_value()) << netdev.error().text();
    EXPECT_EQ(told(*netdev, arp), "drop by #0, matched #0") << hook;
    EXPECT_EQ(told(*netdev, broken), "drop by #2, matched #2") << hook;
    EXPECT_EQ(told(*netdev, whole), "drop by #1, matched #1") << hook;
    Result<Compiled> arps = Compiled::make(units(text(hook, "arp", "input")));
    ASSERT_TRUE(arps.has_value()) << arps.error().text();
    EXPECT_EQ(told(*arps, arp), "drop by #0, matched #0") << hook;
    EXPECT_EQ(told(*arps, broken), "accept by policy") << hook;
    EXPECT_EQ(told(*arps, whole), "accept by policy") << hook;
  }
}

// ---- Facts --------------------------------------------------------------------------------------

TEST(Facts, AreThoseOfThePacket) {
  struct Fact {
    const char* hook;
    const char* match;
  };
  packet::Packet packet = packet::build({.link = Ethernet{}, .transport = Tcp{}});
  packet.mark = 7;
  packet.type = packet::PacketType::multicast;
  packet.has_connection = true;
  packet.ct_info = packet::CtInfo::established_reply;
  for (const auto& [hook, match] :
       {Fact{"tc:ingress", "meta mark == 0x07000000"},
        Fact{"tc:egress", "meta mark == 0x07000000"},
        Fact{"cgroup:ingress", "meta mark == 0x07000000"},
        Fact{"socket", "meta mark == 0x07000000"},
        Fact{"tc:ingress", "meta pkttype == 0x02"},
        Fact{"cgroup:egress", "meta pkttype == 0x02"},
        Fact{"tc:ingress", "meta iif == 0x03000000"},
        Fact{"tc:egress", "meta oif == 0x04000000"},
        Fact{"cgroup:ingress", "meta iif == 0x03000000"},
        Fact{"cgroup:egress", "meta oif == 0x04000000"},
        Fact{"xdp", "meta iifname == 0x657468300000000000000000000000"},
        Fact{"tc:ingress", "meta iifname == 0x65746830000000000000000000000000"},
        Fact{"tc:egress", "meta oifname == 0x6c6f6e676e616d65642e313233340000"},
        Fact{"cgroup:ingress", "meta iifname == 0x65746830000000000000000000000000"},
        Fact{"cgroup:egress", "meta oifname == 0x6c6f6e676e616d65642e313233340000"},
        Fact{"socket", "meta iifname == 0x65746830000000000000000000000000"},
        Fact{"tc:egress", "ct state == 0x02000000"},
        Fact{"cgroup:egress", "ct state == 0x02000000"},
        Fact{"xdp", "meta protocol == 0x0800"},
        Fact{"tc:ingress", "meta protocol == 0x0800"},
        Fact{"cgroup:ingress", "meta protocol == 0x0800"},
        Fact{"xdp", "meta iiftype == 0x0100"},
        Fact{"tc:ingress", "meta iiftype == 0x0100"}}) {
    const bool out = std::string(hook).ends_with("egress");
    packet.in = out ? packet::Device{} : packet::Device{.index = 3, .name = "eth0"};
    packet.out = out ? packet::Device{.index = 4, .name = "longnamed.1234"} : packet::Device{};
    const std::string text = std::string("unit ") + hook +
                             " ipv4 roots inet t c\ntable inet t\n"
                             "chain inet t c hook forward priority 0 policy accept\n"
                             "rule match " +
                             match + " drop\n";
    Compiled program = compile(text);
    EXPECT_EQ(told(program, packet), "drop by #0, matched #0") << hook << " " << match;
  }
}

// ---- Limits
// ---------------------------------------------------------------------------------------

TEST(Limits, KeepTheMeaning) {
  Random random(11);
  for (const char* hook : {"xdp", "tc:ingress", "cgroup:egress", "socket", "netfilter:forward"}) {
    const Place place{hook, "", "forward"};
    for (const backend::Limit limit : backend::all_limits) {
      const bool at_netfilter = std::string_view(hook).starts_with("netfilter");
      if (limit == backend::Limit::no_kfuncs && at_netfilter) continue;
      const bool at_xdp = std::string_view(hook) == "xdp";
      if (limit == backend::Limit::offload && !at_xdp) continue;
      // The helpers of these are the kernel's alone; driver/limits_test.cpp runs them there.
      if (limit == backend::Limit::helper_access && (at_netfilter || at_xdp)) continue;
      CompileOptions options;
      options.limits.insert(limit);
      std::size_t compiled = 0;
      for (int i = 0; i < 8 && !testing::Test::HasFailure(); ++i) {
        const std::string text =
            random_unit({.at_xdp = takes_frames(place), .nfproto = Nfproto::ipv4}, random);
        const std::vector<packet::Packet> packets = packets_for(parse_unit(text), 30, random);
        const std::string there = moved(text, place);
        const std::vector<imr::Unit> judges =
            at_netfilter ? std::vector{parse_unit(there)} : units(there);
        Result<Compiled> program = Compiled::make(judges, options);
        if (!program) {  // refused by name, as random rules may be
          EXPECT_TRUE(program.error().text().starts_with("rules that hook"))
              << program.error().text();
          continue;
        }
        ++compiled;
        for (const packet::Packet& made : packets) {
          const packet::Packet packet = at_netfilter ? made : seen(place, made);
          EXPECT_EQ(describe(program->run(packet)), meant(judges, packet))
              << hook << " " << to_string(limit) << " " << to_hex(packet.bytes) << "\n"
              << there;
        }
      }
      EXPECT_GT(compiled, 0U) << hook << " " << to_string(limit);
    }
  }
}

}  // namespace
}  // namespace weir::test
