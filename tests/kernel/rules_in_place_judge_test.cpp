// SPDX-License-Identifier: BSD-2-Clause
//
// Rules that come and go in place, judged: after each command the program that is installed has to
// treat packets as the evaluator does by the whole ruleset read anew, and to count as it does; and
// while one rule takes the place of another again and again, every packet has to meet one of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "differential/random.h"
#include "imr/evaluator.h"
#include "kernel/rules_world.h"
#include "kernel/support/root_only.h"
#include "packet/builder.h"
#include "service/rule_session.h"
#include "service/rule_swap.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using differential::Random;
using service::RuleSession;

constexpr std::uint64_t seed = 20261122;

// Few values of each field, so that rules overlap and packets meet them.
std::string address(Random& random) {
  return "10." + std::to_string(random.below(4)) + "." + std::to_string(random.below(8)) + "." +
         std::to_string(random.below(4));
}

std::string prefix(Random& random) {
  switch (random.below(4)) {
    case 0:
      return "10." + std::to_string(random.below(4)) + ".0.0/16";
    case 1:
      return "10." + std::to_string(random.below(4)) + "." + std::to_string(random.below(8)) +
             ".0/24";
    default:
      return address(random);
  }
}

std::string port_words(Random& random) {
  const std::uint64_t port = 100 + random.below(24);
  if (random.chance(30)) return std::to_string(port) + "-" + std::to_string(port + random.below(6));
  if (random.chance(10)) return "{ " + std::to_string(port) + ", 110-112 }";
  return std::to_string(port);
}

// Each tests something, so that none ends the list for all packets. `on`: of a hundred, how many
// only count; a list of many such is not searched in tables.
std::string rule_words(Random& random, unsigned on) {
  std::string out;
  const std::uint64_t kind = random.below(10);
  if (kind < 4) {
    out += "ip6 saddr 2001:db8:" + std::to_string(random.below(64)) + "::/48 ";
  } else if (kind < 9) {
    out += "ip saddr " + prefix(random) + " ";
    if (random.chance(40)) out += "ip daddr " + prefix(random) + " ";
  }
  if (kind == 9 || random.chance(80)) {
    out += random.chance(60) ? "udp " : "tcp ";
    out += (random.chance(80) ? "dport " : "sport ") + port_words(random) + " ";
  }
  if (random.chance(on)) return out + "counter";
  if (random.chance(60)) out += "counter ";
  const std::uint64_t verdict = random.below(10);
  return out + (verdict < 5 ? "drop" : verdict < 9 ? "accept" : "return");
}

std::string long_list(Random& random) {
  std::string out;
  for (int i = 0; i < 500; ++i) out += "  " + rule_words(random, 1) + "\n";
  return out;
}

packet::Packet random_packet(Random& random) {
  const auto port = [&] { return static_cast<std::uint16_t>(100 + random.below(26)); };
  const auto ipv4 = [&] {
    return packet::Ipv4Address{10, static_cast<std::uint8_t>(random.below(4)),
                               static_cast<std::uint8_t>(random.below(8)),
                               static_cast<std::uint8_t>(random.below(4))};
  };
  packet::Recipe recipe;
  if (random.chance(80)) {
    recipe.network = packet::Ipv4{.source = ipv4(), .destination = ipv4()};
  } else {
    packet::Ipv6 header;
    header.source = packet::ipv6("2001:db8:" + std::to_string(random.below(64)) + "::1");
    recipe.network = header;
  }
  if (random.chance(60)) {
    recipe.transport = packet::Udp{.source_port = port(), .destination_port = port()};
  } else {
    recipe.transport = packet::Tcp{.source_port = port(), .destination_port = port()};
  }
  return packet::build(recipe);
}

class InPlaceJudge : public Rules {
 protected:
  InPlaceJudge() { classifier_ = classify::Kind::tuples; }
  struct Program {
    kernel::Fd fd;
    Nfproto nfproto = Nfproto::ipv4;
  };

  void open_programs() {
    programs_.clear();
    const service::PolicyState policy = state();
    for (std::size_t i = 0; i < policy.attachments.size(); ++i) {
      programs_.push_back({.fd = expect(kernel::open_pinned(paths_.pins("p") + "/" +
                                                            service::program_pin(policy, i))),
                           .nfproto = policy.attachments[i].nfproto});
    }
  }
  static bool accepts(const Program& program, const packet::Packet& packet) {
    return expect(kernel::test_run(program.fd, isa::ProgramType::netfilter, packet.network(),
                                   NfHook::input, program.nfproto))
               .result == 1;
  }
  // Each packet before the program of its family; what rules count is added to `counts_`.
  void compare(const imr::Ruleset& ruleset, const std::vector<packet::Packet>& packets) {
    const auto attachments = expect(driver::plan(ruleset, std::nullopt, {}));
    for (const driver::Attachment& attachment : attachments) {
      const auto program = std::ranges::find(programs_, attachment.nfproto, &Program::nfproto);
      ASSERT_NE(program, programs_.end());
      const imr::Unit unit = driver::units_of(ruleset, attachment).front();
      for (const packet::Packet& packet : packets) {
        const bool v6 = packet.network()[0] >> 4 == 6;
        if (v6 != (attachment.nfproto == Nfproto::ipv6)) continue;
        const imr::Outcome outcome = imr::evaluate(unit, packet);
        for (const imr::CounterId counter : outcome.counted) {
          ++counts_[ruleset[ruleset.counters.at(counter.index()).rule].origin.handle];
        }
        ASSERT_EQ(accepts(*program, packet), outcome.verdict == imr::Outcome::Verdict::accept)
            << to_hex(packet.network()) << " after " << history_;
      }
    }
  }
  void expect_counts() {
    const service::PolicyState policy = state();
    for (const service::ChainState& chain : policy.chains) {
      for (const service::RuleState& rule : chain.rules) {
        if (rule.counters.empty()) continue;
        const auto counts = expect(service::live_counts(policy, rule, paths_));
        EXPECT_EQ(counts.front().packets, counts_[rule.handle])
            << "handle " << rule.handle << " '" << rule.text << "' after " << history_;
      }
    }
  }
  [[nodiscard]] imr::Ruleset read_whole() const {
    return expect(frontend::nft::read_script(text_, "rules.nft",
                                             {.interface_index = {}, .commands = commands_}));
  }

