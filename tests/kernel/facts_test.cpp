// SPDX-License-Identifier: BSD-2-Clause
//
// Facts about packets that only traffic of real sockets has: who opened them, what connection
// tracking knows, by which CPU and route; and limits, quotas and sequences, which all processors
// share. The same traffic past nft's rules and past weir's
// programs, each in a fresh namespace; each rule counts alike.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "backend/profile.h"
#include "driver/runner.h"
#include "frontend/nft/nft.h"
#include "kernel/host.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

constexpr std::uint16_t listener_port = 80;
constexpr std::uint16_t client_port = 2000;
constexpr unsigned user = 1234;
constexpr unsigned group = 4321;

// What the rules run behind, in either case: marks, labels and zones of connections.
constexpr const char* setup =
    "table inet setup {\n"
    "  chain raw {\n    type filter hook prerouting priority raw; policy accept;\n"
    "    udp dport 1005 ct zone set 9\n    udp dport 1006 ct original zone set 10\n  }\n"
    "  chain raw_output {\n    type filter hook output priority raw; policy accept;\n"
    "    udp dport 1005 ct zone set 9\n    udp dport 1007 ct reply zone set 11\n  }\n"
    "  chain marks {\n    type filter hook prerouting priority -180; policy accept;\n"
    "    udp dport 1003 ct mark set 0x1005\n    udp dport 1004 ct label set 3\n  }\n"
    "  chain marks_output {\n    type filter hook output priority -180; policy accept;\n"
    "    udp dport 1003 ct mark set 0x1005\n    udp dport 1004 ct label set 127\n  }\n}\n";

constexpr std::array device_rules = {
    "meta oiftype 65534", "meta oiftype != 65534", "meta oiftype ether",
    "meta iifgroup 7",    "meta iifgroup != 7",    "meta oifgroup 7",
    "meta oifgroup != 7", "meta iifgroup 6-8",     "meta oifgroup { 1, 7 }",
    "meta iifkind tun",   "meta iifkind != tun",   "meta iifkind tu",
    "meta oifkind tun",   "meta oifkind != veth",  "meta iifkind { tun, veth }",
    "meta cpu 0",         "meta cpu != 0",         "meta cpu 0-1",
    "meta priority 0:0",  "meta priority != 0:0",  "meta priority 0:6",
};
constexpr std::array socket_rules = {
    "meta skuid 0",        "meta skuid != 0",        "meta skuid 1234",
    "meta skuid != 1234",  "meta skuid 1000-2000",   "meta skgid 4321",
    "meta skgid != 4321",  "meta skuid { 1234, 7 }", "meta skgid . meta skuid { 4321 . 1234 }",
    "meta cgroup 0",       "meta cgroup != 0",       "meta rtclassid 5",
    "meta rtclassid != 5", "meta rtclassid 0",       "rt classid 5",
    "rt classid != 5",
};
constexpr std::array connection_rules = {
    "ct direction original",
    "ct direction reply",
    "ct direction != original",
    "ct status confirmed",
    "ct status seen-reply",
    "ct status assured",
    "ct status & (seen-reply | confirmed) == confirmed",
    "ct status != 0",
    "ct mark 0",
    "ct mark != 0",
    "ct mark 0x1005",
    "ct mark & 0xff == 5",
    "ct mark 0x1000-0x2000",
    "ct label 3",
    "ct label 127",
    "ct label != 3",
    "ct l3proto ipv4",
    "ct l3proto ipv6",
    "ct protocol udp",
    "ct protocol tcp",
    "ct protocol != udp",
    "ct protocol { tcp, icmp }",
    "ct original ip saddr 10.0.0.2",
    "ct original ip saddr != 10.0.0.2",
    "ct original ip daddr 10.0.0.0/24",
    "ct reply ip saddr 10.0.0.1",
    "ct reply ip daddr 10.0.0.1-10.0.0.9",
    "ct original ip6 saddr 2001:db8::2",
    "ct original ip6 daddr 2001:db8::/64",
    "ct original ip6 daddr != 2001:db8::1",
    "ct reply ip6 saddr { 2001:db8::1, 2001:db8::7 }",
    "ct reply ip6 daddr 2001:db8::1-2001:db8::9",
    "meta l4proto udp ct original proto-dst 1003",
    "meta l4proto udp ct original proto-src != 1003",
    "meta l4proto udp ct reply proto-src 1002-1006",
    "meta l4proto tcp ct reply proto-dst 3000",
    "ct original ip saddr . ct mark { 10.0.0.2 . 0x1005, 10.0.0.1 . 0 }",
    "ct zone 0",
    "ct zone 9",
    "ct zone != 9",
    "ct original zone 9",
    "ct reply zone 10",
    "ct original zone 10",
    "ct reply zone 11",
    "ct original zone != 11",
    "ct bytes > 100",
    "ct bytes 38",
    "ct original bytes > 100",
    "ct reply bytes > 0",
    "ct packets 2-3",
    "ct original packets > 1",
    "ct reply packets 0",
    "ct avgpkt > 100",
    "ct original avgpkt < 100",
    "ct reply avgpkt 0",
    "ct helper \"ftp\"",
    "ct helper != \"ftp\"",
};

