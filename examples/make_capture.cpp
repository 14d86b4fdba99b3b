// SPDX-License-Identifier: BSD-2-Clause
//
// Makes examples/office.pcap: an hour in the office, as seen on the firewall between lan0 and wan0.
//   make_capture OUT.pcap
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "packet/builder.h"
#include "packet/capture.h"

namespace {

using namespace weir::packet;

constexpr std::uint8_t fin = 0x01;
constexpr std::uint8_t syn = 0x02;
constexpr std::uint8_t rst = 0x04;
constexpr std::uint8_t psh = 0x08;
constexpr std::uint8_t ack = 0x10;

constexpr std::int64_t start_ns = 1'790'000'000'000'000'000;
constexpr std::int64_t step_ns = 41'000'000;

class Story {
 public:
  void add(NetworkHeader network, TransportHeader transport, std::size_t payload = 0) {
    Packet packet = build({.link = Ethernet{},
                           .network = std::move(network),
                           .transport = std::move(transport),
                           .payload = weir::Bytes(payload, 'x')});
    packet.time_ns = start_ns + static_cast<std::int64_t>(packets.size()) * step_ns;
    packets.push_back(std::move(packet));
  }

  // A handshake, a request, an answer, the end: nine packets.
  void tcp(const std::string& client, const std::string& server, std::uint16_t from,
           std::uint16_t to) {
    const auto there = [&](int flags, std::size_t payload) {
      add(Ipv4{.source = ipv4(client), .destination = ipv4(server)},
          Tcp{.source_port = from,
              .destination_port = to,
              .flags = static_cast<std::uint8_t>(flags)},
          payload);
    };
    const auto back = [&](int flags, std::size_t payload) {
      add(Ipv4{.source = ipv4(server), .destination = ipv4(client), .ttl = 57},
          Tcp{.source_port = to,
              .destination_port = from,
              .flags = static_cast<std::uint8_t>(flags)},
          payload);
    };
    there(syn, 0);
    back(syn | ack, 0);
    there(ack, 0);
    there(psh | ack, 120);
    back(ack, 0);
    back(psh | ack, 900);
    there(fin | ack, 0);
    back(fin | ack, 0);
    there(ack, 0);
  }

  void one_tcp(const std::string& source, const std::string& destination, std::uint16_t to,
               int flags = syn) {
    add(Ipv4{.source = ipv4(source), .destination = ipv4(destination)},
        Tcp{.source_port = next_port_++,
            .destination_port = to,
            .flags = static_cast<std::uint8_t>(flags)});
  }

  void one_udp(const std::string& source, const std::string& destination, std::uint16_t to) {
    add(Ipv4{.source = ipv4(source), .destination = ipv4(destination)},
        Udp{.source_port = next_port_++, .destination_port = to}, 40);
  }

  void udp_exchange(const std::string& client, const std::string& server, std::uint16_t to) {
    const std::uint16_t from = next_port_++;
    add(Ipv4{.source = ipv4(client), .destination = ipv4(server)},
        Udp{.source_port = from, .destination_port = to}, 40);
    add(Ipv4{.source = ipv4(server), .destination = ipv4(client), .ttl = 57},
        Udp{.source_port = to, .destination_port = from}, 90);
  }

  std::vector<Packet> packets;

