// SPDX-License-Identifier: BSD-2-Clause
//
// Built packets against bytes written by hand, and their checksums against the definition: the sum
// over everything that a checksum covers, itself included, is all ones.
#include "packet/builder.h"

#include <gtest/gtest.h>

#include "packet/checksum.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

Bytes pseudo_header(const Packet& packet, std::uint8_t protocol, std::size_t length) {
  const ByteView network = packet.network();
  const ByteView addresses =
      packet.ethertype == ethertype_ipv4 ? network.subspan(12, 8) : network.subspan(8, 32);
  Bytes bytes(addresses.begin(), addresses.end());
  const Bytes tail = big_endian_bytes(length, 4);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  bytes.insert(bytes.end(), {0, 0, 0, protocol});
  return bytes;
}

// The checksum over the segment, with or without a pseudo header; 0 when the one inside is right.
std::uint16_t residue(const Built& built, bool with_pseudo_header) {
  const ByteView segment = ByteView(built.packet.bytes).subspan(built.layout.transport_offset);
  Bytes covered;
  if (with_pseudo_header) {
    const auto place = find_transport(built.packet.network(), built.packet.ethertype);
    covered = pseudo_header(built.packet, place->protocol, segment.size());
  }
  covered.insert(covered.end(), segment.begin(), segment.end());
  return internet_checksum(covered);
}

TEST(Checksum, ExampleOfRfc1071) {
  const Bytes example = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(internet_checksum(example), static_cast<std::uint16_t>(~0xddf2));
}

TEST(Checksum, OddBytesCountAsPaddedWithZero) {
  EXPECT_EQ(internet_checksum(Bytes{0x12, 0x34, 0x56}), static_cast<std::uint16_t>(~0x6834));
}

TEST(Checksum, CheckValueOfCrc32c) {
  const std::string digits = "123456789";
  EXPECT_EQ(crc32c(Bytes(digits.begin(), digits.end())), 0xe3069283U);
}

TEST(Builder, UdpOverIpv4ByHand) {
  const Packet packet = build({.network = Ipv4{.source = ipv4("192.0.2.1"),
                                               .destination = ipv4("192.0.2.2"),
                                               .id = 0x1234,
                                               .dont_fragment = true},
                               .transport = Udp{.source_port = 1, .destination_port = 2},
                               .payload = {0xaa, 0xbb}});
  EXPECT_EQ(to_hex(packet.bytes),
            "0x4500001e123440004011a497"
            "c0000201c0000202"
            "00010002000ad117aabb");
  EXPECT_EQ(packet.network_offset, 0U);
  EXPECT_EQ(packet.ethertype, ethertype_ipv4);
}

TEST(Builder, EveryTransportChecksumIsRight) {
  const Bytes payload = {1, 2, 3, 4, 5, 6, 7};
  const TransportHeader with_pseudo_header[] = {Tcp{.options = {2, 4, 5, 0xb4}}, Udp{},
                                                UdpLite{.coverage = 0}, Dccp{}};
  const NetworkHeader networks[] = {Ipv4{.options = Bytes(12, 1)},
                                    Ipv6{.extensions = {Extension{}, Extension{.size = 24}}}};
  for (const NetworkHeader& network : networks) {
    for (const TransportHeader& transport : with_pseudo_header) {
      const Built built =
          build_with_layout({.network = network, .transport = transport, .payload = payload});
      EXPECT_EQ(residue(built, true), 0) << to_hex(built.packet.bytes);
    }
    const Built icmpv6 =
        build_with_layout({.network = network, .transport = Icmpv6{}, .payload = payload});
    EXPECT_EQ(residue(icmpv6, true), 0) << to_hex(icmpv6.packet.bytes);
    for (const TransportHeader& transport :
         {TransportHeader(Icmp{}), TransportHeader(Igmp{}), TransportHeader(Gre{0x0800, true})}) {
      const Built built =
          build_with_layout({.network = network, .transport = transport, .payload = payload});
      EXPECT_EQ(residue(built, false), 0) << to_hex(built.packet.bytes);
    }
  }
}