// Filled so slowly that the traffic meets each bucket as it was.
constexpr std::array meter_rules = {
    "limit rate 1/day burst 3 packets",
    "limit rate over 1/day burst 3 packets",
    "limit rate 2/week",
    "limit rate over 4/hour burst 1 packets",
    "limit rate 5000000000/second",
    "limit rate 10 bytes/hour burst 200 bytes",
    "limit rate over 10 bytes/hour burst 200 bytes",
    "limit rate 2 bytes/day",
    "limit rate 1 kbytes/hour burst 1 bytes",
    "quota 100 bytes",
    "quota over 100 bytes",
    "quota 124 bytes",
    "quota over 31 bytes",
    "quota 31 bytes",
    "quota 0 bytes",
    "numgen inc mod 3 1",
    "numgen inc mod 2 offset 10 11",
    "numgen inc mod 5 { 0, 3 }",
    "numgen inc mod 4 != 2",
    "meta l4proto udp numgen inc mod 2 0",
    "meta l4proto tcp limit rate 1/day burst 1 packets",
    "meta l4proto udp quota over 60 bytes",
};

// Chance where it has no choice, and hashes.
constexpr std::array chance_rules = {
    "numgen random mod 1 0",
    "numgen random mod 3 offset 5 { 5, 6, 7 }",
    "numgen random mod 3 > 2",
    "meta random >= 0",
    "jhash ip saddr . udp dport mod 2 seed 0xdeadbeef 0",
    "jhash udp dport mod 3 seed 1 1",
    "jhash udp dport mod 3 seed 1 offset 7 9",
    "jhash ip saddr . ip daddr . udp dport . udp sport mod 5 seed 99 { 0, 1, 4 }",
    "jhash meta mark . udp dport mod 2 seed 5 1",
    "meta l4proto tcp jhash tcp dport mod 1 seed 3 0",
    "jhash ip6 daddr mod 4 seed 9 1",
};