  std::vector<Program> programs_;
  std::vector<std::string> commands_;
  std::map<std::uint64_t, std::uint64_t> counts_;  // packets, by handles
  std::string history_;
};

TEST_F(InPlaceJudge, AgreesWithTheWholeRulesetAfterEachCommand) {
  std::mt19937_64 engine(seed);
  Random random(engine);
  std::string text = "table inet t {\n chain in {\n type filter hook input priority 0\n";
  apply_policy(text + long_list(random) + " }\n}\n");
  RuleSession session = expect(RuleSession::open("p", paths_));
  imr::Ruleset ruleset = read_whole();
  std::size_t in_place = 0;
  const std::size_t commands = 120;
  for (std::size_t i = 0; i < commands && !HasFatalFailure(); ++i) {
    const imr::Ruleset& now = ruleset;
    const auto& rules = now.chains.front().rules;
    const std::uint64_t handle = now[random.pick(rules)].origin.handle;
    const std::string at = "inet t in handle " + std::to_string(handle) + " ";
    const std::string rule = rule_words(random, 4);
    service::RuleChange change;
    switch (random.below(5)) {
      case 0:
        change = {.kind = Change::insert, .words = "inet t in " + rule};
        break;
      case 1:
        change = {.kind = Change::insert, .words = at + rule};
        break;
      case 2:
        change = {.kind = Change::add, .words = (random.chance(20) ? "inet t in " : at) + rule};
        break;
      case 3:
        change = {.kind = Change::remove, .words = at};
        break;
      default:
        // nft 1.0.6 reads no intervals in what replaces a rule.
        change = {.kind = rule.contains('{') ? Change::add : Change::replace, .words = at + rule};
        break;
    }
    history_ += "\n" + service::command_of(change);
    const RuleSession::Done done = expect(session.change(change));
    if (done.in_place) ++in_place;
    if (!done.in_place) open_programs();
    if (i == 0) open_programs();
    if (random.chance(50)) expect(session.tidy_up());
    commands_.push_back(service::command_of(change));
    if (done.handle) counts_[*done.handle] = 0;
    ruleset = read_whole();
    std::vector<packet::Packet> packets;
    for (int k = 0; k < 60; ++k) packets.push_back(random_packet(random));
    compare(ruleset, packets);
    if (i % 10 == 9) expect_counts();
  }
  expect_counts();
  EXPECT_GE(in_place, commands * 3 / 4) << "of " << commands << " changes";
}

// Both rules match every packet that is sent, and differ in what they test. What they counted, each
// in its turn, has to be all packets: none met both, or neither.
TEST_F(InPlaceJudge, EveryPacketMeetsOneOfTwo) {
  std::mt19937_64 engine(seed);
  Random random(engine);
  std::string text =
      "table inet t {\n chain in {\n type filter hook input priority 0\n"
      "  udp dport 150 counter\n";
  apply_policy(text + long_list(random) + " }\n}\n");
  RuleSession session = expect(RuleSession::open("p", paths_));
  const packet::Packet packet = packet::build(
      {.network = packet::Ipv4{.source = {192, 0, 2, 1}, .destination = {192, 0, 2, 2}},
       .transport = packet::Udp{.destination_port = 150}});
  // There is room for few that only count.
  for (const auto& [verdict, changes] :
       std::vector<std::pair<std::string, int>>{{"", 12}, {" drop", 150}}) {
    std::atomic<std::uint64_t> sent = 0;
    std::atomic<std::uint64_t> accepted = 0;
    std::uint64_t counted = 0;
    const auto first_rule = [&] { return state().chains.front().rules.front(); };
    // The rule as it is first is not of those two.
    RuleSession::Done rule =
        expect(session.change({.kind = Change::replace,
                               .words = "inet t in handle " + std::to_string(first_rule().handle) +
                                        " udp dport 149-150 counter" + verdict}));
    expect(session.tidy_up());
    open_programs();
    {
      Meanwhile sender([&] {
        if (accepts(programs_.front(), packet)) ++accepted;
        ++sent;
      });
      for (int i = 0; i < changes; ++i) {
        const std::uint64_t enough = sent + 200;
        const service::RuleState before = first_rule();
        const std::string words =
            i % 2 == 0 ? "udp dport 150" : "ip saddr 192.0.2.0/24 udp dport 149-150";
        rule = expect(
            session.change({.kind = Change::replace,
                            .words = "inet t in handle " + std::to_string(rule.handle.value()) +
                                     " " + words + " counter" + verdict}));
        EXPECT_TRUE(rule.in_place);
        while (sent < enough) std::this_thread::yield();
        // Nobody is in the old rule any more, and nobody has its counter yet.
        expect(session.tidy_up());
        counted += expect(service::live_counts(state(), before, paths_)).front().packets;
      }
    }
    counted += expect(service::live_counts(state(), first_rule(), paths_)).front().packets;
    EXPECT_EQ(counted, sent.load());
    EXPECT_EQ(accepted.load(), verdict.empty() ? sent.load() : 0U);
  }
}

}  // namespace
}  // namespace weir::test
