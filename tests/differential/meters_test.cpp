// SPDX-License-Identifier: BSD-2-Clause
//
// Limits, quotas and sequences of drawn rules over packets whose times are drawn as well: programs
// in the engine, whole and in parts, take from them as the evaluator does.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "differential/side_by_side.h"
#include "packet/builder.h"

namespace weir::differential {
namespace {

using Random = std::mt19937_64;

std::uint64_t pick(Random& random, std::initializer_list<std::uint64_t> from) {
  return from.begin()[random() % from.size()];
}

std::string drawn_meter(Random& random) {
  const std::string over = random() % 3 == 0 ? "meter over " : "meter ";
  switch (random() % 3) {
    case 0:
      return over + "limit " +
             std::to_string(pick(random, {1, 2, 3, 7, 100, 999'983, 3'000'000'000})) +
             " packets each " + std::to_string(pick(random, {1, 60, 3600, 604'800})) + " burst " +
             std::to_string(pick(random, {1, 2, 5, 17}));
    case 1:
      return over + "limit " + std::to_string(pick(random, {2, 3, 100, 1024, 65'521, 1'000'003})) +
             " bytes each " + std::to_string(pick(random, {1, 60, 3600})) + " burst " +
             std::to_string(pick(random, {0, 1, 60, 1500}));
    default:
      return over + "quota " + std::to_string(pick(random, {0, 1, 54, 100, 1000, 5000})) +
             " used " + std::to_string(pick(random, {0, 0, 1}));
  }
}

// Of up to five meters, often alike, or counters; now and then of more places than there are.
std::string drawn_choice(Random& random) {
  std::string out = random() % 2 == 0 ? "choose lookup(meta l4proto, @places) of { "
                                      : "choose numgen mod 5 plus 0 of { ";
  const bool meters = random() % 3 != 0;
  std::string one;
  const std::size_t count = 1 + random() % 5;
  for (std::size_t i = 0; i < count; ++i) {
    if (one.empty() || random() % 2 == 0) one = meters ? drawn_meter(random) : "counter";
    out += (i == 0 ? "" : ", ") + one;
  }
  return out + " }";
}

std::string drawn_rule(Random& random) {
  std::string out = "rule ";
  if (random() % 2 == 0)
    out += "match meta l4proto == " + std::string(random() % 2 ? "0x06" : "0x11");
  if (random() % 4 == 0) {
    out += " match numgen mod " + std::to_string(pick(random, {1, 2, 3, 10})) + " plus " +
           std::to_string(pick(random, {0, 1, 4'294'967'295})) +
           (random() % 2 == 0 ? " == 0x01000000" : " != 0x00000000");
  } else {
    out += " " + (random() % 4 == 0 ? drawn_choice(random) : drawn_meter(random));
  }
  out += " counter";
  return out + (random() % 4 == 0 ? " drop\n" : "\n");
}

std::string drawn_rules(Random& random) {
  std::string out =
      "table inet t\nmap inet t places inet_proto 1 to limit 4 { 0x06 : 0x00000000, 0x11 : "
      "0x03000000 }\nchain inet t c hook prerouting priority 0 policy accept\n"
      "rule match meta l4proto == 0x06 counter jump d\n";
  for (int i = 0; i < 5; ++i) out += drawn_rule(random);
  out += "rule counter jump d\nchain inet t d\n";
  for (int i = 0; i < 2; ++i) out += drawn_rule(random);
  return out;
}

packet::Packet drawn_packet(Random& random) {
  const packet::TransportHeader transport =
      random() % 2 == 0 ? packet::TransportHeader(packet::Tcp{.destination_port = 22})
                        : packet::TransportHeader(packet::Udp{.destination_port = 53});
  const packet::NetworkHeader network =
      random() % 3 == 0
          ? packet::NetworkHeader(packet::Ipv6{.source = {0x20, 1}, .destination = {0x20, 2}})
          : packet::NetworkHeader(
                packet::Ipv4{.source = {10, 0, 0, 1}, .destination = {10, 0, 0, 2}});
  return packet::build({.link = packet::Ethernet{},
                        .network = network,
                        .transport = transport,
                        .payload = Bytes(random() % 4 * (random() % 100), 7)});
}

class Meters : public testing::TestWithParam<const char*> {};

TEST_P(Meters, AreTakenFromAsTheEvaluatorDoes) {
  const Hook hook = *parse_hook(GetParam());
  Random random(7);
  std::size_t taken = 0;
  for (int round = 0; round < 150 && !HasFailure(); ++round) {
    const std::string text = drawn_rules(random);
    auto both = SideBySide::make(text, hook, driver::EngineKind::interpreter, round % 3 == 1);
    ASSERT_TRUE(both) << both.error().text() << "\n" << text;
    driver::Runner& engine = (*both)->engine();
    driver::Runner& evaluator = (*both)->evaluator();
    std::int64_t now = static_cast<std::int64_t>(pick(random, {0, 1, 1'795'281'776'779'374'000}));
    for (int i = 0; i < 120; ++i) {
      packet::Packet packet = drawn_packet(random);
      now += static_cast<std::int64_t>(
          pick(random, {0, 0, 1, 1000, 333'333'333, 500'000'000, 1'000'000'000, 61'000'000'000}));
      packet.time_ns = now;
      const auto expected = evaluator.run(packet);
      const auto found = engine.run(packet);
      ASSERT_TRUE(expected && found);
      ASSERT_EQ(found->verdict, expected->verdict) << "packet " << i << " of\n" << text;
      ASSERT_EQ(found->matched, expected->matched) << "packet " << i << " of\n" << text;
      taken += expected->matched.size();
    }
    ASSERT_EQ(engine.counters().value(), evaluator.counters().value()) << text;
  }
  EXPECT_GT(taken, 10'000u) << "the rules let hardly any packet through";
}

INSTANTIATE_TEST_SUITE_P(Hooks, Meters,
                         testing::Values("xdp", "tc:ingress", "netfilter:prerouting", "socket"),
                         [](const auto& hook) {
                           std::string name = hook.param;
                           for (char& c : name) c = c == ':' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace weir::differential
