// SPDX-License-Identifier: BSD-2-Clause
//
// Tags between bytes and metadata. What the kernel does was seen in netdev chains on a veth.
#include "packet/vlan.h"

#include <gtest/gtest.h>

#include "packet/builder.h"
#include "packet/parse.h"

namespace weir::packet {
namespace {

Packet tagged(std::vector<VlanTag> tags) {
  return build({.link = Ethernet{.tags = std::move(tags)}, .transport = Udp{}});
}

TEST(AsReceived, MovesTheTagToTheMetadata) {
  const Packet wire = tagged({{.priority = 3, .id = 5}});
  const Packet seen = as_received(wire);
  EXPECT_EQ(seen.vlan, (HwaccelTag{.protocol = 0x8100, .tci = 0x6005}));
  EXPECT_EQ(seen.bytes, tagged({}).bytes);
  EXPECT_EQ(seen.network_offset, 14U);
  EXPECT_EQ(seen.ethertype, 0x0800);
  EXPECT_EQ(on_wire(seen), wire.bytes);
}

TEST(AsReceived, LeavesTheInnerTagWhereItIs) {
  const Packet wire = tagged({{.tpid = 0x88a8, .id = 7}, {.id = 5}});
  const Packet seen = as_received(wire);
  EXPECT_EQ(seen.vlan, (HwaccelTag{.protocol = 0x88a8, .tci = 7}));
  EXPECT_EQ(seen.bytes, tagged({{.id = 5}}).bytes);
  EXPECT_EQ(seen.network_offset, 14U);
  EXPECT_EQ(seen.ethertype, 0x8100);
  EXPECT_EQ(on_wire(seen), wire.bytes);
}

TEST(AsReceived, KeepsFramesWithoutATag) {
  const Packet wire = tagged({});
  const Packet seen = as_received(wire);
  EXPECT_FALSE(seen.vlan.has_value());
  EXPECT_EQ(seen.bytes, wire.bytes);
  EXPECT_EQ(seen.ethertype, 0x0800);
  EXPECT_EQ(on_wire(seen), wire.bytes);
}

TEST(AsReceived, KeepsPacketsWithoutALinkHeader) {
  const Packet packet = build({.network = Ipv6{}, .transport = Udp{}});
  const Packet seen = as_received(packet);
  EXPECT_EQ(seen.network_offset, 0U);
  EXPECT_EQ(seen.bytes, packet.bytes);
  EXPECT_EQ(on_wire(seen), packet.bytes);
}

TEST(AsReceived, TakesFramesOfAnySize) {
  const Bytes whole = tagged({{.tpid = 0x88a8}, {}, {}}).bytes;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const Packet seen = as_received(parse_frame(cut, LinkType::ethernet));
    EXPECT_EQ(on_wire(seen), cut) << size;
    EXPECT_EQ(seen.vlan.has_value(), size >= 18) << size;
  }
}

TEST(ProtocolOfFrame, KnowsFramesOfIeee8023) {
  const auto protocol = [](const Bytes& rest) { return protocol_of_frame(rest, 0); };
  EXPECT_EQ(protocol({0x08, 0x06}), 0x0806);
  EXPECT_EQ(protocol({0x06, 0x00, 0xff, 0xff}), 0x0600);
  EXPECT_EQ(protocol({0x00, 0x28, 0x42, 0x42}), 0x0004);
  EXPECT_EQ(protocol({0x05, 0xff, 0xff}), 0x0004);
  EXPECT_EQ(protocol({0x00, 0x28, 0xff, 0xff}), 0x0001);
}

}  // namespace
}  // namespace weir::packet
