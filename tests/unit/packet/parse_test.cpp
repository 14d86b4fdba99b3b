// SPDX-License-Identifier: BSD-2-Clause
//
// Frames of every link type, broken ones included, and the text that people see.
#include "packet/parse.h"

#include <gtest/gtest.h>

#include <random>

#include "packet/builder.h"

namespace weir::packet {
namespace {

Bytes concatenate(Bytes first, ByteView second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST(Parse, EthernetSkipsUpToTwoTags) {
  for (std::size_t tags = 0; tags <= 3; ++tags) {
    const Packet built =
        build({.link = Ethernet{.tags = std::vector<VlanTag>(tags)}, .transport = Tcp{}});
    const Packet parsed = parse_frame(built.bytes, LinkType::ethernet);
    EXPECT_EQ(parsed.bytes, built.bytes);
    EXPECT_EQ(parsed.network_offset, 14 + 4 * std::min<std::size_t>(tags, 2)) << tags << " tags";
    EXPECT_EQ(parsed.ethertype, tags <= 2 ? ethertype_ipv4 : ethertype_vlan) << tags << " tags";
  }
}

TEST(Parse, EthernetLengthsAreNoEthertypes) {
  const Packet built = build({.link = Ethernet{.ethertype = 0x0026}, .network = OtherNetwork{}});
  EXPECT_EQ(parse_frame(built.bytes, LinkType::ethernet).ethertype, 0x0004);
}

TEST(Parse, EthernetDestinationGivesThePacketType) {
  Bytes frame = build({.link = Ethernet{}}).bytes;
  EXPECT_EQ(parse_frame(frame, LinkType::ethernet).type, PacketType::host);
  frame[0] = 0x33;
  EXPECT_EQ(parse_frame(frame, LinkType::ethernet).type, PacketType::multicast);
  std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
  EXPECT_EQ(parse_frame(frame, LinkType::ethernet).type, PacketType::broadcast);
}

TEST(Parse, RawIpByVersion) {
  EXPECT_EQ(parse_frame(build({.network = Ipv4{}}).bytes, LinkType::raw_ip).ethertype, 0x0800);
  EXPECT_EQ(parse_frame(build({.network = Ipv6{}}).bytes, LinkType::raw_ip).ethertype, 0x86dd);
  EXPECT_EQ(parse_frame(Bytes{0x55}, LinkType::raw_ip).ethertype, 0);
  EXPECT_EQ(parse_frame({}, LinkType::raw_ip).ethertype, 0);
}

TEST(Parse, CookedHeadersAreRemoved) {
  const Bytes ip = build({.network = Ipv6{}, .transport = Udp{}}).bytes;
  Bytes cooked(16);
  cooked[1] = 4;  // outgoing
  cooked[14] = 0x86;
  cooked[15] = 0xdd;
  const Packet first = parse_frame(concatenate(cooked, ip), LinkType::linux_cooked);
  EXPECT_EQ(first.bytes, ip);
  EXPECT_EQ(first.network_offset, 0U);
  EXPECT_EQ(first.ethertype, ethertype_ipv6);
  EXPECT_EQ(first.type, PacketType::outgoing);

  Bytes cooked2(20);
  cooked2[0] = 0x86;
  cooked2[1] = 0xdd;
  cooked2[10] = 2;  // multicast
  const Packet second = parse_frame(concatenate(cooked2, ip), LinkType::linux_cooked2);
  EXPECT_EQ(second.bytes, ip);
  EXPECT_EQ(second.network_offset, 0U);
  EXPECT_EQ(second.ethertype, ethertype_ipv6);
  EXPECT_EQ(second.type, PacketType::multicast);
}

TEST(Parse, CookedPacketsMayHoldTags) {
  const Bytes ip = build({.transport = Udp{}}).bytes;
  Bytes cooked2(20);
  cooked2[0] = 0x81;
  const Packet packet = parse_frame(concatenate(concatenate(cooked2, Bytes{0, 5, 8, 0}), ip),
                                    LinkType::linux_cooked2);
  EXPECT_EQ(packet.bytes, ip);
  EXPECT_EQ(packet.ethertype, ethertype_ipv4);
}

TEST(Parse, NullHasFourBytesOfEitherOrder) {
  const Bytes ip = build({.transport = Udp{}}).bytes;
  for (const Bytes& family : {Bytes{2, 0, 0, 0}, Bytes{0, 0, 0, 2}}) {
    const Packet packet = parse_frame(concatenate(family, ip), LinkType::null);
    EXPECT_EQ(packet.bytes, ip);
    EXPECT_EQ(packet.ethertype, ethertype_ipv4);
  }
}

constexpr LinkType link_types[] = {LinkType::ethernet, LinkType::raw_ip, LinkType::linux_cooked,
                                   LinkType::linux_cooked2, LinkType::null};

TEST(Parse, EveryPrefixOfAFrameIsTaken) {
  const Bytes frame =
      build({.link = Ethernet{.tags = {VlanTag{}, VlanTag{}}},
             .network =
                 Ipv6{.extensions = {Extension{}, Extension{.kind = IpProtocol::ah, .size = 16}}},
             .transport = Tcp{}})
          .bytes;
  for (const LinkType link_type : link_types) {
    for (std::size_t size = 0; size <= frame.size(); ++size) {
      const Packet packet = parse_frame(ByteView(frame).first(size), link_type);
      EXPECT_LE(packet.network_offset, packet.bytes.size());
      EXPECT_FALSE(summary(packet).empty());
    }
  }
}

TEST(Parse, RandomBytesAreTaken) {
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    Bytes frame(random() % 120);
    for (std::uint8_t& byte : frame) byte = static_cast<std::uint8_t>(random());
    // Most of them should look like IP to be of interest.
    if (frame.size() > 14 && i % 2 == 0) {
      frame[12] = i % 4 == 0 ? 0x08 : 0x86;
      frame[13] = i % 4 == 0 ? 0x00 : 0xdd;
      frame[14] = i % 4 == 0 ? static_cast<std::uint8_t>(0x40 | (frame[14] & 0x0f)) : 0x60;
      if (frame.size() > 20 && i % 4 != 0) frame[20] = Bytes{0, 43, 44, 60, 51, 6}[frame[20] % 6];
    }
    for (const LinkType link_type : link_types) {
      const Packet packet = parse_frame(frame, link_type);
      ASSERT_LE(packet.network_offset, packet.bytes.size());
      ASSERT_FALSE(summary(packet).empty());
    }
  }
}

TEST(Summary, ReadsLikeTcpdump) {
  const Ipv4 ip{.source = ipv4("10.0.0.1"), .destination = ipv4("10.0.0.2")};
  const Ipv6 ip6{.source = ipv6("2001:db8::1"), .destination = ipv6("2001:db8::2")};
  const auto ports = [](std::uint8_t flags) {
    return Tcp{.source_port = 1234, .destination_port = 22, .flags = flags};
  };
  const auto with_options = [&](std::vector<Extension> extensions) {
    Ipv6 header = ip6;
    header.extensions = std::move(extensions);
    return header;
  };
  Ipv4 first = ip;
  first.more_fragments = true;
  Ipv4 later = ip;
  later.fragment_offset = 185;
  const std::pair<Recipe, std::string> lines[] = {
      {{.network = ip, .transport = ports(2)}, "IP 10.0.0.1.1234 > 10.0.0.2.22 TCP S"},
      {{.network = ip, .transport = ports(0x12)}, "IP 10.0.0.1.1234 > 10.0.0.2.22 TCP S."},
      {{.network = ip, .transport = ports(0)}, "IP 10.0.0.1.1234 > 10.0.0.2.22 TCP none"},
      {{.network = ip6, .transport = Udp{1, 2}}, "IP6 2001:db8::1.1 > 2001:db8::2.2 UDP"},
      {{.network = ip, .transport = Icmp{}}, "IP 10.0.0.1 > 10.0.0.2 ICMP type 8 code 0"},
      {{.network = ip, .transport = Igmp{}}, "IP 10.0.0.1 > 10.0.0.2 IGMP type 22"},
      {{.network = ip, .transport = Esp{}}, "IP 10.0.0.1 > 10.0.0.2 ESP spi 0x00000001"},
      {{.network = ip, .transport = Ah{}}, "IP 10.0.0.1 > 10.0.0.2 AH spi 0x00000001"},
      {{.network = ip, .transport = Gre{}}, "IP 10.0.0.1 > 10.0.0.2 GRE 0x0800"},
      {{.network = ip, .transport = NoTransport{200}}, "IP 10.0.0.1 > 10.0.0.2 protocol 200"},
      {{.network = first, .transport = Udp{1, 2}}, "IP 10.0.0.1.1 > 10.0.0.2.2 UDP frag 0+"},
      {{.network = later, .transport = Udp{1, 2}}, "IP 10.0.0.1 > 10.0.0.2 UDP frag 1480"},
      {{.network = ip, .transport = Udp{}, .truncate = 19}, "IP malformed, 19 bytes"},
      {{.network = ip, .transport = Udp{}, .truncate = 23}, "IP 10.0.0.1 > 10.0.0.2 UDP"},
      {{.network = with_options({Extension{}}), .transport = Icmpv6{}},
       "IP6 2001:db8::1 > 2001:db8::2 ICMPv6 type 128 code 0"},
      {{.network = with_options({Extension{}}), .truncate = 47},
       "IP6 2001:db8::1 > 2001:db8::2 malformed, 47 bytes"},
      {{.link = Ethernet{.tags = {VlanTag{.id = 5}, VlanTag{.id = 6}}}, .network = Arp{}},
       "vlan 5 vlan 6 ARP request 10.0.0.1 > 10.0.0.2"},
      {{.link = Ethernet{}, .network = OtherNetwork{}, .payload = {1, 2}},
       "ethertype 0x88b5, 2 bytes"},
  };
  for (const auto& [recipe, expected] : lines) EXPECT_EQ(summary(build(recipe)), expected);
}

}  // namespace
}  // namespace weir::packet