// Elements that last longer than the traffic does.
constexpr const char* dynamic_sets = R"(
  set seen { type ipv4_addr; flags dynamic; timeout 1h; size 100; }
  set few { type inet_service; flags dynamic; size 1; }
  set some { type ipv4_addr . inet_service; flags dynamic; }
  set rates { type ipv4_addr; flags dynamic; }
  set over { type inet_service; flags dynamic,timeout; }
  set bytes { type ipv4_addr; flags dynamic; }
  set quotas { type inet_service; flags dynamic; }
  set counted { type ipv4_addr; flags dynamic,timeout; timeout 5m
    counter
  }
  set timed { type ipv4_addr; timeout 1h; elements = { 10.0.0.2, 10.0.0.7 timeout 5m expires 3m } }
  set kept { type ipv4_addr; flags dynamic; elements = { 10.0.0.2 } }
  map marks { type ipv4_addr : mark; flags dynamic; timeout 10m; }
)";
constexpr std::array dynamic_rules = {
    "ip saddr @seen",
    "add @seen { ip saddr }",
    "ip saddr @seen",
    "ip daddr @seen",
    "update @seen { ip daddr timeout 2h }",
    "ip daddr != @seen",
    "add @few { th dport }",
    "th dport @few",
    "th sport @few",
    "udp sport 1003 add @few { udp sport }",
    "add @some { ip saddr . th dport }",
    "ip daddr . th sport @some",
    "ip saddr . th dport @some",
    "update @rates { ip saddr limit rate 1/day burst 3 packets }",
    "update @over { th dport timeout 1h limit rate over 1/day burst 2 packets }",
    "th dport @over",
    "add @bytes { ip daddr limit rate over 10 bytes/hour burst 200 bytes }",
    "add @quotas { th sport quota 100 bytes }",
    "th sport @quotas",
    "update @counted { ip saddr }",
    "ip saddr @counted",
    "ip saddr @timed",
    "delete @timed { ip daddr }",
    "ip daddr @timed",
    "ip saddr @kept",
    "delete @kept { ip saddr }",
    "ip saddr @kept",
    "udp sport 1003 add @kept { ip saddr }",
    "add @marks { ip saddr : 0x7 }",
    "update @marks { ip daddr : 0x8 }",
};

// Maps to counters, limits and quotas: with intervals, parts, and an element for all others.
constexpr const char* object_sets = R"(
  counter few { }
  counter some { }
  counter most { }
  counter nobody { }
  limit three { rate 1/day burst 3 packets; }
  limit excess { rate over 1/day burst 2 packets; }
  limit large { rate 10 bytes/hour burst 200 bytes; }
  quota little { 100 bytes; }
  quota more { 1 kbytes; }
  quota beyond { over 60 bytes; }
  map by_port { type inet_service : counter; elements = { 1001 : "few", 1003 : "some" }; }
  map by_host { type ipv4_addr : counter; flags interval
    elements = { 10.0.0.1 : "few", 10.0.0.2-10.0.0.9 : "some", * : "most" }
  }
  map by_both { type ipv4_addr . inet_service : counter; flags interval
    elements = { 10.0.0.0/24 . 1000-1005 : "some", 10.0.0.1 . 1006 : "few" }
  }
  map limits { type inet_service : limit
    elements = { 1001 : "three", 1002 : "excess", 1003 : "large", 1004 : "three" }
  }
  map quotas { type inet_service : quota; flags interval
    elements = { 1001 : "little", 1002-1004 : "more", 1005 : "beyond" }
  }
)";
constexpr std::array object_rules = {
    "counter name th dport map @by_port",
    "counter name ip saddr map @by_host",
    "counter name ip saddr . th dport map @by_both",
    "counter name th dport map { 1003 : \"few\", 1004-1009 : \"most\" }",
    "counter name ip6 daddr map { 2001:db8::1 : \"some\", * : \"few\" }",
    "meta l4proto udp counter name th dport map @by_port",
    "limit name th dport map @limits",
    "limit name th sport map { 1003 : \"excess\" }",
    "quota name th dport map @quotas",
    "quota name ip saddr map { 10.0.0.1 : \"little\", 10.0.0.2 : \"more\" }",
    "quota name th dport map @quotas counter name th dport map @by_port",
    "limit name th dport map @limits quota name th dport map { 1003 : \"more\" }",
};

// What stands behind transport headers of all kinds and lengths.
constexpr std::array inner_rules = {
    "@ih,0,8 0x01",
    "@ih,0,8 != 0x01",
    "@ih,0,32 0x01020304",
    "@ih,8,24 0x020304",
    "@ih,0,128 > 0",
    "@ih,16,8 { 1, 3, 5 }",
    "@ih,4,12 0x102",
    "meta l4proto udp @ih,24,8 4",
    "meta l4proto tcp @ih,0,16 0x0102",
    "meta l4proto tcp @ih,0,16 != 0x0102",
    "meta l4proto gre @ih,0,16 0x0102",
    "meta l4proto gre @ih,0,16 != 0x0102",
    "meta l4proto 4 @ih,72,8 10",
    "meta l4proto icmp @ih,0,8 >= 0",
    "ip6 version 6 @ih,0,8 >= 0",
};

