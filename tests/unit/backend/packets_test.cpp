// SPDX-License-Identifier: BSD-2-Clause
//
// How programs get at packets: the IPv6 walk and its limit, VLAN tags, what cannot be parsed, later
// fragments, and rules that a hook cannot serve.
#include <gtest/gtest.h>

#include "packet/builder.h"
#include "unit/backend/support.h"

namespace weir::test {
namespace {

using packet::Ethernet;
using packet::Ipv4;
using packet::Ipv6;
using packet::Recipe;
using packet::Tcp;

std::string unit(const std::string& hook, const std::string& nfproto, const std::string& policy,
                 const std::string& rules) {
  return "unit " + hook + " " + nfproto + " roots inet t c\ntable inet t\n" +
         "chain inet t c hook forward priority 0 policy " + policy + "\n" + rules;
}

const std::string ssh =
    "rule match meta l4proto == 0x06 match payload transport 2 2 == 0x0016 accept\n";
const std::string by_rule = "accept by #0, matched #0";

packet::Packet with_options(std::size_t headers, bool link) {
  Ipv6 network;
  network.extensions.assign(headers, packet::Extension{});
  Recipe recipe{.network = network, .transport = Tcp{.destination_port = 22}};
  if (link) recipe.link = Ethernet{};
  return packet::build(recipe);
}

// The kernel's nf_tables walks any number of headers; programs walk 200 and drop what has more.
TEST(Ipv6Walk, GoesOverTwoHundredHeadersAndDropsMore) {
  for (const std::string hook : {"netfilter:forward", "xdp"}) {
    for (const bool untrusted : {true, false}) {
      const std::string text = unit(hook, "ipv6", "accept", ssh);
      Compiled program = compile(text, {.untrusted_memory = untrusted});
      const imr::Unit judge = parse_unit(text);
      for (const std::size_t headers : {0U, 1U, 2U, 180U, 200U}) {
        const packet::Packet packet = with_options(headers, hook == "xdp");
        EXPECT_EQ(told(program, packet), by_rule) << hook << ", " << headers << " headers";
        EXPECT_EQ(meant(judge, packet), by_rule) << hook << ", " << headers << " headers";
      }
      for (const std::size_t headers : {201U, 250U}) {
        EXPECT_EQ(told(program, with_options(headers, hook == "xdp")), "drop by policy")
            << hook << ", " << headers << " headers";
      }
    }
  }
}

TEST(Vlan, TwoTagsAreSkippedAndMoreAreAnotherProtocol) {
  for (const std::string nfproto : {"ipv4", "ipv6"}) {
    const std::string text = unit("xdp", nfproto, "drop", ssh);
    Compiled program = compile(text);
    const imr::Unit judge = parse_unit(text);
    const auto tagged = [&](const std::vector<packet::VlanTag>& tags, std::uint16_t port) {
      Recipe recipe{.link = Ethernet{.tags = tags}, .transport = Tcp{.destination_port = port}};
      if (nfproto == "ipv6") recipe.network = Ipv6{};
      const packet::Packet packet = packet::build(recipe);
      const std::string outcome = told(program, packet);
      EXPECT_EQ(outcome, meant(judge, packet)) << to_hex(packet.bytes);
      return outcome;
    };
    const packet::VlanTag inner{.id = 5};
    const packet::VlanTag outer{.tpid = packet::ethertype_qinq, .id = 7};
    EXPECT_EQ(tagged({}, 22), by_rule);
    EXPECT_EQ(tagged({}, 23), "drop by policy");
    EXPECT_EQ(tagged({inner}, 22), by_rule);
    EXPECT_EQ(tagged({inner}, 23), "drop by policy");
    EXPECT_EQ(tagged({outer}, 22), by_rule);
    EXPECT_EQ(tagged({outer, inner}, 22), by_rule);
    EXPECT_EQ(tagged({inner, inner}, 22), by_rule);
    EXPECT_EQ(tagged({outer, inner}, 23), "drop by policy");
    EXPECT_EQ(tagged({outer, inner, inner}, 23), "accept by policy");
  }
}

// Loads of the link header do not move with the tags, those behind it do.
TEST(Vlan, LoadsCountFromTheirHeaders) {
  const std::string text =
      unit("xdp", "ipv4", "accept",
           "rule match payload link 12 2 == 0x8100 match payload link 14 2 == 0x0005\n"
           "  match payload network 16 4 == 0x0a000002 drop\n");
  Compiled program = compile(text);
  EXPECT_EQ(told(program, packet::build({.link = Ethernet{.tags = {{.id = 5}}}})),
            "drop by #0, matched #0");
  EXPECT_EQ(told(program, packet::build({.link = Ethernet{.tags = {{.id = 6}}}})),
            "accept by policy");
  EXPECT_EQ(told(program, packet::build({.link = Ethernet{}})), "accept by policy");
}

// A program of two units: each sees its packets, and others pass.
TEST(Xdp, ServesBothProtocols) {
  imr::Unit ipv4 = parse_unit(unit("xdp", "ipv4", "drop", ssh));
  imr::Unit ipv6 = ipv4;
  ipv6.nfproto = Nfproto::ipv6;
  Result<Compiled> program = Compiled::make({ipv4, ipv6});
  ASSERT_TRUE(program.has_value()) << program.error().text();
  const auto outcome = [&](const packet::NetworkHeader& network, std::uint16_t port) {
    return told(*program, packet::build({.link = Ethernet{},
                                         .network = network,
                                         .transport = Tcp{.destination_port = port}}));
  };
  EXPECT_EQ(outcome(Ipv4{}, 22), by_rule);
  EXPECT_EQ(outcome(Ipv4{}, 23), "drop by policy");
  EXPECT_EQ(outcome(Ipv6{}, 22), by_rule);
  EXPECT_EQ(outcome(Ipv6{}, 23), "drop by policy");
  EXPECT_EQ(outcome(packet::Arp{}, 23), "accept by policy");
  EXPECT_EQ(outcome(packet::OtherNetwork{}, 23), "accept by policy");
}

// The header says less or more than there is, is of another version, or is cut off.
std::vector<packet::Packet> unparsable(bool ipv4) {
  const auto v4 = [](const Ipv4& header, std::optional<std::size_t> cut = {}) {
    return packet::build(
        {.link = Ethernet{}, .network = header, .transport = Tcp{}, .truncate = cut});
  };
  const auto v6 = [](const Ipv6& header, std::optional<std::size_t> cut = {}) {
    return packet::build(
        {.link = Ethernet{}, .network = header, .transport = Tcp{}, .truncate = cut});
  };
  if (ipv4) {
    return {v4({.header_words = 4}),
            v4({.version = 6}),
            v4({.total_length = 19}),
            v4({.total_length = 41}),
            v4({.header_words = 15}),
            v4({.total_length = 65535}),
            v4({}, 33),
            v4({}, 14)};
  }
  Ipv6 fragment{.extensions = {{.kind = packet::IpProtocol::fragment, .fragment_offset = 1}}};
  fragment.extensions.front().next_header = 60;
  return {v6({.version = 4}), v6({.payload_length = 21}), v6({}, 53), v6({}, 14), v6(fragment)};
}

TEST(Xdp, AnswersForWhatItCannotParseByThePolicy) {
  for (const bool ipv4 : {true, false}) {
    const std::string nfproto = ipv4 ? "ipv4" : "ipv6";
    const std::string drop = unit("xdp", nfproto, "drop", "rule accept\n");
    const std::string accept = unit("xdp", nfproto, "accept", "rule drop\n");
    Compiled dropping = compile(drop);
    Compiled lenient = compile(drop, {.drop_unparsable = false});
    Compiled accepting = compile(accept);
    for (const packet::Packet& packet : unparsable(ipv4)) {
      const std::string bytes = to_hex(packet.bytes);
      EXPECT_EQ(told(dropping, packet), "drop by policy") << bytes;
      EXPECT_EQ(told(dropping, packet), meant(parse_unit(drop), packet)) << bytes;
      EXPECT_EQ(told(lenient, packet), "accept by policy") << bytes;
      EXPECT_EQ(told(lenient, packet), meant(parse_unit(drop), packet, {.drop_unparsable = false}))
          << bytes;
      EXPECT_EQ(told(accepting, packet), "accept by policy") << bytes;
    }
    Recipe whole{.link = Ethernet{}, .transport = Tcp{}};
    if (!ipv4) whole.network = Ipv6{};
    EXPECT_EQ(told(dropping, packet::build(whole)), by_rule);
  }
}

// nf_tables reads short loads out of later fragments, which carry no transport header.
TEST(LaterFragments, AreReadAtNetfilterHooksByFlaggedLoadsOnly) {
  const std::string rules =
      "rule match payload transport 2 2 later-fragments == 0x0016 counter\n"
      "rule match payload transport 2 2 == 0x0016 counter\n";
  const Recipe first{.network = Ipv4{.more_fragments = true},
                     .transport = Tcp{.destination_port = 22}};
  Recipe later = first;
  later.network = Ipv4{.fragment_offset = 1};
  Recipe later6 = first;
  later6.network =
      Ipv6{.destination = {0x20, 0x01},
           .extensions = {{.kind = packet::IpProtocol::fragment, .fragment_offset = 1}}};

  Compiled ipv4 = compile(unit("netfilter:forward", "ipv4", "accept", rules));
  EXPECT_EQ(told(ipv4, packet::build(first)), "accept by policy, matched #0 #1");
  EXPECT_EQ(told(ipv4, packet::build(later)), "accept by policy, matched #0");

  // IPv6: from the start of the IPv6 header, as the offset was never found.
  Compiled ipv6 =
      compile(unit("netfilter:forward", "ipv6", "accept",
                   "rule match payload transport 24 2 later-fragments == 0x2001 counter\n"
                   "rule match payload transport 24 2 == 0x2001 counter\n"));
  EXPECT_EQ(told(ipv6, packet::build(later6)), "accept by policy, matched #0");

  Compiled xdp = compile(unit("xdp", "ipv4", "accept", rules));
  Recipe frame = later;
  frame.link = Ethernet{};
  EXPECT_EQ(told(xdp, packet::build(frame)), "accept by policy");
  frame.network = first.network;
  EXPECT_EQ(told(xdp, packet::build(frame)), "accept by policy, matched #0 #1");
}

// ---- What hooks cannot serve --------------------------------------------------------------------

std::string refusal(const std::string& text) {
  const Result<Compiled> program = Compiled::make({parse_unit(text)});
  return program.has_value() ? "compiled" : program.error().text();
}

TEST(Refusals, NameTheExpressionTheRuleAndTheHooksThatCould) {
  EXPECT_EQ(refusal(unit("xdp", "ipv4", "accept",
                         "rule handle 4 \"meta mark 1 drop\" at a.nft:3:5\n"
                         "  match meta mark == 0x01000000 drop\n"
                         "rule handle 5 \"ct state new\" match (ct state & 0x08000000) != "
                         "0x00000000 drop\n"
                         "rule handle 6 \"iif lo\" match meta iif == 0x01000000 drop\n")),
            "rules that hook xdp cannot serve\n"
            "  a.nft:3: inet t c handle 4 'meta mark 1 drop': meta mark is not known there; use "
            "tc:ingress, tc:egress, netfilter:prerouting|input|forward|output|postrouting, "
            "cgroup:ingress, cgroup:egress or socket\n"
            "  inet t c handle 5 'ct state new': ct state is not known there; use tc:egress, "
            "netfilter:prerouting|input|forward|output|postrouting or cgroup:egress");
  EXPECT_EQ(refusal(unit("netfilter:input", "ipv4", "accept",
                         "rule handle 7 \"ether saddr\" match payload link 6 6 == "
                         "0x020000000001 drop\n")),
            "rules that hook netfilter:input cannot serve\n"
            "  inet t c handle 7 'ether saddr': the link-layer header is not known there; use xdp, "
            "tc:ingress, tc:egress or socket");
}

TEST(Refusals, CoverKeysOfSetsAndMapsAndChainsBehindJumps) {
  const std::string text =
      "unit xdp ipv4 roots ip t c\ntable ip t\n"
      "set ip t s mark 4 { 0x00000001 }\nmap ip t m mark 4 { 0x00000001 : drop }\n"
      "chain ip t c hook forward priority 0 policy accept\nrule jump sub\n"
      "chain ip t sub\n"
      "rule handle 1 \"a\" match meta mark in @s\nrule handle 2 \"b\" vmap meta mark @m\n"
      "rule handle 3 \"c\" match meta pkttype in [0x00, 0x01]\n"
      "rule handle 4 \"d\" match swap4((meta oif & 0x00ffffff)) == 0x00000001\n"
      "rule handle 5 \"e\" match meta oifname == 0x65\n"
      "chain ip t unreached\nrule handle 6 \"f\" match meta mark == 0x00000000\n";
  const std::string found = refusal(text);
  for (const char* note :
       {"handle 1 'a': meta mark", "handle 2 'b': meta mark", "handle 3 'c': meta pkttype",
        "handle 4 'd': meta oif", "handle 5 'e': meta oifname"}) {
    EXPECT_NE(found.find(note), std::string::npos) << note << " in\n" << found;
  }
  EXPECT_EQ(found.find("handle 6"), std::string::npos) << found;
}

}  // namespace
}  // namespace weir::test
