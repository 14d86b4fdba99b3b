// SPDX-License-Identifier: BSD-2-Clause
//
// Dynamic sets of drawn rules over packets whose times are drawn as well: programs in the engine,
// whole and in parts, do with them what the evaluator does, and leave the same elements behind.
#include <gtest/gtest.h>

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

// What times packets come at: any, or all of them about the same one.
enum class Clock : std::uint8_t { drawn, still };

std::string drawn_statement(Random& random, Clock clock) {
  const std::string over = random() % 2 == 0 ? " each over " : " each ";
  switch (random() % 4) {
    case 0:
      return over + "limit " + std::to_string(pick(random, {1, 2, 7})) + " packets each " +
             std::to_string(clock == Clock::still ? 604'800 : pick(random, {1, 60})) + " burst " +
             std::to_string(pick(random, {1, 2, 5}));
    case 1:
      return over + "limit " + std::to_string(pick(random, {2, 100, 65'521})) +
             (clock == Clock::still ? " bytes each 604800 burst " : " bytes each 1 burst ") +
             std::to_string(pick(random, {0, 60, 1500}));
    case 2:
      return over + "quota " + std::to_string(pick(random, {0, 54, 500, 5000})) + " used " +
             std::to_string(pick(random, {0, 0, 20}));
    default:
      return " each counter packets " + std::to_string(pick(random, {0, 0, 3})) + " bytes " +
             std::to_string(pick(random, {0, 0, 99}));
  }
}

std::string drawn_dynamics(Random& random, Clock clock, bool timeouts, unsigned statements) {
  std::string out = " dynamic";
  if (timeouts && clock == Clock::drawn) {
    out += " timeouts " + std::to_string(pick(random, {0, 500, 1000, 3000}));
  } else if (timeouts) {
    out += " timeouts " + std::to_string(pick(random, {0, 3'600'000}));
  }
  out += " size " + std::to_string(pick(random, {2, 3, 5, 100}));
  for (unsigned i = 0; i < statements; ++i) out += drawn_statement(random, clock);
  return out;
}

// s and t of addresses, p of an address and a port, m from addresses to marks.
struct Sets {
  bool s_expires = true;
  bool p_expires = true;
  std::string text;
};

Sets drawn_sets(Random& random, Clock clock) {
  Sets out{.s_expires = random() % 4 != 0, .p_expires = random() % 2 == 0, .text = {}};
  out.text = "set inet t s ipv4_addr 4" +
             drawn_dynamics(random, clock, out.s_expires, static_cast<unsigned>(random() % 3));
  const bool times = out.s_expires && clock == Clock::drawn;
  out.text += times && random() % 2 == 0 ? " { 0x0a000001 expires 700, 0x0a000002 }\n"
                                         : " { 0x0a000003 }\n";
  out.text += "set inet t p pair 8 fields 4 2" +
              drawn_dynamics(random, clock, out.p_expires, static_cast<unsigned>(random() % 2)) +
              " { }\n";
  out.text += "map inet t m ipv4_addr 4 to mark 4" + drawn_dynamics(random, clock, true, 0) +
              (random() % 2 == 0 ? " { 0x0a000002 : 0x02000000 }\n" : " { }\n");
  return out;
}

std::string drawn_change(Random& random, Clock clock, const Sets& sets) {
  const std::string address = random() % 4 == 0 ? "payload network 16 4" : "payload network 12 4";
  const std::string op = std::initializer_list<const char*>{"add ", "add ", "update ", "delete "}
                             .begin()[random() % 4];
  std::string key = address;
  std::string set = " @s";
  bool expires = sets.s_expires;
  const std::uint64_t which = random() % 4;
  if (which == 0) {
    key = "concat(" + address + ", payload transport 2 2)";
    set = " @p";
    expires = sets.p_expires;
  } else if (which == 1) {
    if (op != "delete ") key += random() % 2 == 0 ? " : meta length" : " : 0x02000000";
    set = " @m";
    expires = true;
  }
  std::string out = op + key + set;
  if (expires && op != "delete " && random() % 3 == 0) {
    out += " timeout " +
           std::to_string(clock == Clock::still ? 7'200'000 : pick(random, {1, 400, 2000}));
  }
  if (op != "delete " && random() % 6 == 0) out += " inverted";
  return out;
}

std::string drawn_rule(Random& random, Clock clock, const Sets& sets) {
  std::string out = "rule ";
  if (random() % 3 == 0)
    out += "match meta l4proto == " + std::string(random() % 2 ? "0x06 " : "0x11 ");
  const std::string in = random() % 4 == 0 ? " not in @" : " in @";
  switch (random() % 6) {
    case 0:
      out += "match payload network 12 4" + in + "s";
      break;
    case 1:
      out += "match concat(payload network 12 4, payload transport 2 2)" + in + "p";
      break;
    case 2:
      out += "match lookup(payload network 12 4, @m) " + std::string(random() % 2 ? "==" : "!=") +
             " 0x02000000";
      break;
    default:
      out += drawn_change(random, clock, sets);
      break;
  }
  out += " counter";
  return out + (random() % 6 == 0 ? " drop\n" : "\n");
}

std::string drawn_rules(Random& random, Clock clock) {
  const Sets sets = drawn_sets(random, clock);
  std::string out = "table inet t\n" + sets.text +
                    "chain inet t c hook prerouting priority 0 policy accept\n"
                    "rule match meta l4proto == 0x06 counter jump d\n";
  for (int i = 0; i < 5; ++i) out += drawn_rule(random, clock, sets);
  out += "rule counter jump d\nchain inet t d\n";
  for (int i = 0; i < 2; ++i) out += drawn_rule(random, clock, sets);
  return out;
}

packet::Packet drawn_packet(Random& random) {
  const auto port = static_cast<std::uint16_t>(pick(random, {22, 53}));
  const packet::TransportHeader transport =
      random() % 2 == 0 ? packet::TransportHeader(packet::Tcp{.destination_port = port})
                        : packet::TransportHeader(packet::Udp{.destination_port = port});
  const auto host = [&] {
    return std::array<std::uint8_t, 4>{10, 0, 0, static_cast<std::uint8_t>(1 + random() % 5)};
  };
  return packet::build({.link = packet::Ethernet{},
                        .network = packet::Ipv4{.source = host(), .destination = host()},
                        .transport = transport,
                        .payload = Bytes(random() % 4 * (random() % 100), 7)});
}

class DynamicSets : public testing::TestWithParam<const char*> {};

TEST_P(DynamicSets, ChangeAsTheEvaluatorHasIt) {
  const Hook hook = *parse_hook(GetParam());
  Random random(11);
  std::size_t matched = 0;
  std::size_t elements = 0;
  for (int round = 0; round < 40 && !HasFailure(); ++round) {
    const std::string text = drawn_rules(random, Clock::drawn);
    auto both = SideBySide::make(text, hook, driver::EngineKind::interpreter, round % 3 == 1);
    ASSERT_TRUE(both) << both.error().text() << "\n" << text;
    driver::Runner& engine = (*both)->engine();
    driver::Runner& evaluator = (*both)->evaluator();
    std::int64_t now = static_cast<std::int64_t>(pick(random, {0, 1, 1'795'281'776'779'374'000}));
    for (int i = 0; i < 120; ++i) {
      packet::Packet packet = drawn_packet(random);
      now += static_cast<std::int64_t>(
          pick(random, {0, 0, 1, 1'000'000, 100'000'000, 333'333'333, 500'000'000, 1'000'000'000}));
      packet.time_ns = now;
      const auto expected = evaluator.run(packet);
      const auto found = engine.run(packet);
      ASSERT_TRUE(expected && found);
      ASSERT_EQ(found->verdict, expected->verdict) << "packet " << i << " of\n" << text;
      ASSERT_EQ(found->matched, expected->matched) << "packet " << i << " of\n" << text;
      ASSERT_EQ(engine.elements().value(), evaluator.elements().value())
          << "behind packet " << i << " of\n"
          << text;
      matched += expected->matched.size();
      elements += evaluator.elements()->size();
    }
    ASSERT_EQ(engine.counters().value(), evaluator.counters().value()) << text;
  }
  EXPECT_GT(matched, 5'000u) << "the rules let hardly any packet through";
  EXPECT_GT(elements, 5'000u) << "there are hardly any elements";
}

// Those that a program leaves behind, but for the times that are left.
std::vector<driver::LivingElement> without_times(std::vector<driver::LivingElement> elements) {
  for (driver::LivingElement& element : elements) {
    if (element.expires) element.expires = 1;
  }
  return elements;
}

// The kernel runs the programs by its own clock.
TEST_P(DynamicSets, ChangeInTheKernelAsTheEvaluatorHasIt) {
  const Hook hook = *parse_hook(GetParam());
  // Its test runs take the link header off, which counts as well.
  if (hook.kind == Hook::Kind::socket) GTEST_SKIP() << "bytes are fewer in test runs";
  Random random(12);
  std::size_t matched = 0;
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    const std::string text = drawn_rules(random, Clock::still);
    auto both = SideBySide::make(text, hook, driver::EngineKind::kernel, round % 3 == 1);
    ASSERT_TRUE(both) << both.error().text() << "\n" << text;
    driver::Runner& kernel = (*both)->engine();
    driver::Runner& evaluator = (*both)->evaluator();
    for (int i = 0; i < 60; ++i) {
      packet::Packet packet = drawn_packet(random);
      packet.time_ns = 1;
      const auto expected = evaluator.run(packet);
      const auto found = kernel.run(packet);
      ASSERT_TRUE(expected && found) << found.error().text();
      ASSERT_EQ(found->verdict, expected->verdict) << "packet " << i << " of\n" << text;
      ASSERT_EQ(found->matched, expected->matched) << "packet " << i << " of\n" << text;
      matched += expected->matched.size();
    }
    ASSERT_EQ(without_times(kernel.elements().value()), without_times(evaluator.elements().value()))
        << text;
  }
  EXPECT_GT(matched, 500u) << "the rules let hardly any packet through";
}

INSTANTIATE_TEST_SUITE_P(Hooks, DynamicSets,
                         testing::Values("xdp", "tc:ingress", "netfilter:prerouting", "socket"),
                         [](const auto& hook) {
                           std::string name = hook.param;
                           for (char& c : name) c = c == ':' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace weir::differential