template <typename Rules>
std::string script_of(const std::string& hook, const Rules& rules, const char* sets = "") {
  std::string text = std::string("table inet t {\n") + sets + "  chain c {\n    type filter hook " +
                     hook + " priority 5; policy accept;\n";
  for (const auto& rule : rules) text += "    " + std::string(rule) + " counter\n";
  return text + "    counter\n  }\n}\n";
}

void check(bool done, const char* what) {
  if (!done) give_up(what, errno);
}

// A UDP socket, and a TCP one that listens, of another user.
class Sockets {
 public:
  Sockets() {
    ::setfsgid(group);
    ::setfsuid(user);
    theirs_ = udp_socket(client_port);
    listener_ = kernel::Fd(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::setfsuid(0);
    ::setfsgid(0);
    const int priority = 6;
    check(::setsockopt(theirs_.get(), SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority) == 0,
          "SO_PRIORITY");
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(listener_port);
    check(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
          "bind");
    check(::listen(listener_.get(), 5) == 0, "listen");
  }

  // A datagram of the other user.
  void send() const {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(1003);
    to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
    to.sin6_addr.s6_addr[12] = 10;
    to.sin6_addr.s6_addr[15] = 2;
    check(::sendto(theirs_.get(), "abc", 3, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) ==
              3,
          "sendto");
  }

 private:
  kernel::Fd theirs_;
  kernel::Fd listener_;
};

// Datagrams in and out, of two users, answers to them, and a TCP connection that is opened: its
// SYN-ACK is of no socket yet.
void traffic(Host& host) {
  const Inside inside(host.netns());
  const Sockets sockets;
  static_cast<void>(host.receive_all());
  static_cast<void>(host.send_all());
  static_cast<void>(host.receive_all());
  sockets.send();
  const packet::Ipv4 network{.source = {10, 0, 0, 2}, .destination = {10, 0, 0, 1}};
  check(host.tun().write(packet::build({.network = network,
                                        .transport = packet::Udp{.source_port = 1003,
                                                                 .destination_port = client_port},
                                        .payload = Bytes(20, 1)})
                             .bytes),
        "the TUN device refuses a datagram");
  sockets.send();
  packet::Tcp syn{.source_port = 3000, .destination_port = listener_port};
  syn.sequence = 1;
  syn.flags = 2;
  check(host.tun().write(packet::build({.network = network, .transport = syn}).bytes),
        "the TUN device refuses a SYN");
  while (const auto packet = host.tun().read()) {
    const std::size_t transport = ((*packet)[0] & 15U) * 4U;
    if ((*packet)[0] >> 4 != 4 || (*packet)[9] != IPPROTO_TCP) continue;
    packet::Tcp ack = syn;
    ack.flags = 16;
    ack.sequence = 2;
    ack.acknowledgement =
        static_cast<std::uint32_t>(load_big_endian(packet->subspan(transport + 4, 4))) + 1;
    const Bytes bytes = packet::build({.network = network, .transport = ack}).bytes;
    check(host.tun().write(bytes), "the TUN device refuses an ACK");
    break;
  }
}

// A transport header of each kind and length, and behind it four bytes, in whole packets and in
// fragments; and none of its length.
void tunnelled(Host& host) {
  const Inside inside(host.netns());
  const auto send = [&](std::uint8_t protocol, Bytes transport, std::uint16_t fragment = 0) {
    Bytes bytes = {0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1};
    bytes.insert(bytes.end(), transport.begin(), transport.end());
    bytes[3] = static_cast<std::uint8_t>(bytes.size());
    bytes[6] = static_cast<std::uint8_t>(fragment >> 8);
    bytes[7] = static_cast<std::uint8_t>(fragment);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) sum += bytes[i] * 256U + bytes[i + 1];
    sum = ~((sum & 0xffff) + (sum >> 16));
    bytes[10] = static_cast<std::uint8_t>(sum >> 8);
    bytes[11] = static_cast<std::uint8_t>(sum);
    check(host.tun().write(bytes), "the TUN device refuses a packet");
    // The same of IPv6.
    Bytes six = {0x60, 0, 0, 0, 0, static_cast<std::uint8_t>(transport.size()), protocol, 64};
    for (const std::uint8_t last : {std::uint8_t{2}, std::uint8_t{1}}) {
      six.insert(six.end(), {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last});
    }
    six.insert(six.end(), transport.begin(), transport.end());
    check(host.tun().write(six), "the TUN device refuses a packet");
  };
  const auto with_data = [](Bytes header, std::size_t data) {
    for (std::size_t i = 1; i <= data; ++i) header.push_back(static_cast<std::uint8_t>(i));
    return header;
  };
  for (const std::size_t data : {0, 1, 4, 40}) {
    const Bytes udp = {0, 7, 0, 9, 0, static_cast<std::uint8_t>(8 + data), 0, 0};
    send(17, with_data(udp, data));
    send(17, with_data(udp, data), 0x2000);
    send(17, with_data(udp, data), 0x0001);
    send(4, with_data({}, data));
    send(1, with_data({8, 0, 0, 0, 0, 0, 0, 0}, data));
    for (unsigned words = 0; words < 16; ++words) {
      Bytes tcp(20, 0);
      tcp[12] = static_cast<std::uint8_t>(words << 4);
      tcp[13] = 2;
      send(6, with_data(tcp, data));
      send(6, with_data(Bytes(tcp.begin(), tcp.begin() + words + 1), 0));
    }
    for (unsigned flags = 0; flags < 16; ++flags) {
      const auto first = static_cast<std::uint8_t>(flags << 4);
      send(47, with_data({first, 0, 8, 0}, data));
      send(47, with_data({first, static_cast<std::uint8_t>(flags), 8, 0}, data));
      send(47, with_data({first, 0, 8}, 0));
    }
  }
}

