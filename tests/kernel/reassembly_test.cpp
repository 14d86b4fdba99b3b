// SPDX-License-Identifier: BSD-2-Clause
//
// Fragments past the forward hook, of datagrams to ports that only their first fragment tells:
// weir's program behind a link that has them put together, in a world without conntrack, beside
// nft's chain behind conntrack's own reassembly.
#include <gtest/gtest.h>

#include <algorithm>

#include "frontend/nft/nft.h"
#include "kernel/counters.h"
#include "kernel/programs.h"
#include "kernel/support/forwarding_world.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"
#include "packet/checksum.h"
#include "packet/headers.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::uint16_t dropped_port = 5000;
constexpr std::uint16_t counted_port = 6000;
constexpr std::uint16_t other_port = 7000;
constexpr std::size_t content = 3000;  // bytes behind the UDP header
constexpr std::size_t part = 1000;     // of a fragment; a multiple of 8

// A chain that nothing reaches, but which has nft track connections.
constexpr const char* script = R"(table inet filter {
  chain forward {
    type filter hook forward priority 0; policy accept;
    udp dport 5000 counter drop
    udp dport 6000 meta length > 2000 counter
  }
  chain tracking {
    ct state new accept
  }
}
)";

Bytes datagram(bool v6, std::uint16_t port) {
  packet::NetworkHeader network =
      packet::Ipv4{.source = {10, 0, 0, 1}, .destination = {10, 9, 0, 2}};
  if (v6) {
    network = packet::Ipv6{.source = packet::ipv6("2001:db8::1"),
                           .destination = packet::ipv6("2001:db8:9::2")};
  }
  return packet::build({.network = network,
                        .transport = packet::Udp{.destination_port = port},
                        .payload = Bytes(content, 0x5a)})
      .bytes;
}

void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  std::ranges::copy(big_endian_bytes(value, size), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

// RFC 791 and RFC 8200, section 4.5.
std::vector<Bytes> fragments(const Bytes& whole, std::uint16_t id) {
  const bool v6 = whole[0] >> 4 == 6;
  const std::size_t header = v6 ? 40 : 20;
  std::vector<Bytes> out;
  for (std::size_t at = header; at < whole.size(); at += part) {
    const std::size_t size = std::min(part, whole.size() - at);
    const std::uint64_t more = at + size < whole.size() ? 1 : 0;
    const std::uint64_t offset = (at - header) / 8;
    Bytes fragment(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(header));
    if (v6) {
      fragment[6] = static_cast<std::uint8_t>(packet::IpProtocol::fragment);
      fragment.resize(header + 8);
      fragment[header] = whole[6];
      put(fragment, header + 2, offset << 3 | more, 2);
      put(fragment, header + 4, id, 4);
    } else {
      put(fragment, 4, id, 2);
      put(fragment, 6, offset | more << 13, 2);
    }
    const auto from = whole.begin() + static_cast<std::ptrdiff_t>(at);
    fragment.insert(fragment.end(), from, from + static_cast<std::ptrdiff_t>(size));
    put(fragment, v6 ? 4 : 2, fragment.size() - (v6 ? 40 : 0), 2);
    packet::Packet packet{.bytes = std::move(fragment)};
    packet.ethertype = v6 ? packet::ethertype_ipv6 : packet::ethertype_ipv4;
    if (!v6) {
      packet.bytes[10] = packet.bytes[11] = 0;
      const std::uint16_t sum = packet::internet_checksum(ByteView(packet.bytes).first(20));
      put(packet.bytes, 10, sum, 2);
    }
    out.push_back(std::move(packet.bytes));
  }
  return out;
}

// What came out, without the identifiers that the world gives IPv6 fragments anew.
using Arrivals = std::vector<Bytes>;

Arrivals send_all(ForwardingWorld& world) {
  Arrivals arrivals;
  std::uint16_t id = 1;
  for (const bool v6 : {false, true}) {
    for (const std::uint16_t port : {dropped_port, counted_port, other_port}) {
      for (const bool backwards : {false, true}) {
        std::vector<Bytes> parts = fragments(datagram(v6, port), id++);
        if (backwards) std::ranges::reverse(parts);
        for (const Bytes& fragment : parts) {
          for (Bytes& arrived : world.exchange(fragment)) {
            if (v6 && arrived.size() > 48 && arrived[6] == 44) put(arrived, 44, 0, 4);
            arrivals.push_back(std::move(arrived));
          }
        }
      }
    }
  }
  return arrivals;
}

std::string sizes(const Arrivals& arrivals) {
  std::string out;
  for (const Bytes& bytes : arrivals) out += " " + std::to_string(bytes.size());
  return out;
}

struct Served {
  ForwardingWorld world;
  std::vector<kernel::Fd> links;
};

TEST(Reassembly, ByTheLinkAsByConntrack) {
  ForwardingWorld nft;
  const Status loaded = nft.load_ruleset(script);
  ASSERT_TRUE(loaded) << loaded.error().text();
  const Arrivals by_nft = send_all(nft);

  const imr::Ruleset ruleset = expect(frontend::nft::read_script(script, "test.nft"));
  const Programs programs = expect(make_programs(ruleset, Hook{}, {}));
  Served weir;
  for (std::size_t i = 0; i < programs.loaded.programs.size(); ++i) {
    const driver::Attachment& place = programs.compilation.programs[i].attachment;
    ASSERT_TRUE(place.defragments);
    weir.links.push_back(
        expect(weir.world.attach(programs.loaded.programs[i], place.nfproto, place.hook.nf_hook,
                                 place.priority, place.defragments)));
  }
  const Arrivals by_weir = send_all(weir.world);
  // Two datagrams of each port and protocol, in three or more fragments each.
  EXPECT_GE(by_nft.size(), 2u * 2 * 2 * 3) << "the fragments of both ports that are let through";
  EXPECT_EQ(sizes(by_weir), sizes(by_nft));
  EXPECT_TRUE(by_weir == by_nft) << "the same sizes, and other bytes";

  const auto listed = expect(nft.counters());
  const CounterComparison found = compare_counters(ruleset, listed, programs.counters(ruleset), {});
  EXPECT_EQ(found.differences, "");
  EXPECT_EQ(found.counted, 8u) << "two whole datagrams of each of two ports and protocols";
}

// Else the test above would show nothing.
TEST(Reassembly, WithoutTheLinksFlagFragmentsGetPastThePort) {
  const imr::Ruleset ruleset = expect(frontend::nft::read_script(script, "test.nft"));
  const Programs programs = expect(make_programs(ruleset, Hook{}, {}));
  Served weir;
  for (std::size_t i = 0; i < programs.loaded.programs.size(); ++i) {
    const driver::Attachment& place = programs.compilation.programs[i].attachment;
    weir.links.push_back(expect(weir.world.attach(programs.loaded.programs[i], place.nfproto,
                                                  place.hook.nf_hook, place.priority)));
  }
  // All but the first fragment of each of the four datagrams to the port that is dropped.
  const std::size_t each = fragments(datagram(false, dropped_port), 1).size();
  EXPECT_EQ(send_all(weir.world).size(), 2 * 2 * 3 * each - 4);
}

}  // namespace
}  // namespace weir::test
