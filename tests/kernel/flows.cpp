// SPDX-License-Identifier: BSD-2-Clause
//
// flow_traffic(): each flow is a list of packets, and the flows take turns.
#include <algorithm>
#include <deque>

#include "differential/random.h"
#include "kernel/traffic.h"
#include "packet/builder.h"
#include "packet/checksum.h"

namespace weir::test {
namespace {

using differential::Random;

using packet::Icmp;
using packet::Icmpv6;
using packet::Ipv4;
using packet::Ipv6;
using packet::Tcp;
using packet::Udp;

using Flow = std::deque<Sent>;

constexpr std::uint8_t fin = 1;
constexpr std::uint8_t syn = 2;
constexpr std::uint8_t rst = 4;
constexpr std::uint8_t ack = 16;

class Flows {
 public:
  explicit Flows(std::mt19937_64& random) : chance_(random) {}

  Flow make() {
    flow_.clear();
    begin();
    switch (chance_.below(8)) {
      case 0:
      case 1:
        tcp_connection();
        break;
      case 2:
        tcp_oddities();
        break;
      case 3:
        udp_exchange();
        break;
      case 4:
        echo();
        break;
      case 5:
        error_about_udp(chance_.one_in(3));
        break;
      case 6:
        fragmented_udp();
        break;
      default:
        other_protocols();
        break;
    }
    return std::move(flow_);
  }

 private:
  // A client and a server, of either family.
  void begin() {
    v6_ = chance_.one_in(2);
    const auto host = static_cast<std::uint8_t>(1 + chance_.below(6));
    client4_ = {10, 0, 0, host};
    server4_ = chance_.one_in(2) ? packet::Ipv4Address{192, 168, 1, 1}
                                 : packet::Ipv4Address{172, 16, 5, 4};
    client6_ = packet::ipv6("2001:db8::1");
    client6_.back() = host;
    server6_ = packet::ipv6(chance_.one_in(2) ? "fd00::1:2" : "2001:db8:1::ffff");
    client_port_ = static_cast<std::uint16_t>(1024 + chance_.below(60000));
    server_port_ = chance_.pick(std::vector<std::uint16_t>{22, 53, 80, 443, 1024, 8080});
    client_is_behind_ = chance_.one_in(2);
  }

  packet::NetworkHeader network(bool reply) {
    if (v6_) {
      return Ipv6{.source = reply ? server6_ : client6_,
                  .destination = reply ? client6_ : server6_};
    }
    return Ipv4{.source = reply ? server4_ : client4_,
                .destination = reply ? client4_ : server4_,
                .id = ++id_};
  }
  void send(bool reply, const packet::TransportHeader& transport, std::size_t payload = 0) {
    add(reply,
        packet::build(
            {.network = network(reply), .transport = transport, .payload = Bytes(payload, 0x61)})
            .bytes);
  }
  void add(bool reply, Bytes bytes) {
    flow_.push_back({.bytes = std::move(bytes), .linear = 0, .back = reply != client_is_behind_});
  }
  void segment(bool reply, std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledged,
               std::size_t payload = 0) {
    send(reply,
         Tcp{.source_port = reply ? server_port_ : client_port_,
             .destination_port = reply ? client_port_ : server_port_,
             .sequence = sequence,
             .acknowledgement = acknowledged,
             .flags = flags},
         payload);
  }
  void datagram(bool reply, std::size_t payload) {
    send(reply,
         Udp{.source_port = reply ? server_port_ : client_port_,
             .destination_port = reply ? client_port_ : server_port_},
         payload);
  }

