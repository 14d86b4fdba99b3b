// SPDX-License-Identifier: BSD-2-Clause
//
// What directed packets promise: they reach every edge that they are there for, and keep within
// what their user can carry.
#include "packet/directed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "packet/builder.h"
#include "packet/checksum.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

std::vector<Packet> packets(const std::vector<Probe>& probes, const DirectedOptions& options,
                            std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  return directed_packets(probes, options, random);
}

std::uint64_t read(const Packet& packet, std::size_t offset, std::size_t size) {
  const ByteView network = packet.network();
  return offset + size > network.size() ? 0 : load_big_endian(network.subspan(offset, size));
}

TEST(Directed, TheSeedDecides) {
  const std::vector<Probe> probes = {{Layer::transport, 2, 2, {0, 22}}};
  const auto first = packets(probes, {}, 5);
  const auto again = packets(probes, {}, 5);
  const auto other = packets(probes, {}, 6);
  ASSERT_EQ(first.size(), 200U);
  bool differs = false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].bytes, again[i].bytes);
    differs = differs || first[i].bytes != other[i].bytes;
  }
  EXPECT_TRUE(differs);
}

TEST(Directed, SizesStayWithinTheirBounds) {
  const std::vector<Probe> probes = {{Layer::network, 9, 1, {6}}, {Layer::link, 12, 2, {8, 0}}};
  for (const bool link_header : {false, true}) {
    for (const std::size_t max_size : {std::size_t{128}, std::size_t{1500}}) {
      const DirectedOptions options{.count = 3000,
                                    .link_header = link_header,
                                    .vlan_tags = true,
                                    .other_protocols = true,
                                    .max_size = max_size};
      for (const Packet& packet : packets(probes, options)) {
        EXPECT_LE(packet.bytes.size(), max_size);
        ASSERT_LE(packet.network_offset, packet.bytes.size());
        if (link_header) continue;  // a probe may have made another ethertype of it
        EXPECT_EQ(packet.network_offset, 0U);
        EXPECT_GE(packet.bytes.size(), packet.ethertype == ethertype_ipv6 ? 40U : 20U);
      }
    }
  }
}

TEST(Directed, OneFamilyIfAskedTo) {
  for (const Packet& packet : packets({}, {.ipv6 = false})) {
    EXPECT_EQ(packet.ethertype, ethertype_ipv4);
  }
  for (const Packet& packet : packets({}, {.ipv4 = false})) {
    EXPECT_EQ(packet.ethertype, ethertype_ipv6);
  }
}

TEST(Directed, ValuesAndTheirNeighboursAppear) {
  // Carries and wraps included.
  const std::vector<Probe> probes = {{Layer::network, 12, 4, {10, 1, 255, 255}},
                                     {Layer::transport, 2, 2, {0, 0}, 1}};
  std::map<std::uint64_t, int> addresses;
  std::map<std::uint64_t, int> ports;
  for (const Packet& packet : packets(probes, {.count = 400, .ipv6 = false})) {
    ++addresses[read(packet, 12, 4)];
    const auto place = find_transport(packet.network(), packet.ethertype);
    if (place) ++ports[read(packet, place->offset + 2, 2)];
  }
  for (const std::uint64_t address : {0x0a01ffffU, 0x0a020000U, 0x0a01fffeU}) {
    EXPECT_GE(addresses[address], 20) << address;
  }
  for (const std::uint64_t port : {0U, 1U, 0xffffU}) EXPECT_GE(ports[port], 20) << port;
}

TEST(Directed, EveryOfManyProbesGetsItsTurn) {
  std::vector<Probe> probes;
  for (std::uint32_t i = 0; i < 100; ++i) {
    probes.push_back({Layer::network, 12, 4, {192, 168, 0, static_cast<std::uint8_t>(2 * i)}, i});
  }
  std::set<std::uint64_t> seen;
  for (const Packet& packet : packets(probes, {.count = 600, .ipv6 = false})) {
    seen.insert(read(packet, 12, 4));
  }
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(seen.contains(0xc0a80000 + 2 * i)) << "the value of probe " << i;
  }
}