 private:
  std::uint16_t next_port_ = 41000;
};

void what_the_office_does(Story& story) {
  story.udp_exchange("10.1.0.50", "203.0.113.2", 53);
  story.tcp("10.1.0.50", "203.0.113.2", 40001, 443);
  story.udp_exchange("10.1.0.10", "203.0.113.2", 123);
  story.tcp("10.1.0.10", "203.0.113.2", 40002, 22);
  story.tcp("10.1.0.25", "203.0.113.2", 40003, 25);
  story.one_tcp("10.1.0.50", "203.0.113.2", 8080);
  story.one_tcp("10.1.0.50", "203.0.113.2", 5222);
  story.one_udp("10.1.0.51", "203.0.113.2", 443);
}

void what_it_may_not_do(Story& story) {
  story.one_tcp("10.1.0.50", "203.0.113.2", 23);
  story.one_tcp("10.1.0.50", "203.0.113.2", 445);
  story.one_tcp("10.1.0.50", "203.0.113.2", 6667);
  story.one_tcp("10.1.0.50", "203.0.113.2", 25);
  story.one_tcp("10.1.0.50", "203.0.113.2", 22);
  story.one_udp("10.1.0.50", "203.0.113.2", 1900);
  story.one_udp("10.1.0.50", "203.0.113.2", 69);
  story.one_tcp("10.1.0.200", "203.0.113.2", 443);
  story.one_tcp("10.9.9.9", "203.0.113.2", 443);
  story.one_tcp("10.1.0.50", "198.51.100.7", 443);
  story.one_tcp("10.1.0.50", "203.0.113.210", 443);
}

void what_makes_no_sense(Story& story) {
  story.one_tcp("10.1.0.50", "203.0.113.2", 443, syn | fin);
  story.one_tcp("10.1.0.50", "203.0.113.2", 443, syn | rst);
  story.one_tcp("10.1.0.50", "203.0.113.2", 443, 0);
  story.one_tcp("10.1.0.50", "203.0.113.2", 443, rst);
  story.one_tcp("198.51.100.7", "10.1.0.20", 443);
}

void pings_and_errors(Story& story) {
  const Ipv4 there{.source = ipv4("10.1.0.50"), .destination = ipv4("203.0.113.2")};
  const Ipv4 back{.source = ipv4("203.0.113.2"), .destination = ipv4("10.1.0.50"), .ttl = 57};
  const Ipv4 router{.source = ipv4("203.0.113.254"), .destination = ipv4("10.1.0.50")};
  for (std::uint16_t i = 1; i <= 2; ++i) {
    story.add(there, Icmp{.type = 8, .id = 77, .sequence = i}, 56);
    story.add(back, Icmp{.type = 0, .id = 77, .sequence = i}, 56);
  }
  story.add(there, Icmp{.type = 13, .id = 5}, 12);
  story.add(router, Icmp{.type = 0, .id = 99}, 56);
  // About a query that was seen, and about one that was not.
  const Udp query{.source_port = 42000, .destination_port = 123};
  story.add(there, query, 8);
  const auto error = [&](const Udp& about) {
    const Packet inner =
        build({.network = there, .transport = about, .payload = weir::Bytes(8, 'x')});
    Packet packet = build({.link = Ethernet{},
                           .network = router,
                           .transport = Icmp{.type = 3, .code = 3, .id = 0, .sequence = 0},
                           .payload = inner.bytes});
    packet.time_ns = start_ns + static_cast<std::int64_t>(story.packets.size()) * step_ns;
    story.packets.push_back(std::move(packet));
  };
  error(query);
  error(Udp{.source_port = 42001, .destination_port = 123});
}

void the_same_in_ipv6(Story& story) {
  const Ipv6 there{.source = ipv6("2001:db8:1::50"), .destination = ipv6("2001:db8:f::2")};
  const Ipv6 back{.source = ipv6("2001:db8:f::2"), .destination = ipv6("2001:db8:1::50")};
  const auto tcp = [](std::uint16_t from, std::uint16_t to, int flags) {
    return Tcp{
        .source_port = from, .destination_port = to, .flags = static_cast<std::uint8_t>(flags)};
  };
  story.add(there, tcp(43000, 443, syn));
  story.add(back, tcp(443, 43000, syn | ack));
  story.add(there, tcp(43000, 443, ack));
  story.add(there, tcp(43001, 23, syn));
  story.add(there, Icmpv6{.type = 128, .id = 6}, 32);
  story.add(back, Icmpv6{.type = 129, .id = 6}, 32);
  story.add(there, Icmpv6{.type = 133, .id = 0, .sequence = 0}, 8);
  Ipv6 options = there;
  options.extensions = {Extension{.kind = IpProtocol::hop_by_hop, .size = 8},
                        Extension{.kind = IpProtocol::destination, .size = 16}};
  story.add(options, Udp{.source_port = 43002, .destination_port = 53}, 30);
  story.add(options, tcp(43003, 135, syn));
  Ipv6 blocked = there;
  blocked.destination = ipv6("2001:db8:bad::1");
  story.add(blocked, tcp(43004, 443, syn));
  Ipv6 spoofed = there;
  spoofed.source = ipv6("2001:db8:2::50");
  story.add(spoofed, tcp(43005, 443, syn));
}

void odd_shapes(Story& story) {
  story.add(Ipv4{.source = ipv4("10.1.0.50"),
                 .destination = ipv4("203.0.113.2"),
                 .options = weir::Bytes(8, 1)},
            Tcp{.source_port = 44000, .destination_port = 443});
  story.add(Ipv4{.source = ipv4("10.1.0.50"),
                 .destination = ipv4("203.0.113.2"),
                 .id = 900,
                 .more_fragments = true},
            Udp{.source_port = 44001, .destination_port = 53}, 64);
  story.add(Ipv4{.source = ipv4("10.1.0.50"),
                 .destination = ipv4("203.0.113.2"),
                 .id = 900,
                 .fragment_offset = 9,
                 .protocol = 17},
            NoTransport{}, 64);
  story.add(Ipv4{.source = ipv4("10.1.0.50"), .destination = ipv4("203.0.113.2")}, Gre{}, 32);
  story.add(Arp{}, NoTransport{});
}

int write(const std::string& path, const std::vector<Packet>& packets) {
  const auto complain = [](const weir::Diagnostic& error) {
    std::fprintf(stderr, "%s\n", error.text().c_str());
    return 1;
  };
  auto writer = CaptureWriter::open(path, CaptureWriter::Kind::ethernet);
  if (!writer) return complain(writer.error());
  for (const Packet& packet : packets) {
    if (const auto status = writer->write(packet); !status) return complain(status.error());
  }
  if (const auto status = writer->close(); !status) return complain(status.error());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_capture OUT.pcap\n");
    return 1;
  }
  Story story;
  what_the_office_does(story);
  what_it_may_not_do(story);
  what_makes_no_sense(story);
  pings_and_errors(story);
  the_same_in_ipv6(story);
  odd_shapes(story);
  return write(argv[1], story.packets);
}
