// SPDX-License-Identifier: BSD-2-Clause
//
// Packets in words: each says what a person would expect, and mistakes are told at their column.
#include "packet/description.h"

#include <gtest/gtest.h>

#include "packet/builder.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

std::string summary_of(std::string_view text) {
  const auto description = parse_description(text);
  return description ? summary(description->packet) : description.error().text();
}

Bytes bytes_of(std::string_view text) {
  const auto description = parse_description(text);
  if (!description) ADD_FAILURE() << description.error().text();
  return description ? description->packet.bytes : Bytes{};
}

TEST(Description, NamesHeadersFromTheOutsideIn) {
  EXPECT_EQ(summary_of("ip saddr 10.0.0.1 daddr 192.0.2.7 tcp sport 1024 dport 22 flags syn|ack"),
            "IP 10.0.0.1.1024 > 192.0.2.7.22 TCP S.");
  EXPECT_EQ(summary_of("ip6 saddr 2001:db8::1 daddr ff02::1 icmpv6 type nd-router-advert"),
            "IP6 2001:db8::1 > ff02::1 ICMPv6 type 134 code 0");
  EXPECT_EQ(summary_of("vlan id 5 ip saddr 10.0.0.1, udp sport 1 dport 53"),
            "vlan 5 IP 10.0.0.1.1 > 10.0.0.2.53 UDP");
}

TEST(Description, ChoosesTheNetworkHeaderThatATransportNeeds) {
  EXPECT_TRUE(summary_of("icmp type echo-request").starts_with("IP ")) << summary_of("icmp");
  EXPECT_TRUE(summary_of("icmpv6 type 128").starts_with("IP6 ")) << summary_of("icmpv6");
  EXPECT_TRUE(summary_of("frag frag-off 3 udp").starts_with("IP6 "));
}

// The same packets as the builder makes them, checksums included.
TEST(Description, MakesWhatTheBuilderMakes) {
  EXPECT_EQ(bytes_of("ip ttl 3 udp dport 5000 payload 7"),
            build({.link = Ethernet{},
                   .network = Ipv4{.ttl = 3},
                   .transport = Udp{.destination_port = 5000},
                   .payload = Bytes(7)})
                .bytes);
  EXPECT_EQ(bytes_of("ip6 hbh dst frag id 9 tcp dport 443"),
            build({.link = Ethernet{},
                   .network = Ipv6{.extensions = {{.kind = IpProtocol::hop_by_hop},
                                                  {.kind = IpProtocol::destination},
                                                  {.kind = IpProtocol::fragment, .id = 9}}},
                   .transport = Tcp{.destination_port = 443}})
                .bytes);
  EXPECT_EQ(bytes_of("vlan id 7 pcp 3 vlan id 9 arp operation 2 saddr ip 10.0.0.9"),
            build({.link = Ethernet{.tags = {{.priority = 3, .id = 7}, {.id = 9}}},
                   .network = Arp{.operation = 2, .sender = {10, 0, 0, 9}}})
                .bytes);
}

TEST(Description, PutsAChecksumThatIsSaid) {
  const Bytes bytes = bytes_of("ip checksum 0xbeef udp checksum 0x1234");
  EXPECT_EQ(load_big_endian(ByteView(bytes).subspan(24, 2)), 0xbeefU);
  EXPECT_EQ(load_big_endian(ByteView(bytes).subspan(40, 2)), 0x1234U);
}

TEST(Description, TakesFactsOutsideTheBytes) {
  const auto description =
      parse_description("tcp meta mark 0x10 meta pkttype multicast ct state new");
  ASSERT_TRUE(description) << description.error().text();
  EXPECT_EQ(description->packet.mark, 16U);
  EXPECT_EQ(description->packet.type, PacketType::multicast);
  ASSERT_TRUE(description->connection);
  EXPECT_TRUE(description->connection->exists);
  EXPECT_EQ(description->connection->info, CtInfo::new_);
}

TEST(Description, TellsMistakesAtTheirColumn) {
  const auto error_of = [](std::string_view text) {
    const auto description = parse_description(text);
    return description ? "accepted" : description.error().text();
  };
  EXPECT_EQ(error_of("ip saddr 10.0.0.256"),
            "packet description:1:10: found '10.0.0.256', expected an IPv4 address for ip saddr");
  EXPECT_EQ(error_of("tcp dport 65536"),
            "packet description:1:11: found '65536', expected at most 65535 for tcp dport");
  EXPECT_EQ(error_of("tcp window"),
            "packet description:1:11: the description ends, expected a value for tcp window");
  EXPECT_EQ(error_of("saddr 10.0.0.1"),
            "packet description:1:1: found 'saddr', expected a protocol, meta, ct or payload");
  EXPECT_EQ(error_of("ip colour 1"),
            "packet description:1:4: found 'colour', expected a field of ip or a protocol");
  EXPECT_EQ(error_of("tcp ip"), "packet description:1:5: found 'ip', expected one network header");
  EXPECT_EQ(error_of("ip frag id 1"),
            "packet description:1:4: found 'frag', expected extension headers behind ip6 only");
}

}  // namespace
}  // namespace weir::packet