TEST(Directed, ProbesOfAGroupHoldTogether) {
  const std::vector<Probe> probes = {
      {Layer::network, 12, 4, {10, 1, 2, 3}, 7, ethertype_ipv4, std::uint8_t{17}},
      {Layer::network, 16, 4, {10, 4, 5, 6}, 7, ethertype_ipv4, std::uint8_t{17}},
      {Layer::transport, 2, 2, {0x12, 0x34}, 7, ethertype_ipv4, std::uint8_t{17}},
      {Layer::transport, 0, 2, {0x56, 0x78}, 8, ethertype_ipv6, std::uint8_t{58}}};
  int together = 0;
  int icmpv6 = 0;
  for (const Packet& packet : packets(probes, {.count = 400})) {
    const auto place = find_transport(packet.network(), packet.ethertype);
    if (!place) continue;
    if (packet.ethertype == ethertype_ipv6 && place->protocol == 58) ++icmpv6;
    if (packet.ethertype != ethertype_ipv4 || place->protocol != 17) continue;
    if (read(packet, 12, 4) == 0x0a010203 && read(packet, 16, 4) == 0x0a040506 &&
        read(packet, place->offset + 2, 2) == 0x1234) {
      ++together;
    }
  }
  EXPECT_GE(together, 15);
  EXPECT_GE(icmpv6, 15);
}

TEST(Directed, ProbesOfChecksumsSurviveTheRepair) {
  const std::vector<Probe> probes = {{Layer::network, 10, 2, {0x12, 0x34}}};
  const auto made = packets(probes, {.count = 300, .ipv6 = false});
  EXPECT_GE(std::ranges::count_if(
                made, [](const Packet& packet) { return read(packet, 10, 2) == 0x1234; }),
            25);
}

TEST(Directed, ChecksumsAreRightInNearlyAllPackets) {
  const std::vector<Probe> probes = {{Layer::network, 12, 4, {10, 1, 2, 3}},
                                     {Layer::transport, 2, 2, {0, 22}}};
  int right = 0;
  const auto made = packets(probes, {.count = 1000});
  for (const Packet& packet : made) {
    Packet repaired = packet;
    repair_checksums(repaired);
    right += repaired.bytes == packet.bytes;
  }
  EXPECT_GE(right, 920);
  EXPECT_LT(right, 1000);
}

TEST(Directed, EveryShapeOfIpv4Appears) {
  std::set<unsigned> header_words;
  std::set<unsigned> protocols;
  std::set<std::size_t> bytes_behind_header;
  bool first = false, middle = false, last = false, wrong_length = false;
  for (const Packet& packet : packets({}, {.count = 4000, .ipv6 = false})) {
    const auto place = find_transport(packet.network(), packet.ethertype);
    if (!place) continue;
    header_words.insert(packet.bytes[0] & 0x0f);
    protocols.insert(place->protocol);
    bytes_behind_header.insert(packet.bytes.size() - place->offset);
    first |= place->more_fragments && place->fragment_offset == 0;
    middle |= place->more_fragments && place->fragment_offset != 0;
    last |= !place->more_fragments && place->fragment_offset != 0;
    wrong_length |= read(packet, 2, 2) != packet.bytes.size();
  }
  for (unsigned words = 5; words <= 15; ++words) EXPECT_TRUE(header_words.contains(words)) << words;
  for (const unsigned protocol :
       {1U, 2U, 6U, 17U, 33U, 47U, 50U, 51U, 58U, 59U, 132U, 136U, 253U}) {
    EXPECT_TRUE(protocols.contains(protocol)) << protocol;
  }
  for (const std::size_t size : {0U, 1U, 3U, 4U, 5U, 7U, 8U, 9U, 19U, 20U, 21U}) {
    EXPECT_TRUE(bytes_behind_header.contains(size)) << size;
  }
  EXPECT_TRUE(first && middle && last && wrong_length);
}