// Of a namespace that is like all others here.
std::unique_ptr<Host> prepared() {
  auto host = std::make_unique<Host>();
  const Inside inside(host->netns());
  expect(run_command({"ip", "link", "set", "tun0", "group", "7"}));
  expect(run_command({"ip", "route", "replace", "10.0.0.0/24", "dev", "tun0", "realm", "5"}));
  check(set_sysctl("netfilter/nf_conntrack_acct", "1"), "accounting");
  expect(host->nft().run(setup));
  return host;
}

// As nft reads them: in the zone of this process.
std::string in_words(std::time_t time, const char* format) {
  std::array<char, 64> text{};
  std::tm parts{};
  ::localtime_r(&time, &parts);
  return "\"" + std::string(text.data(), std::strftime(text.data(), text.size(), format, &parts)) +
         "\"";
}
std::string day_and_hour(std::time_t time) {
  return in_words(time, "%Y-%m-%d %H:%M:%S");
}
std::string hour_of(std::time_t time) {
  return in_words(time, "%H:%M:%S");
}

// Some that are true for half an hour, and others.
std::vector<std::string> clock_rules(std::time_t now) {
  constexpr std::time_t half_an_hour = 1800;
  const std::time_t before = now - half_an_hour;
  const std::time_t after = now + half_an_hour;
  return {"meta time > " + day_and_hour(before),
          "meta time < " + day_and_hour(before),
          "meta time " + day_and_hour(before) + "-" + day_and_hour(after),
          "meta time != " + day_and_hour(before) + "-" + day_and_hour(after),
          "meta hour " + hour_of(before) + "-" + hour_of(after),
          "meta hour != " + hour_of(before) + "-" + hour_of(after),
          "meta hour " + hour_of(after) + "-" + hour_of(after + half_an_hour),
          "meta hour " + hour_of(before - half_an_hour) + "-" + hour_of(before)};
}

