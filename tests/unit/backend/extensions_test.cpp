// SPDX-License-Identifier: BSD-2-Clause
//
// Extension headers, options and chunks: programs against the reference evaluator on directed
// packets, and the limits of the loops.
#include <gtest/gtest.h>

#include <random>

#include "imr/packet_view.h"
#include "imr/probes.h"
#include "packet/builder.h"
#include "packet/directed.h"
#include "packet/vlan.h"
#include "unit/backend/support.h"

namespace weir::test {
namespace {

using packet::Ipv4;
using packet::Ipv6;
using packet::Recipe;
using packet::Sctp;
using packet::Tcp;

std::string unit(const std::string& hook, const std::string& nfproto, const std::string& family,
                 const std::string& rules) {
  const bool frames = family == "netdev";
  const std::string base = frames && hook == "tc:egress" ? "egress"
                           : frames                      ? "ingress"
                                                         : "forward";
  return "unit " + hook + " " + nfproto + " roots " + family + " t c\ntable " + family + " t\n" +
         "chain " + family + " t c hook " + base + " priority 0 policy accept\n" + rules;
}

const std::string tcp_rules =
    "rule match extension tcp 2 2 2 >= 0x0100\n"
    "rule match extension tcp 2 present == 0x01\n"
    "rule match extension tcp 3 2 1 < 0x02\n"
    "rule match extension tcp 8 2 8 >= 0x0000000100000000\n"
    "rule match extension tcp 4 present == 0x00\n"
    "rule match extension tcp 0 present == 0x01\n"
    "rule match extension tcp 253 2 3 >= 0x000000\n"
    "rule match concat(extension tcp 1 0 1, extension tcp 2 1 1) == 0x0100000004000000\n"
    "rule match extension tcp 34 present == 0x01 match extension tcp 30 present == 0x00\n";
const std::string ipv6_rules =
    "rule match extension ipv6 0 present == 0x01\n"
    "rule match extension ipv6 43 2 1 >= 0x02\n"
    "rule match extension ipv6 43 8 16 >= 0x00000000000000000000000000000000\n"
    "rule match extension ipv6 44 4 4 < 0x00000200\n"
    "rule match (extension ipv6 44 2 2 & 0xfff8) == 0x0000\n"
    "rule match extension ipv6 51 present == 0x00\n"
    "rule match extension ipv6 60 1 1 >= 0x01\n"
    "rule match extension ipv6 135 present == 0x01\n"
    "rule match extension ipv6 59 present == 0x01\n"
    "rule match extension ipv6 6 2 2 == 0x0050\n";
const std::string ipv4_rules =
    "rule match extension ipv4 7 present == 0x01\n"
    "rule match extension ipv4 7 2 1 < 0x08\n"
    "rule match extension ipv4 131 3 4 >= 0x00000000\n"
    "rule match extension ipv4 137 present == 0x01\n"
    "rule match extension ipv4 148 2 2 == 0x0000\n"
    "rule match extension ipv4 148 present == 0x00\n";
const std::string sctp_rules =
    "rule match extension sctp 0 4 4 >= 0x00000001\n"
    "rule match extension sctp 0 present == 0x01\n"
    "rule match extension sctp 1 16 4 < 0x01000000\n"
    "rule match extension sctp 6 present == 0x00\n"
    "rule match extension sctp 9 0 4 >= 0x00000000\n";

std::vector<packet::Packet> packets_for(const imr::Unit& unit, const std::string& hook) {
  std::mt19937_64 random(17);
  const bool frames = hook.starts_with("xdp") || hook.starts_with("tc:");
  packet::DirectedOptions options{.count = unit.nfproto == Nfproto::other ? 4000U : 400U,
                                  .link_header = frames};
  options.ipv4 = unit.nfproto != Nfproto::ipv6;
  options.ipv6 = unit.nfproto != Nfproto::ipv4;
  if (frames) options.min_ipv4_size = options.min_ipv6_size = 0;
  std::vector<packet::Packet> packets =
      packet::directed_packets(imr::probes_of(unit.ruleset), options, random);
  std::erase_if(packets, [&](const packet::Packet& one) {
    // A frame that is of another unit.
    if (frames && one.bytes.size() >= 14 &&
        imr::view_of_frame(unit, one).kind == imr::FrameView::Kind::not_seen) {
      return true;
    }
    return frames ? one.bytes.size() < 14 : one.network().size() < options.min_ipv4_size;
  });
  return packets;
}

void agree(const std::string& hook, const std::string& nfproto, const std::string& family,
           const std::string& rules, const CompileOptions& options = {}) {
  const std::string text = unit(hook, nfproto, family, rules);
  SCOPED_TRACE(text);
  const imr::Unit judge = parse_unit(text);
  Compiled program = compile(text, options);
  std::size_t matched = 0;
  for (const packet::Packet& packet : packets_for(judge, hook)) {
    const std::string expected = meant(judge, packet);
    ASSERT_EQ(told(program, packet), expected) << to_hex(packet.bytes);
    matched += expected.find("matched") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(matched, 20U) << "hardly any packet has what is looked for";
}

TEST(Extensions, AreFoundAsTheEvaluatorFindsThem) {
  for (const std::string hook : {"netfilter:forward", "xdp", "tc:ingress"}) {
    agree(hook, "ipv4", "inet", tcp_rules);
    agree(hook, "ipv6", "inet", tcp_rules);
    agree(hook, "ipv6", "inet", ipv6_rules);
    agree(hook, "ipv4", "inet", ipv4_rules);
    agree(hook, "ipv4", "inet", sctp_rules);
    agree(hook, "ipv6", "inet", sctp_rules);
  }
}

TEST(Extensions, AreFoundInFramesOfDevices) {
  for (const std::string hook : {"tc:ingress", "tc:egress", "xdp"}) {
    agree(hook, "ipv4", "netdev", ipv4_rules + tcp_rules);
    agree(hook, "ipv6", "netdev", ipv6_rules + sctp_rules);
    agree(hook, "other", "netdev", ipv6_rules + ipv4_rules + tcp_rules);
  }
}

TEST(Extensions, AreFoundByProgramsOfAllForms) {
  const CompileOptions plain{.flow_passes = false};
  const CompileOptions all{.imr_passes = true};
  const CompileOptions copies{.untrusted_memory = false};
  const CompileOptions split{.small_parts = true};
  for (const CompileOptions& options : {plain, all, copies, split}) {
    agree("netfilter:forward", "ipv6", "inet", ipv6_rules + tcp_rules + sctp_rules, options);
    agree("netfilter:forward", "ipv4", "inet", ipv4_rules + tcp_rules + sctp_rules, options);
  }
}

// One rule looks by a loop of its own.
TEST(Extensions, AreFoundWhereNothingIsShared) {
  for (const std::string rule : {"rule match extension tcp 2 2 2 >= 0x0000\n",
                                 "rule match extension tcp 8 present == 0x00\n",
                                 "rule match extension ipv6 44 2 2 >= 0x0000\n",
                                 "rule match extension ipv6 60 present == 0x01\n",
                                 "rule match extension ipv6 135 present == 0x00\n",
                                 "rule match extension sctp 0 present == 0x01\n"}) {
    agree("netfilter:forward", "ipv6", "inet", rule);
    agree("xdp", "ipv6", "inet", rule);
  }
  agree("netfilter:forward", "ipv4", "inet", "rule match extension ipv4 148 present == 0x00\n");
}

TEST(Extensions, AreLookedForInTwoHundredChunks) {
  const std::string text =
      unit("netfilter:forward", "ipv4", "inet", "rule match extension sctp 0 present == 0x01\n");
  Compiled program = compile(text);
  const imr::Unit judge = parse_unit(text);
  const auto packet_with = [](std::size_t others) {
    Sctp sctp;
    for (std::size_t i = 0; i < others; ++i) {
      sctp.chunks.insert(sctp.chunks.end(), {9, 0, 0, 4});
    }
    sctp.chunks.insert(sctp.chunks.end(), {0, 0, 0, 4});
    return packet::build({.network = Ipv4{}, .transport = sctp});
  };
  for (const std::size_t others : {0U, 1U, 150U, 199U}) {
    EXPECT_EQ(told(program, packet_with(others)), meant(judge, packet_with(others)));
    EXPECT_EQ(told(program, packet_with(others)), "accept by policy, matched #0") << others;
  }
  EXPECT_EQ(told(program, packet_with(200)), "drop by policy");
}

TEST(Extensions, AreLookedForInTwoHundredHeaders) {
  const std::string text =
      unit("netfilter:forward", "ipv6", "inet", "rule match extension ipv6 43 present == 0x01\n");
  Compiled program = compile(text);
  const auto packet_with = [](std::size_t others) {
    Ipv6 network;
    network.extensions.assign(others, packet::Extension{});
    network.extensions.push_back({.kind = packet::IpProtocol::routing});
    return packet::build({.network = network, .transport = Tcp{}});
  };
  for (const std::size_t others : {0U, 1U, 180U, 199U}) {
    EXPECT_EQ(told(program, packet_with(others)), "accept by policy, matched #0") << others;
  }
  EXPECT_EQ(told(program, packet_with(200)), "drop by policy");
}

}  // namespace
}  // namespace weir::test