  void tcp_connection() {
    segment(false, syn, 1000, 0);
    segment(true, syn | ack, 5000, 1001);
    segment(false, ack, 1001, 5001);
    segment(false, ack, 1001, 5001, 100);
    segment(true, ack, 5001, 1101, 50);
    if (chance_.one_in(2)) {
      segment(false, rst | ack, 1101, 5051);
      segment(true, ack, 5051, 1101, 10);
      return;
    }
    segment(false, fin | ack, 1101, 5051);
    segment(true, fin | ack, 5051, 1102);
    segment(false, ack, 1102, 5052);
  }
  void tcp_oddities() {
    switch (chance_.below(5)) {
      case 0:  // picked up in the middle
        segment(false, ack, 77, 99, 20);
        segment(true, ack, 99, 97);
        break;
      case 1:
        segment(true, syn | ack, 5000, 1001);
        break;
      case 2:
        segment(false, syn | fin, 1, 0);
        segment(false, 0, 1, 0);
        break;
      case 3:
        segment(false, rst, 1, 0);
        break;
      default: {  // a checksum that conntrack minds
        segment(false, syn, 1000, 0);
        flow_.back().bytes.back() ^= 1;
        segment(false, syn, 1000, 0);
        break;
      }
    }
  }
  void udp_exchange() {
    datagram(false, 12);
    if (chance_.one_in(3)) datagram(false, 12);
    datagram(true, 40);
    datagram(false, 12);
    datagram(true, 40);
  }
  void echo() {
    const auto message = [&](bool reply) {
      if (v6_) {
        send(reply,
             Icmpv6{.type = static_cast<std::uint8_t>(reply ? 129 : 128), .id = client_port_}, 16);
      } else {
        send(reply, Icmp{.type = static_cast<std::uint8_t>(reply ? 0 : 8), .id = client_port_}, 16);
      }
    };
    if (!chance_.one_in(4)) message(false);
    message(true);
    message(false);
    if (v6_ && chance_.one_in(2)) send(false, Icmpv6{.type = 135}, 16);
  }
  // The server's side says that the datagram did not reach it; it quotes the datagram.
  void error_about_udp(bool unknown) {
    datagram(false, 12);
    Bytes quoted = flow_.back().bytes;
    if (unknown) flow_.clear();
    if (v6_) {
      send_quoting(Icmpv6{.type = 1, .code = 4, .id = 0, .sequence = 0}, std::move(quoted));
    } else {
      send_quoting(Icmp{.type = 3, .code = 3, .id = 0, .sequence = 0}, std::move(quoted));
    }
    datagram(false, 12);
  }
  void send_quoting(const packet::TransportHeader& error, Bytes quoted) {
    add(true,
        packet::build({.network = network(true), .transport = error, .payload = std::move(quoted)})
            .bytes);
  }
  void fragmented_udp() {
    const std::uint32_t id = ++fragment_id_;
    for (const bool reply : {false, true}) {
      datagram(reply, 40);
      const Bytes whole = std::move(flow_.back().bytes);
      flow_.pop_back();
      split(reply, whole, id);
    }
  }
  // Into 24 bytes of the IP payload and the rest.
  void split(bool reply, const Bytes& whole, std::uint32_t id) {
    const std::size_t header = v6_ ? 40 : 20;
    for (const bool first : {true, false}) {
      auto from = whole.begin() + static_cast<std::ptrdiff_t>(header + (first ? 0 : 24));
      Bytes part(from, first ? from + 24 : whole.end());
      packet::NetworkHeader network = this->network(reply);
      const std::uint16_t offset = first ? 0 : 3;
      if (auto* v4 = std::get_if<Ipv4>(&network)) {
        v4->id = static_cast<std::uint16_t>(id);
        v4->more_fragments = first;
        v4->fragment_offset = offset;
      } else {
        std::get<Ipv6>(network).extensions = {{.kind = packet::IpProtocol::fragment,
                                               .more_fragments = first,
                                               .fragment_offset = offset,
                                               .id = id}};
      }
      add(reply, packet::build({.network = network,
                                .transport = packet::NoTransport{.protocol = 17},
                                .payload = std::move(part)})
                     .bytes);
    }
  }
  void other_protocols() {
    send(false, packet::Sctp{.source_port = client_port_, .destination_port = server_port_});
    send(false, packet::Esp{});
    send(true, packet::Esp{});
    send(false, packet::Gre{});
    send(false, packet::NoTransport{.protocol = 59});
  }

  Random chance_;
  Flow flow_;
  bool v6_ = false;
  bool client_is_behind_ = false;
  packet::Ipv4Address client4_{};
  packet::Ipv4Address server4_{};
  packet::Ipv6Address client6_{};
  packet::Ipv6Address server6_{};
  std::uint16_t client_port_ = 0;
  std::uint16_t server_port_ = 0;
  std::uint16_t id_ = 0;
  std::uint32_t fragment_id_ = 0;
};

}  // namespace

std::vector<Sent> flow_traffic(std::size_t count, std::mt19937_64& random) {
  Flows flows(random);
  Random chance(random);
  std::vector<Flow> open;
  std::vector<Sent> traffic;
  while (traffic.size() < count || !open.empty()) {
    if (traffic.size() < count && open.size() < 6) {
      open.push_back(flows.make());
      continue;
    }
    Flow& flow = open[chance.below(open.size())];
    if (!flow.empty()) {
      traffic.push_back(std::move(flow.front()));
      flow.pop_front();
    }
    std::erase_if(open, [](const Flow& candidate) { return candidate.empty(); });
  }
  return traffic;
}

}  // namespace weir::test