TEST(Builder, UdpLiteChecksumCoversTheHeaderAlone) {
  const Built built =
      build_with_layout({.transport = UdpLite{.coverage = 8}, .payload = {9, 9, 9}});
  const ByteView segment = ByteView(built.packet.bytes).subspan(built.layout.transport_offset);
  Bytes covered = pseudo_header(built.packet, 136, segment.size());
  covered.insert(covered.end(), segment.begin(), segment.begin() + 8);
  EXPECT_EQ(internet_checksum(covered), 0);
}

TEST(Builder, SctpChecksumIsCrc32cInLittleEndianOrder) {
  const Built built = build_with_layout({.transport = Sctp{}});
  Bytes segment(
      built.packet.bytes.begin() + static_cast<std::ptrdiff_t>(built.layout.transport_offset),
      built.packet.bytes.end());
  const auto written = static_cast<std::uint32_t>(load_native(ByteView(segment).subspan(8, 4)));
  std::fill_n(segment.begin() + 8, 4, std::uint8_t{0});
  EXPECT_EQ(written, crc32c(segment));
}

TEST(Builder, Ipv4OptionsOfEveryLength) {
  for (std::size_t length = 0; length <= 40; ++length) {
    const Built built = build_with_layout(
        {.network = Ipv4{.options = Bytes(length, 1)}, .transport = Tcp{.destination_port = 22}});
    const std::size_t header_size = 20 + (length + 3) / 4 * 4;
    EXPECT_EQ((built.packet.bytes[0] & 0x0f) * 4U, header_size);
    EXPECT_EQ(built.layout.network_end, header_size);
    EXPECT_EQ(built.layout.transport_offset, header_size);
    EXPECT_EQ(load_big_endian(ByteView(built.packet.bytes).subspan(2, 2)), header_size + 20);
    EXPECT_EQ(internet_checksum(ByteView(built.packet.bytes).first(header_size)), 0);
    EXPECT_EQ(residue(built, true), 0);
  }
}

TEST(Builder, Ipv6ExtensionHeadersChainUp) {
  const Built built = build_with_layout(
      {.network = Ipv6{.extensions = {Extension{.kind = IpProtocol::hop_by_hop, .size = 16},
                                      Extension{.kind = IpProtocol::routing, .size = 24},
                                      Extension{.kind = IpProtocol::ah, .size = 24},
                                      Extension{.kind = IpProtocol::fragment, .id = 0x01020304},
                                      Extension{.kind = IpProtocol::destination, .size = 2048}}},
       .transport = Tcp{}});
  const Bytes& bytes = built.packet.bytes;
  EXPECT_EQ(bytes[6], 0);
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(40, 16)), "0x2b011e0c000000000000000000000000");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(56, 4)), "0x33020400");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(80, 12)), "0x2c0400000000000100000001");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(104, 8)), "0x3c00000001020304");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(112, 2)), "0x06ff");
  EXPECT_EQ(built.layout.extension_ends, (std::vector<std::size_t>{56, 80, 104, 112, 2160}));
  EXPECT_EQ(load_big_endian(ByteView(bytes).subspan(4, 2)), bytes.size() - 40);
  const auto place = find_transport(built.packet.network(), ethertype_ipv6);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->offset, 2160U);
  EXPECT_EQ(place->protocol, 6);
  EXPECT_FALSE(place->is_fragment());
  EXPECT_EQ(residue(built, true), 0);
}

// Every option must lie inside its header, or hosts drop the packet.
TEST(Builder, OptionsFillTheirHeaderForEverySize) {
  for (std::size_t size = 8; size <= 2048; size += 8) {
    const Packet packet = build({.network = Ipv6{.extensions = {Extension{.size = size}}}});
    const ByteView header = ByteView(packet.bytes).subspan(40);
    ASSERT_EQ(header.size(), size);
    std::size_t at = 2;
    while (at < size) {
      ASSERT_LE(at + 2, size) << "a rest of one byte in a header of " << size;
      at += 2U + header[at + 1];
    }
    EXPECT_EQ(at, size);
  }
}