class Facts : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    cpu_set_t last;
    CPU_ZERO(&last);
    ASSERT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before_)) continue;
      CPU_ZERO(&last);
      CPU_SET(cpu, &last);
    }
    ASSERT_EQ(::sched_setaffinity(0, sizeof last, &last), 0);
  }
  void TearDown() override { ::sched_setaffinity(0, sizeof before_, &before_); }

  // Each rule counts as nft does; how many rules counted something, and not all packets.
  template <typename Rules>
  std::size_t judge(const Rules& rules, const char* sets = "") {
    return expect_counted_as_nft(script_of(GetParam(), rules, sets), prepared, traffic);
  }

 private:
  cpu_set_t before_{};
};

TEST_P(Facts, OfDevicesAndPackets) {
  judge(device_rules);
}

TEST_P(Facts, OfSocketsAndRoutes) {
  const bool inwards = GetParam() == "prerouting" || GetParam() == "input";
  EXPECT_GE(judge(socket_rules), inwards ? 0 : 8) << "rules that tell packets apart";
}

TEST_P(Facts, OfTheClock) {
  const std::vector<std::string> rules = clock_rules(std::time(nullptr));
  judge(rules);
}

TEST_P(Facts, OfConnections) {
  EXPECT_GE(judge(connection_rules), 30u) << "rules that tell packets apart";
}

TEST_P(Facts, OfMeters) {
  EXPECT_GE(judge(meter_rules), 15u) << "rules that tell packets apart";
}

TEST_P(Facts, OfChance) {
  EXPECT_GE(judge(chance_rules), 2u) << "rules that tell packets apart";
}

TEST_P(Facts, OfDynamicSets) {
  EXPECT_GE(judge(dynamic_rules, dynamic_sets), 15u) << "rules that tell packets apart";
}

TEST_P(Facts, OfMapsToObjects) {
  EXPECT_GE(judge(object_rules, object_sets), 10u) << "rules that tell packets apart";
}

TEST(InnerHeaders, AreFoundAsNftDoes) {
  const std::size_t told_apart = expect_counted_as_nft(script_of("prerouting", inner_rules),
                                                       std::make_unique<Host>, tunnelled);
  EXPECT_EQ(told_apart, inner_rules.size() - 1) << "rules that tell packets apart";
}

INSTANTIATE_TEST_SUITE_P(All, Facts,
                         testing::Values("prerouting", "input", "output", "postrouting"),
                         [](const auto& hook) { return hook.param; });

// Seven times the deviation of so many tosses, that nobody meets by chance.
TEST(Chance, IsDrawnAnewForEachPacket) {
  constexpr int packets = 1000;
  const auto ruleset = expect(frontend::nft::read_script(
      "table inet t {\n  chain c {\n    type filter hook input priority 0; policy accept;\n"
      "    numgen random mod 4 0 counter\n    meta random & 1 == 1 counter\n  }\n}\n",
      "chance.nft"));
  const auto attachments =
      expect(driver::plan(ruleset, Hook{.kind = Hook::Kind::xdp, .device = {}}, {}));
  const auto compilation = expect(driver::compile(ruleset, attachments, {}));
  auto runner = expect(driver::Runner::create(driver::EngineKind::kernel, ruleset, compilation));
  packet::Packet packet = packet::build({.link = packet::Ethernet{}, .transport = packet::Udp{}});
  packet.bytes.resize(64);
  for (int i = 0; i < packets; ++i) expect(runner.run(packet));
  const auto counted = expect(runner.counters());
  ASSERT_EQ(counted.size(), 2U);
  EXPECT_NEAR(static_cast<double>(counted[0].packets), 250, 96);
  EXPECT_NEAR(static_cast<double>(counted[1].packets), 500, 111);
}

