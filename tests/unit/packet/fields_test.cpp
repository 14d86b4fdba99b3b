// SPDX-License-Identifier: BSD-2-Clause
//
// The field table against the structures of the system's own headers, and against itself.
#include "packet/fields.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/igmp.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <cstddef>
#include <set>

namespace weir::packet {
namespace {

struct Expected {
  const char* field;
  std::size_t offset;  // bytes
  std::size_t size;
};

#define MEMBER(name, type, member)                     \
  Expected {                                           \
    name, offsetof(type, member), sizeof(type::member) \
  }

const Expected system_layouts[] = {
    MEMBER("ether daddr", ethhdr, h_dest),
    MEMBER("ether saddr", ethhdr, h_source),
    MEMBER("ether type", ethhdr, h_proto),
    MEMBER("arp htype", arphdr, ar_hrd),
    MEMBER("arp ptype", arphdr, ar_pro),
    MEMBER("arp hlen", arphdr, ar_hln),
    MEMBER("arp plen", arphdr, ar_pln),
    MEMBER("arp operation", arphdr, ar_op),
    MEMBER("arp saddr ether", ether_arp, arp_sha),
    MEMBER("arp saddr ip", ether_arp, arp_spa),
    MEMBER("arp daddr ether", ether_arp, arp_tha),
    MEMBER("arp daddr ip", ether_arp, arp_tpa),
    MEMBER("ip length", iphdr, tot_len),
    MEMBER("ip id", iphdr, id),
    MEMBER("ip frag-off", iphdr, frag_off),
    MEMBER("ip ttl", iphdr, ttl),
    MEMBER("ip protocol", iphdr, protocol),
    MEMBER("ip checksum", iphdr, check),
    MEMBER("ip saddr", iphdr, saddr),
    MEMBER("ip daddr", iphdr, daddr),
    MEMBER("ip6 length", ip6_hdr, ip6_plen),
    MEMBER("ip6 nexthdr", ip6_hdr, ip6_nxt),
    MEMBER("ip6 hoplimit", ip6_hdr, ip6_hlim),
    MEMBER("ip6 saddr", ip6_hdr, ip6_src),
    MEMBER("ip6 daddr", ip6_hdr, ip6_dst),
    MEMBER("hbh nexthdr", ip6_hbh, ip6h_nxt),
    MEMBER("hbh hdrlength", ip6_hbh, ip6h_len),
    MEMBER("rt nexthdr", ip6_rthdr, ip6r_nxt),
    MEMBER("rt hdrlength", ip6_rthdr, ip6r_len),
    MEMBER("rt type", ip6_rthdr, ip6r_type),
    MEMBER("rt seg-left", ip6_rthdr, ip6r_segleft),
    MEMBER("frag nexthdr", ip6_frag, ip6f_nxt),
    MEMBER("frag reserved", ip6_frag, ip6f_reserved),
    MEMBER("frag id", ip6_frag, ip6f_ident),
    MEMBER("dst nexthdr", ip6_dest, ip6d_nxt),
    MEMBER("dst hdrlength", ip6_dest, ip6d_len),
    MEMBER("th sport", udphdr, source),
    MEMBER("th dport", udphdr, dest),
    MEMBER("tcp sport", tcphdr, source),
    MEMBER("tcp dport", tcphdr, dest),
    MEMBER("tcp sequence", tcphdr, seq),
    MEMBER("tcp ackseq", tcphdr, ack_seq),
    MEMBER("tcp flags", tcphdr, th_flags),
    MEMBER("tcp window", tcphdr, window),
    MEMBER("tcp checksum", tcphdr, check),
    MEMBER("tcp urgptr", tcphdr, urg_ptr),
    MEMBER("udp sport", udphdr, source),
    MEMBER("udp dport", udphdr, dest),
    MEMBER("udp length", udphdr, len),
    MEMBER("udp checksum", udphdr, check),
    MEMBER("udplite sport", udphdr, source),
    MEMBER("udplite dport", udphdr, dest),
    MEMBER("udplite csumcov", udphdr, len),
    MEMBER("udplite checksum", udphdr, check),
    MEMBER("icmp type", icmphdr, type),
    MEMBER("icmp code", icmphdr, code),
    MEMBER("icmp checksum", icmphdr, checksum),
    MEMBER("icmp id", icmphdr, un.echo.id),
    MEMBER("icmp sequence", icmphdr, un.echo.sequence),
    MEMBER("icmp mtu", icmphdr, un.frag.mtu),
    MEMBER("icmp gateway", icmphdr, un.gateway),
    MEMBER("icmpv6 type", icmp6_hdr, icmp6_type),
    MEMBER("icmpv6 code", icmp6_hdr, icmp6_code),
    MEMBER("icmpv6 checksum", icmp6_hdr, icmp6_cksum),
    MEMBER("icmpv6 mtu", icmp6_hdr, icmp6_mtu),
    MEMBER("icmpv6 param-problem", icmp6_hdr, icmp6_pptr),
    MEMBER("icmpv6 id", icmp6_hdr, icmp6_id),
    MEMBER("icmpv6 sequence", icmp6_hdr, icmp6_seq),
    MEMBER("icmpv6 max-delay", icmp6_hdr, icmp6_maxdelay),
    MEMBER("igmp type", igmp, igmp_type),
    MEMBER("igmp mrt", igmp, igmp_code),
    MEMBER("igmp checksum", igmp, igmp_cksum),
    MEMBER("igmp group", igmp, igmp_group),
};
#undef MEMBER

TEST(Fields, StandWhereTheSystemHeadersPutThem) {
  for (const Expected& expected : system_layouts) {
    const Field* field = find_field(expected.field);
    ASSERT_NE(field, nullptr) << expected.field;
    EXPECT_EQ(field->bit_offset, expected.offset * 8) << expected.field;
    EXPECT_EQ(field->bit_length, expected.size * 8) << expected.field;
  }
}

TEST(Fields, HeaderSizesAreThoseOfTheSystemHeaders) {
  const std::pair<const char*, std::size_t> sizes[] = {
      {"ether", sizeof(ethhdr)}, {"arp", sizeof(arphdr)},       {"ip", sizeof(iphdr)},
      {"ip6", sizeof(ip6_hdr)},  {"rt", sizeof(ip6_rthdr)},     {"frag", sizeof(ip6_frag)},
      {"tcp", sizeof(tcphdr)},   {"udp", sizeof(udphdr)},       {"icmp", sizeof(icmphdr)},
      {"igmp", sizeof(igmp)},    {"icmpv6", sizeof(icmp6_hdr)},
  };
  for (const auto& [name, size] : sizes) {
    const Protocol* protocol = find_protocol(name);
    ASSERT_NE(protocol, nullptr) << name;
    EXPECT_EQ(protocol->header_size, size) << name;
  }
}

TEST(Fields, ProtocolNumbersAreThoseOfTheSystemHeaders) {
  const std::pair<const char*, int> numbers[] = {
      {"tcp", IPPROTO_TCP},    {"udp", IPPROTO_UDP},       {"udplite", IPPROTO_UDPLITE},
      {"sctp", IPPROTO_SCTP},  {"dccp", IPPROTO_DCCP},     {"icmp", IPPROTO_ICMP},
      {"igmp", IPPROTO_IGMP},  {"icmpv6", IPPROTO_ICMPV6}, {"ah", IPPROTO_AH},
      {"esp", IPPROTO_ESP},    {"gre", IPPROTO_GRE},       {"hbh", IPPROTO_HOPOPTS},
      {"rt", IPPROTO_ROUTING}, {"frag", IPPROTO_FRAGMENT}, {"dst", IPPROTO_DSTOPTS},
  };
  for (const auto& [name, number] : numbers) {
    const Protocol* protocol = find_protocol(name);
    ASSERT_NE(protocol, nullptr) << name;
    EXPECT_EQ(protocol->ip_protocol, number) << name;
  }
  EXPECT_EQ(find_protocol("ip")->ethertype, ETH_P_IP);
  EXPECT_EQ(find_protocol("ip6")->ethertype, ETH_P_IPV6);
  EXPECT_EQ(find_protocol("arp")->ethertype, ETH_P_ARP);
  EXPECT_EQ(find_protocol("vlan")->ethertype, ETH_P_8021Q);
}

TEST(Fields, BitFieldsNameTheBytesThatHoldThem) {
  const Field* flow_label = find_field("ip6 flowlabel");
  EXPECT_EQ(flow_label->byte_offset(), 1);
  EXPECT_EQ(flow_label->byte_length(), 3);
  const Field* type = find_field("dccp type");
  EXPECT_EQ(type->byte_offset(), 8);
  EXPECT_EQ(type->byte_length(), 1);
  const Field* id = find_field("vlan id");
  EXPECT_EQ(id->byte_offset(), 0);
  EXPECT_EQ(id->byte_length(), 2);
  EXPECT_EQ(id->protocol->layer_offset, 14);
}

TEST(Fields, NamesAreUniqueAndBeginWithTheirProtocol) {
  std::set<std::string_view> seen;
  for (const Field& field : fields()) {
    EXPECT_TRUE(seen.insert(field.name).second) << field.name << " is there twice";
    EXPECT_TRUE(field.name.starts_with(field.protocol->name)) << field.name;
    EXPECT_GE(field.bit_length, 1) << field.name;
    EXPECT_LE(field.bit_length, 128) << field.name;
    EXPECT_EQ(find_field(field.name), &field);
    // The addresses of ARP lie behind its fixed part.
    if (field.protocol->name != "arp") {
      EXPECT_LE(field.bit_offset + field.bit_length, field.protocol->header_size * 8)
          << field.name << " reaches beyond its header";
    }
  }
  EXPECT_EQ(find_field("tcp nonsense"), nullptr);
  EXPECT_EQ(find_protocol("nonsense"), nullptr);
}

}  // namespace
}  // namespace weir::packet