TEST(Directed, EveryShapeOfIpv6Appears) {
  std::set<unsigned> kinds;
  std::size_t longest = 0;
  int cut_chains = 0;
  bool atomic = false, first = false, later = false;
  for (const Packet& packet : packets({}, {.count = 4000, .ipv4 = false})) {
    const ByteView network = packet.network();
    const auto place = find_transport(network, packet.ethertype);
    if (!place) {
      ++cut_chains;
      continue;
    }
    std::size_t offset = 40, headers = 0;
    for (unsigned kind = network[6]; offset < place->offset; ++headers) {
      kinds.insert(kind);
      if (kind == 44) {
        atomic |= !place->is_fragment();
        first |= place->more_fragments && place->fragment_offset == 0;
        later |= place->fragment_offset != 0;
      }
      const std::size_t size = kind == 44   ? 8
                               : kind == 51 ? (network[offset + 1] + 2U) * 4
                                            : (network[offset + 1] + 1U) * 8;
      kind = network[offset];
      offset += size;
    }
    longest = std::max(longest, headers);
  }
  EXPECT_EQ(kinds, (std::set<unsigned>{0, 43, 44, 51, 60}));
  EXPECT_GE(longest, 175U);
  EXPECT_GE(cut_chains, 50);
  EXPECT_TRUE(atomic && first && later);
}

// Probes of items are written into packets that have them.
TEST(Directed, ItemsOfListsHoldWhatIsAskedOfThem) {
  const std::vector<Probe> probes = {{.layer = Layer::extension,
                                      .offset = 2,
                                      .length = 2,
                                      .value = {0x12, 0x34},
                                      .ip_protocol = 6,
                                      .item = ItemName{ItemKind::tcp_option, 2}},
                                     {.layer = Layer::extension,
                                      .offset = 4,
                                      .length = 4,
                                      .value = {1, 2, 3, 4},
                                      .group = 1,
                                      .ethertype = ethertype_ipv6,
                                      .item = ItemName{ItemKind::ipv6_header, 44}},
                                     {.layer = Layer::extension,
                                      .offset = 2,
                                      .length = 2,
                                      .value = {0x56, 0x78},
                                      .group = 2,
                                      .ethertype = ethertype_ipv4,
                                      .item = ItemName{ItemKind::ipv4_option, 148}},
                                     {.layer = Layer::extension,
                                      .offset = 4,
                                      .length = 4,
                                      .value = {5, 6, 7, 8},
                                      .group = 3,
                                      .ip_protocol = 132,
                                      .item = ItemName{ItemKind::sctp_chunk, 0}}};
  const std::vector<Bytes> wanted = {
      {2, 4, 0x12, 0x34}, {1, 2, 3, 4}, {148, 4, 0x56, 0x78}, {5, 6, 7, 8}};
  std::vector<int> found(wanted.size());
  for (const Packet& packet : packets(probes, {.count = 800})) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!std::ranges::search(packet.bytes, wanted[i]).empty()) ++found[i];
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_GE(found[i], 20) << "item " << i;
}

TEST(Directed, TagsAppearIfAskedTo) {
  std::set<std::uint32_t> offsets;
  std::set<std::uint16_t> ethertypes;
  const DirectedOptions options{
      .count = 2000, .link_header = true, .vlan_tags = true, .other_protocols = true};
  for (const Packet& packet : packets({}, options)) {
    offsets.insert(packet.network_offset);
    ethertypes.insert(packet.ethertype);
  }
  for (const std::uint32_t offset : {14U, 18U, 22U}) EXPECT_TRUE(offsets.contains(offset));
  for (const int type : {0x0800, 0x86dd, 0x0806, 0x88b5, 0x8100}) {
    EXPECT_TRUE(ethertypes.contains(static_cast<std::uint16_t>(type))) << type;
  }
  for (const Packet& packet : packets({}, {.link_header = true})) {
    EXPECT_EQ(packet.network_offset, 14U);
  }
}

