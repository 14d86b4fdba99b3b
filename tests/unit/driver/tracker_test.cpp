// SPDX-License-Identifier: BSD-2-Clause
//
// The connection tracker of `weir test`, flow by flow.
#include "driver/tracker.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "packet/builder.h"

namespace weir::driver {
namespace {

using packet::Icmp;
using packet::Icmpv6;
using packet::Ipv4;
using packet::Ipv6;
using packet::Packet;
using packet::Tcp;
using packet::Udp;

constexpr std::uint8_t fin = 0x01;
constexpr std::uint8_t syn = 0x02;
constexpr std::uint8_t rst = 0x04;
constexpr std::uint8_t ack = 0x10;

const packet::Ipv4Address client = packet::ipv4("10.0.0.1");
const packet::Ipv4Address server = packet::ipv4("10.0.0.2");
const packet::Ipv4Address router = packet::ipv4("10.0.0.254");

// As `ct state` would name it.
std::string state(Tracker& tracker, Packet packet) {
  tracker.track(packet);
  if (!packet.has_connection) {
    return packet.ct_info == packet::CtInfo::untracked ? "untracked" : "invalid";
  }
  switch (packet.ct_info) {
    case packet::CtInfo::new_:
      return "new";
    case packet::CtInfo::established:
    case packet::CtInfo::established_reply:
      return "established";
    case packet::CtInfo::related:
    case packet::CtInfo::related_reply:
      return "related";
    case packet::CtInfo::untracked:
      break;
  }
  return "untracked with a connection";
}

Packet there(packet::TransportHeader transport) {
  return packet::build({.network = Ipv4{.source = client, .destination = server},
                        .transport = std::move(transport)});
}
Packet back(packet::TransportHeader transport) {
  return packet::build({.network = Ipv4{.source = server, .destination = client},
                        .transport = std::move(transport)});
}
Tcp to_server(int flags) {
  return {.source_port = 4000, .destination_port = 80, .flags = static_cast<std::uint8_t>(flags)};
}
Tcp to_client(int flags) {
  return {.source_port = 80, .destination_port = 4000, .flags = static_cast<std::uint8_t>(flags)};
}

TEST(Tracker, EstablishesOnceBothDirectionsWereSeen) {
  Tracker tracker;
  EXPECT_EQ(state(tracker, there(to_server(syn))), "new");
  EXPECT_EQ(state(tracker, there(to_server(syn))), "new") << "no answer yet";
  EXPECT_EQ(state(tracker, back(to_client(syn | ack))), "established");
  EXPECT_EQ(state(tracker, there(to_server(ack))), "established");
}

TEST(Tracker, TellsFlowsApartByTheirPorts) {
  Tracker tracker;
  EXPECT_EQ(state(tracker, there(Udp{.source_port = 1, .destination_port = 53})), "new");
  EXPECT_EQ(state(tracker, back(Udp{.source_port = 53, .destination_port = 2})), "new");
  EXPECT_EQ(state(tracker, back(Udp{.source_port = 53, .destination_port = 1})), "established");
}

TEST(Tracker, HasNoConnectionForImpossibleFlags) {
  Tracker tracker;
  for (const int flags : {0x00, syn | fin, syn | rst, fin | 0x08 | 0x20, fin | rst}) {
    EXPECT_EQ(state(tracker, there(to_server(flags))), "invalid") << "flags " << flags;
  }
}

TEST(Tracker, OpensWithSynOrPicksUpWithAck) {
  for (const int flags : {int{rst}, fin | ack, syn | ack}) {
    Tracker tracker;
    EXPECT_EQ(state(tracker, there(to_server(flags))), "invalid") << "flags " << flags;
  }
  Tracker tracker;
  EXPECT_EQ(state(tracker, there(to_server(ack))), "new");
}

TEST(Tracker, StartsAnewBehindAClosedConnection) {
  Tracker tracker;
  EXPECT_EQ(state(tracker, there(to_server(syn))), "new");
  EXPECT_EQ(state(tracker, back(to_client(rst | ack))), "established");
  EXPECT_EQ(state(tracker, there(to_server(syn))), "new");
}

TEST(Tracker, FollowsEchoByItsIdentifier) {
  Tracker tracker;
  EXPECT_EQ(state(tracker, back(Icmp{.type = 0, .id = 7})), "invalid") << "no request was seen";
  EXPECT_EQ(state(tracker, there(Icmp{.type = 8, .id = 7})), "new");
  EXPECT_EQ(state(tracker, back(Icmp{.type = 0, .id = 8})), "invalid");
  EXPECT_EQ(state(tracker, back(Icmp{.type = 0, .id = 7})), "established");
  EXPECT_EQ(state(tracker, there(Icmp{.type = 8, .id = 7})), "established");
}

Packet unreachable(packet::Ipv4Address destination, const Packet& about) {
  return packet::build({.network = Ipv4{.source = router, .destination = destination},
                        .transport = Icmp{.type = 3, .code = 1, .id = 0, .sequence = 0},
                        .payload = about.bytes});
}

TEST(Tracker, RelatesErrorsToTheFlowsThatTheyAreAbout) {
  Tracker tracker;
  const Packet query = there(Udp{.source_port = 5000, .destination_port = 53});
  EXPECT_EQ(state(tracker, unreachable(client, query)), "invalid") << "the flow is not known yet";
  EXPECT_EQ(state(tracker, query), "new");
  EXPECT_EQ(state(tracker, unreachable(client, query)), "related");
  EXPECT_EQ(state(tracker, unreachable(server, query)), "invalid") << "not to its sender";
}

TEST(Tracker, TracksNoNeighbourDiscovery) {
  Tracker tracker;
  const auto message = [](std::uint8_t type) {
    return packet::build({.network = Ipv6{}, .transport = Icmpv6{.type = type}});
  };
  EXPECT_EQ(state(tracker, message(135)), "untracked");
  EXPECT_EQ(state(tracker, message(143)), "untracked");
  EXPECT_EQ(state(tracker, message(128)), "new");
  EXPECT_EQ(state(tracker, message(200)), "invalid");
}

TEST(Tracker, GivesLaterFragmentsTheStateOfTheFirst) {
  Tracker tracker;
  const auto fragment = [](std::uint16_t id, std::uint16_t offset) {
    return packet::build({.network = Ipv4{.source = client,
                                          .destination = server,
                                          .id = id,
                                          .more_fragments = true,
                                          .fragment_offset = offset},
                          .transport = Udp{.source_port = 9, .destination_port = 9},
                          .payload = Bytes(16)});
  };
  EXPECT_EQ(state(tracker, fragment(1, 3)), "invalid") << "its first fragment was not seen";
  EXPECT_EQ(state(tracker, fragment(2, 0)), "new");
  EXPECT_EQ(state(tracker, fragment(2, 3)), "new");
  EXPECT_EQ(state(tracker, fragment(3, 3)), "invalid");
}

TEST(Tracker, HasNoConnectionForWhatIsCutOff) {
  Tracker tracker;
  for (std::size_t size = 0; size < 40; ++size) {
    const Packet cut =
        packet::build({.network = Ipv4{}, .transport = to_server(syn), .truncate = size});
    EXPECT_EQ(state(tracker, cut), "invalid") << size << " bytes";
  }
  for (std::size_t size = 0; size < 56; ++size) {
    const Packet cut = packet::build({.network = Ipv6{.extensions = {packet::Extension{}}},
                                      .transport = Icmpv6{.type = 128},
                                      .truncate = size});
    EXPECT_EQ(state(tracker, cut), "invalid") << size << " bytes of IPv6";
  }
}

// Of the first packet of a connection on: its ends, and that it is answered.
TEST(Tracker, TellsTheEndsOfConnections) {
  Tracker tracker;
  Packet first = there(Udp{.source_port = 5, .destination_port = 53});
  tracker.track(first);
  EXPECT_EQ(first.connection.status, 0U);
  EXPECT_EQ(first.connection.protocol, 17);
  EXPECT_EQ(first.connection.original.source, Bytes(client.begin(), client.end()));
  EXPECT_EQ(first.connection.original.destination_port, 53);
  EXPECT_EQ(first.connection.reply.source, Bytes(server.begin(), server.end()));
  EXPECT_EQ(first.connection.reply.source_port, 53);
  Packet answer = back(Udp{.source_port = 53, .destination_port = 5});
  tracker.track(answer);
  constexpr std::uint32_t answered = 2 | 8;  // IPS_SEEN_REPLY, IPS_CONFIRMED
  EXPECT_EQ(answer.connection.status, answered);
  EXPECT_EQ(answer.connection.original.source_port, 5);
  EXPECT_EQ(answer.connection.reply.destination_port, 5);
}

}  // namespace
}  // namespace weir::driver