TEST(Builder, VlanTagsStandBetweenAddressesAndEthertype) {
  const Packet packet =
      build({.link = Ethernet{.tags = {VlanTag{.tpid = ethertype_qinq, .id = 0x123},
                                       VlanTag{.priority = 5, .drop_eligible = true, .id = 5}}},
             .network = Arp{}});
  EXPECT_EQ(to_hex(ByteView(packet.bytes).first(24)),
            "0x02000000000202000000000188a80123"
            "8100b0050806"
            "0001");
  EXPECT_EQ(packet.network_offset, 22U);
  EXPECT_EQ(packet.ethertype, ethertype_arp);
  EXPECT_EQ(packet.bytes.size(), 22U + 28U);
}

TEST(Builder, OverridesAreWrittenAsTheyAre) {
  const Packet packet = build({.network = Ipv4{.version = 5,
                                               .header_words = 4,
                                               .protocol = 200,
                                               .total_length = 7,
                                               .checksum = 0xdead},
                               .transport = Tcp{.header_words = 3, .checksum = 0xbeef}});
  EXPECT_EQ(to_hex(ByteView(packet.bytes).first(12)),
            "0x54000007000100004"
            "0c8dead");
  EXPECT_EQ(packet.bytes[32], 0x30);
  EXPECT_EQ(to_hex(ByteView(packet.bytes).subspan(36, 2)), "0xbeef");
}

TEST(Builder, TruncationCutsAnywhere) {
  const Recipe whole = {.link = Ethernet{}, .transport = Udp{}};
  const Bytes bytes = build(whole).bytes;
  for (std::size_t size = 0; size <= bytes.size() + 3; ++size) {
    Recipe recipe = whole;
    recipe.truncate = size;
    const Packet packet = build(recipe);
    EXPECT_EQ(packet.bytes.size(), std::min(size, bytes.size()));
    EXPECT_TRUE(std::equal(packet.bytes.begin(), packet.bytes.end(), bytes.begin()));
    EXPECT_LE(packet.network_offset, packet.bytes.size());
  }
}

TEST(Builder, BroadcastAndMulticastAreKnownByTheLinkAddress) {
  EXPECT_EQ(build({.link = Ethernet{.destination = {255, 255, 255, 255, 255, 255}}}).type,
            PacketType::broadcast);
  EXPECT_EQ(build({.link = Ethernet{.destination = {1, 0, 0x5e, 0, 0, 1}}}).type,
            PacketType::multicast);
  EXPECT_EQ(build({.link = Ethernet{}}).type, PacketType::host);
}

TEST(Headers, LaterIpv6FragmentsEndTheWalk) {
  const Packet packet = build(
      {.network = Ipv6{.extensions = {Extension{.kind = IpProtocol::fragment, .fragment_offset = 3},
                                      Extension{.kind = IpProtocol::destination}}},
       .transport = Tcp{}});
  const auto place = find_transport(packet.network(), ethertype_ipv6);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->offset, 48U);
  EXPECT_EQ(place->protocol, 60);
  EXPECT_EQ(place->fragment_offset, 24U);
}

TEST(Headers, CutChainsHaveNoTransportHeader) {
  const Recipe recipe = {.network = Ipv6{.extensions = {Extension{.size = 16}}},
                         .transport = Tcp{}};
  const Packet whole = build(recipe);
  for (std::size_t size = 0; size <= whole.bytes.size(); ++size) {
    const auto place = find_transport(ByteView(whole.bytes).first(size), ethertype_ipv6);
    EXPECT_EQ(place.has_value(), size >= 56) << size << " bytes";
  }
}

}  // namespace
}  // namespace weir::packet
