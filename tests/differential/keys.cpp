// SPDX-License-Identifier: BSD-2-Clause
#include "differential/keys.h"

namespace weir::differential {
namespace {

constexpr std::array<std::uint64_t, 8> ports = {22, 53, 80, 443, 1024, 5353, 8080, 33434};
constexpr std::array<std::uint64_t, 8> v4_sources = {
    0x0a000001, 0x0a000002, 0x0a000101, 0x0a0001fe, 0xc0a80001, 0xc0a80107, 0xac100003, 0x08080808};
constexpr std::array<std::uint64_t, 8> v6_addresses = {0x00001, 0x00002, 0x000ff, 0x10001,
                                                       0x10100, 0x20001, 0x30001, 0x40001};
constexpr std::array<std::uint64_t, 8> protocols = {6, 17, 1, 58, 132, 136, 50, 51};
constexpr std::array<std::uint64_t, 8> lengths = {20, 40, 60, 84, 128, 576, 1280, 1500};
constexpr std::array<std::uint64_t, 8> words = {1, 2, 255, 256, 0x1234, 0x10000, 0xdeadbeef, 77};
constexpr std::array<std::uint64_t, 8> shorts = {0, 1, 2, 255, 256, 1400, 4660, 65535};
constexpr std::array<std::uint64_t, 8> bytes = {0, 1, 2, 64, 127, 128, 254, 255};
constexpr std::array<std::uint64_t, 8> few = {0, 1, 2, 3, 5, 6, 8, 10};
constexpr std::array<std::uint64_t, 8> flags = {2, 18, 16, 1, 4, 17, 24, 0};

constexpr std::array<std::uint64_t, 8> macs = {0x020000000001, 0x020000000002, 0x0100000000ff,
                                               0xffffffffffff, 0x01005e000001, 0x0200000000ff,
                                               0x020000000100, 0x020000000000};

constexpr std::array<std::uint64_t, 8> ethertypes = {0x0800, 0x86dd, 0x0806, 0x8100,
                                                     0x88a8, 0x88b5, 0x0004, 0x0001};

constexpr std::array table = {
    Key{"ip saddr", L3::ipv4, L4::any, Notation::ipv4, 32, v4_sources},
    Key{"ip daddr", L3::ipv4, L4::any, Notation::ipv4, 32, v4_sources},
    Key{"ip version", L3::ipv4, L4::any, Notation::number, 4, {4, 5, 6, 4, 4, 4, 4, 4}},
    Key{"ip hdrlength", L3::ipv4, L4::any, Notation::number, 4, {5, 6, 7, 15, 5, 5, 8, 10}},
    Key{"ip dscp", L3::ipv4, L4::any, Notation::number, 6, {0, 8, 10, 46, 63, 0, 1, 32}},
    Key{"ip ecn", L3::ipv4, L4::any, Notation::number, 2, {0, 1, 2, 3, 0, 1, 2, 3}, false},
    Key{"ip length", L3::ipv4, L4::any, Notation::number, 16, lengths},
    Key{"ip id", L3::ipv4, L4::any, Notation::number, 16, shorts},
    Key{"ip frag-off",
        L3::ipv4,
        L4::any,
        Notation::number,
        16,
        {0, 0x4000, 0x2000, 1, 0x2001, 185, 0x1fff, 0}},
    Key{"ip ttl", L3::ipv4, L4::any, Notation::number, 8, {1, 2, 63, 64, 127, 128, 255, 64}},
    Key{"ip protocol", L3::ipv4, L4::any, Notation::number, 8, protocols},
    Key{"ip checksum", L3::ipv4, L4::any, Notation::number, 16, shorts},
    Key{"ip6 saddr", L3::ipv6, L4::any, Notation::ipv6, 16, v6_addresses},
    Key{"ip6 daddr", L3::ipv6, L4::any, Notation::ipv6, 16, v6_addresses},
    Key{"ip6 version", L3::ipv6, L4::any, Notation::number, 4, {6, 4, 6, 6, 6, 5, 7, 6}},
    Key{"ip6 dscp", L3::ipv6, L4::any, Notation::number, 6, {0, 8, 10, 46, 63, 0, 1, 32}},
    Key{"ip6 ecn", L3::ipv6, L4::any, Notation::number, 2, {0, 1, 2, 3, 0, 1, 2, 3}, false},
    Key{"ip6 flowlabel", L3::ipv6, L4::any, Notation::number, 20, few},
    Key{"ip6 length", L3::ipv6, L4::any, Notation::number, 16, lengths},
    Key{"ip6 nexthdr", L3::ipv6, L4::any, Notation::number, 8, {6, 17, 58, 44, 0, 43, 60, 51}},
    Key{"ip6 hoplimit", L3::ipv6, L4::any, Notation::number, 8, {1, 2, 63, 64, 127, 128, 255, 64}},
    Key{"tcp sport", L3::any, L4::tcp, Notation::number, 16, ports},
    Key{"tcp dport", L3::any, L4::tcp, Notation::number, 16, ports},
    Key{"tcp dport", L3::any, L4::tcp, Notation::number, 16, ports},
    Key{"tcp sequence", L3::any, L4::tcp, Notation::number, 32, words},
    Key{"tcp ackseq", L3::any, L4::tcp, Notation::number, 32, words},
    Key{"tcp doff", L3::any, L4::tcp, Notation::number, 4, {5, 6, 8, 10, 15, 5, 5, 0}},
    Key{"tcp reserved", L3::any, L4::tcp, Notation::number, 4, few},
    Key{"tcp flags", L3::any, L4::tcp, Notation::number, 8, flags, false},
    Key{"tcp window", L3::any, L4::tcp, Notation::number, 16, shorts},
    Key{"tcp checksum", L3::any, L4::tcp, Notation::number, 16, shorts},
    Key{"tcp urgptr", L3::any, L4::tcp, Notation::number, 16, shorts},
    Key{"udp sport", L3::any, L4::udp, Notation::number, 16, ports},
    Key{"udp dport", L3::any, L4::udp, Notation::number, 16, ports},
    Key{"udp dport", L3::any, L4::udp, Notation::number, 16, ports},
    Key{"udp length", L3::any, L4::udp, Notation::number, 16, lengths},
    Key{"udp checksum", L3::any, L4::udp, Notation::number, 16, shorts},
    Key{"udplite sport", L3::any, L4::udplite, Notation::number, 16, ports},
    Key{"udplite dport", L3::any, L4::udplite, Notation::number, 16, ports},
    Key{"udplite csumcov", L3::any, L4::udplite, Notation::number, 16, lengths},
    Key{"udplite checksum", L3::any, L4::udplite, Notation::number, 16, shorts},
    Key{"sctp sport", L3::any, L4::sctp, Notation::number, 16, ports},
    Key{"sctp dport", L3::any, L4::sctp, Notation::number, 16, ports},
    Key{"sctp vtag", L3::any, L4::sctp, Notation::number, 32, words},
    Key{"sctp checksum", L3::any, L4::sctp, Notation::number, 32, words},
    Key{"dccp sport", L3::any, L4::dccp, Notation::number, 16, ports},
    Key{"dccp dport", L3::any, L4::dccp, Notation::number, 16, ports},
    Key{"dccp type", L3::any, L4::dccp, Notation::number, 4, {0, 1, 2, 3, 4, 5, 6, 7}, false},
    Key{"icmp type", L3::ipv4, L4::icmp, Notation::number, 8, {8, 0, 3, 11, 5, 13, 8, 0}},
    Key{"icmp code", L3::ipv4, L4::icmp, Notation::number, 8, few},
    Key{"icmp checksum", L3::ipv4, L4::icmp, Notation::number, 16, shorts},
    Key{"icmp id", L3::ipv4, L4::icmp, Notation::number, 16, shorts},
    Key{"icmp sequence", L3::ipv4, L4::icmp, Notation::number, 16, shorts},
    Key{"icmp mtu", L3::ipv4, L4::icmp, Notation::number, 16, lengths},
    Key{"icmp gateway", L3::ipv4, L4::icmp, Notation::number, 32, words},
    Key{"icmpv6 type",
        L3::ipv6,
        L4::icmpv6,
        Notation::number,
        8,
        {128, 129, 1, 2, 3, 133, 135, 136}},
    Key{"icmpv6 code", L3::ipv6, L4::icmpv6, Notation::number, 8, few},
    Key{"icmpv6 checksum", L3::ipv6, L4::icmpv6, Notation::number, 16, shorts},
    Key{"icmpv6 id", L3::ipv6, L4::icmpv6, Notation::number, 16, shorts},
    Key{"icmpv6 sequence", L3::ipv6, L4::icmpv6, Notation::number, 16, shorts},
    Key{"icmpv6 mtu", L3::ipv6, L4::icmpv6, Notation::number, 32, lengths},
    Key{"icmpv6 max-delay", L3::ipv6, L4::icmpv6, Notation::number, 16, shorts},
    Key{"ah hdrlength", L3::any, L4::ah, Notation::number, 8, few},
    Key{"ah reserved", L3::any, L4::ah, Notation::number, 16, shorts},
    Key{"ah spi", L3::any, L4::ah, Notation::number, 32, words},
    Key{"ah sequence", L3::any, L4::ah, Notation::number, 32, words},
    Key{"esp spi", L3::any, L4::esp, Notation::number, 32, words},
    Key{"esp sequence", L3::any, L4::esp, Notation::number, 32, words},
    Key{"comp flags", L3::any, L4::comp, Notation::number, 8, bytes},
    Key{"comp cpi", L3::any, L4::comp, Notation::number, 16, shorts},
    Key{"igmp type", L3::ipv4, L4::igmp, Notation::number, 8, {17, 18, 22, 23, 17, 18, 22, 34}},
    Key{"igmp mrt", L3::ipv4, L4::igmp, Notation::number, 8, bytes},
    Key{"th sport", L3::any, L4::ports, Notation::number, 16, ports},
    Key{"th dport", L3::any, L4::ports, Notation::number, 16, ports},
    Key{"th dport", L3::any, L4::ports, Notation::number, 16, ports},
    Key{"arp htype", L3::arp, L4::any, Notation::number, 16, few},
    Key{"arp ptype", L3::arp, L4::any, Notation::number, 16, ethertypes, false},
    Key{"arp hlen", L3::arp, L4::any, Notation::number, 8, few},
    Key{"arp plen", L3::arp, L4::any, Notation::number, 8, few},
    Key{"arp operation", L3::arp, L4::any, Notation::number, 16, few},
    Key{"arp saddr ip", L3::arp, L4::any, Notation::ipv4, 32, v4_sources},
    Key{"arp daddr ip", L3::arp, L4::any, Notation::ipv4, 32, v4_sources},
    Key{"arp saddr ether", L3::arp, L4::any, Notation::mac, 48, macs},
    Key{"arp daddr ether", L3::arp, L4::any, Notation::mac, 48, macs},
    Key{"meta l4proto", L3::any, L4::any, Notation::number, 8, protocols},
    Key{"meta l4proto", L3::any, L4::any, Notation::number, 8, protocols},
    Key{"meta length", L3::any, L4::any, Notation::number, 32, lengths},
    Key{"meta nfproto",
        L3::any,
        L4::any,
        Notation::number,
        8,
        {2, 10, 2, 10, 2, 10, 2, 10},
        false,
        true},
    Key{"meta protocol",
        L3::any,
        L4::any,
        Notation::number,
        16,
        {0x0800, 0x86dd, 0x0806, 0x0800, 0x86dd, 0x8100, 0x0800, 0x86dd},
        false,
        true},
};

constexpr std::array extensions = {
    Key{"tcp option maxseg size", L3::any, L4::tcp, Notation::number, 16, shorts},
    Key{"tcp option maxseg length", L3::any, L4::tcp, Notation::number, 8, few},
    Key{"tcp option window count", L3::any, L4::tcp, Notation::number, 8, few},
    Key{"tcp option sack left", L3::any, L4::tcp, Notation::number, 32, words},
    Key{"tcp option sack1 right", L3::any, L4::tcp, Notation::number, 32, words},
    Key{"tcp option timestamp tsval", L3::any, L4::tcp, Notation::number, 32, words},
    Key{"tcp option timestamp tsecr", L3::any, L4::tcp, Notation::number, 32, words},
    Key{"tcp option mptcp subtype", L3::any, L4::tcp, Notation::number, 4, few},
    Key{"hbh nexthdr", L3::ipv6, L4::any, Notation::number, 8, protocols},
    Key{"hbh hdrlength", L3::ipv6, L4::any, Notation::number, 8, few},
    Key{"rt nexthdr", L3::ipv6, L4::any, Notation::number, 8, protocols},
    Key{"rt type", L3::ipv6, L4::any, Notation::number, 8, few},
    Key{"rt seg-left", L3::ipv6, L4::any, Notation::number, 8, few},
    Key{"rt0 addr[1]", L3::ipv6, L4::any, Notation::ipv6, 16, v6_addresses},
    Key{"srh tag", L3::ipv6, L4::any, Notation::number, 16, shorts},
    Key{"frag frag-off", L3::ipv6, L4::any, Notation::number, 13, few},
    Key{"frag more-fragments",
        L3::ipv6,
        L4::any,
        Notation::number,
        1,
        {0, 1, 0, 1, 0, 1, 0, 1},
        false},
    Key{"frag id", L3::ipv6, L4::any, Notation::number, 32, words},
    Key{"dst nexthdr", L3::ipv6, L4::any, Notation::number, 8, protocols},
    Key{"dst hdrlength", L3::ipv6, L4::any, Notation::number, 8, few},
    Key{"mh type", L3::ipv6, L4::any, Notation::number, 8, few},
    Key{"ip option rr ptr", L3::ipv4, L4::any, Notation::number, 8, {4, 8, 12, 16, 0, 1, 5, 255}},
    Key{"ip option lsrr length",
        L3::ipv4,
        L4::any,
        Notation::number,
        8,
        {7, 11, 15, 3, 0, 7, 11, 8}},
    Key{"ip option ssrr ptr", L3::ipv4, L4::any, Notation::number, 8, {4, 8, 12, 16, 0, 1, 5, 255}},
    Key{"ip option ra value", L3::ipv4, L4::any, Notation::number, 16, few},
    Key{"sctp chunk data tsn", L3::any, L4::sctp, Notation::number, 32, words},
    Key{"sctp chunk data flags", L3::any, L4::sctp, Notation::number, 8, few},
    Key{"sctp chunk init num-inbound-streams", L3::any, L4::sctp, Notation::number, 16, shorts},
    Key{"sctp chunk abort length", L3::any, L4::sctp, Notation::number, 16, few},
};

constexpr std::array addresses = {
    Key{"ether saddr", L3::any, L4::any, Notation::mac, 48, macs},
    Key{"ether daddr", L3::any, L4::any, Notation::mac, 48, macs},
};

constexpr std::array tags = {
    Key{"vlan id", L3::any, L4::any, Notation::number, 12, {0, 1, 5, 7, 100, 255, 256, 4095}},
    Key{"vlan id", L3::any, L4::any, Notation::number, 12, {0, 1, 5, 7, 100, 255, 256, 4095}},
    Key{"vlan pcp", L3::any, L4::any, Notation::number, 3, few},
};

constexpr std::array protocols_of_frames = {
    Key{"ether type", L3::any, L4::any, Notation::number, 16, ethertypes, false},
    Key{"meta protocol", L3::any, L4::any, Notation::number, 16, ethertypes, false},
};

constexpr std::array facts = {
    Key{"meta mark", L3::any, L4::any, Notation::number, 32, {0, 1, 2, 3, 0x10, 0xff, 0x100, 0}},
    Key{"meta mark", L3::any, L4::any, Notation::number, 32, {0, 1, 2, 3, 0x10, 0xff, 0x100, 0}},
    Key{"meta pkttype", L3::any, L4::any, Notation::number, 8, {0, 1, 2, 3, 0, 1, 2, 0}, false},
};

}  // namespace

std::span<const Key> keys() {
  return table;
}
std::span<const Key> extension_keys() {
  return extensions;
}
std::span<const Key> address_keys() {
  return addresses;
}
std::span<const Key> tag_keys() {
  return tags;
}
std::span<const Key> protocol_keys() {
  return protocols_of_frames;
}
std::span<const Key> fact_keys() {
  return facts;
}

}  // namespace weir::differential