// What ip_rcv() and ip_forward() ask for, read off the bytes.
void expect_forwarded_ipv4(const Packet& packet) {
  const std::size_t header_size = (packet.bytes[0] & 0x0f) * 4U;
  EXPECT_EQ(packet.bytes[0] >> 4, 4);
  ASSERT_GE(header_size, 20U);
  ASSERT_LE(header_size, packet.bytes.size());
  EXPECT_EQ(read(packet, 2, 2), packet.bytes.size());
  EXPECT_EQ(internet_checksum(packet.network().first(header_size)), 0);
  EXPECT_GE(packet.bytes[8], 2);
  EXPECT_EQ(read(packet, 12, 2), 0x0a01U);
  EXPECT_EQ(read(packet, 16, 2), 0x0a02U);
  EXPECT_NE(read(packet, 18, 2), 0U);
  EXPECT_NE(read(packet, 18, 2), 0xffffU);
}

void expect_forwarded_ipv6(const Packet& packet) {
  ASSERT_GE(packet.bytes.size(), 40U);
  EXPECT_EQ(packet.bytes[0] >> 4, 6);
  EXPECT_EQ(read(packet, 4, 2), packet.bytes.size() - 40);
  EXPECT_GE(packet.bytes[7], 2);
  EXPECT_EQ(read(packet, 8, 8), 0xfd00000000000001U);
  EXPECT_EQ(read(packet, 24, 8), 0xfd00000000000002U);
  if (packet.bytes[6] == 0) {
    ASSERT_GE(packet.bytes.size(), 48U);
    EXPECT_GE(packet.bytes.size(), 40 + (packet.bytes[41] + 1U) * 8);
  }
}

TEST(Directed, DeliverablePacketsAreThoseThatARouterForwards) {
  const std::vector<Probe> probes = {{Layer::network, 0, 1, {0x4f}},
                                     {Layer::network, 2, 2, {0, 5}},
                                     {Layer::network, 6, 1, {0}},
                                     {Layer::network, 8, 1, {1}},
                                     {Layer::network, 9, 1, {0}},
                                     {Layer::network, 12, 4, {127, 0, 0, 1}},
                                     {Layer::network, 16, 4, {224, 0, 0, 0}},
                                     {Layer::network, 20, 4, {0x83, 7, 4, 1}},
                                     {Layer::network, 40, 2, {6, 255}},
                                     {Layer::transport, 0, 4, {1, 2, 3, 4}}};
  const DirectedOptions options{.count = 4000,
                                .deliverable = true,
                                .ipv4_sources = Ipv4Prefix{ipv4("10.1.0.0"), 16},
                                .ipv4_destinations = Ipv4Prefix{ipv4("10.2.0.0"), 16},
                                .ipv6_sources = Ipv6Prefix{ipv6("fd00:0:0:1::"), 64},
                                .ipv6_destinations = Ipv6Prefix{ipv6("fd00:0:0:2::"), 64}};
  for (const Packet& packet : packets(probes, options)) {
    SCOPED_TRACE(to_hex(packet.bytes));
    if (packet.ethertype == ethertype_ipv4) expect_forwarded_ipv4(packet);
    if (packet.ethertype == ethertype_ipv6) expect_forwarded_ipv6(packet);
  }
}

TEST(Directed, MartiansGiveWayWithoutPrefixesToo) {
  const std::vector<Probe> probes = {{Layer::network, 12, 4, {127, 0, 0, 1}},
                                     {Layer::network, 16, 4, {255, 255, 255, 255}}};
  for (const Packet& packet : packets(probes, {.ipv6 = false, .deliverable = true})) {
    EXPECT_NE(packet.bytes[12], 127);
    EXPECT_LT(packet.bytes[16], 224);
  }
}

}  // namespace
}  // namespace weir::packet