// To the second, at hooks of each kind of program.
TEST(Clock, IsThatOfTheWall) {
  const auto verdict = [](const char* hook_name, std::time_t from, std::time_t to) {
    const Hook hook = parse_hook(hook_name).value();
    const auto ruleset = expect(frontend::nft::read_script(
        "table inet t {\n  chain c {\n    type filter hook input priority 0; policy accept;\n    "
        "meta time " +
            day_and_hour(from) + "-" + day_and_hour(to) + " meta hour " + hour_of(from) + "-" +
            hour_of(to) + " drop\n  }\n}\n",
        "clock.nft"));
    const Programs programs = expect(make_programs(ruleset, hook, {}));
    const packet::Packet packet =
        packet::build({.link = packet::Ethernet{}, .transport = packet::Udp{}});
    const bool frame = hook.kind != Hook::Kind::netfilter;
    const auto run = expect(kernel::test_run(
        programs.loaded.programs.front(), programs.compilation.object.programs.front().type,
        {.packet = frame ? ByteView(packet.bytes) : packet.network(), .hook = NfHook::input}));
    return static_cast<std::int32_t>(run.result) == backend::profile_for(hook).drop;
  };
  constexpr std::time_t a_while = 30;
  for (const char* const hook : {"xdp", "tc:ingress", "netfilter:input"}) {
    const std::time_t now = std::time(nullptr);
    EXPECT_TRUE(verdict(hook, now - 1, now + a_while)) << hook;
    EXPECT_FALSE(verdict(hook, now - a_while, now - 1)) << hook;
    EXPECT_FALSE(verdict(hook, now + a_while, now + 2 * a_while)) << hook;
  }
}

// The kernel's verifier takes all of it, at every hook that serves it.
TEST(FactsAtOtherHooks, Load) {
  const auto loads = [](const std::string& rules, const Hook& hook, const char* sets = "") {
    const std::string script =
        std::string("table inet t {\n") + sets +
        "  chain c {\n    type filter hook input priority 0; policy accept;\n" + rules + "  }\n}\n";
    const auto ruleset = expect(frontend::nft::read_script(script, "facts.nft"));
    const auto made = make_programs(ruleset, hook, {});
    EXPECT_TRUE(made.has_value()) << to_string(hook) << ": " << made.error().text();
  };
  const auto lines = [](const auto& rules) {
    std::string text;
    for (const char* rule : rules) text += std::string("    ") + rule + " counter\n";
    return text;
  };
  const std::string input =
      "    meta iifgroup 7 counter\n    meta iifkind tun counter\n    meta cpu 1 counter\n"
      "    meta hour \"09:00\"-\"17:00\" counter\n";
  const std::string output =
      "    meta oifgroup 7 counter\n    meta oifkind tun counter\n    meta oiftype ether counter\n";
  const std::string of_skb =
      "    meta priority 1:1 counter\n    meta rtclassid 5 counter\n    rt ipsec missing counter\n"
      "    rt ip nexthop 10.0.0.7 counter\n    rt ip6 nexthop fe80::/64 counter\n";
  using Kind = Hook::Kind;
  loads(input, {.kind = Kind::xdp, .device = {}});
  loads(input + of_skb + lines(socket_rules), {.kind = Kind::tc_ingress, .device = {}});
  loads(output + of_skb + lines(socket_rules) + lines(connection_rules),
        {.kind = Kind::tc_egress, .device = {}});
  loads(input + of_skb, {.kind = Kind::cgroup_ingress, .device = {}});
  loads(output + of_skb + lines(socket_rules) + lines(connection_rules),
        {.kind = Kind::cgroup_egress, .device = {}});
  loads(input + of_skb, {.kind = Kind::socket, .device = {}});
  for (const Kind kind : {Kind::xdp, Kind::tc_ingress, Kind::tc_egress, Kind::cgroup_ingress,
                          Kind::cgroup_egress, Kind::socket}) {
    loads(lines(dynamic_rules), {.kind = kind, .device = {}}, dynamic_sets);
  }
}

}  // namespace
}  // namespace weir::test
