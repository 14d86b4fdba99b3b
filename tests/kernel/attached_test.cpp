// SPDX-License-Identifier: BSD-2-Clause
//
// --engine kernel where BPF_PROG_TEST_RUN does not do: random rulesets that read devices, marks,
// packet types and connections, at every hook. What the kernel answers is what the evaluator says;
// of what it refuses, the reason is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "differential/generator.h"
#include "differential/subject.h"
#include "driver/runner.h"
#include "kernel/support/netns.h"
#include "kernel/support/root_only.h"
#include "packet/parse.h"

namespace weir::test {
namespace {

WEIR_ROOT_ONLY();

using Verdict = imr::Outcome::Verdict;

// Of the packets of one hook.
struct Answers {
  std::size_t packets = 0;
  std::size_t answered = 0;
  std::size_t dropped = 0;
  std::map<std::string, std::size_t> refusals;
};

std::string describe(const packet::Packet& packet) {
  return packet::summary(packet) + ", type " + std::to_string(static_cast<int>(packet.type)) +
         ", network header at " + std::to_string(packet.network_offset) +
         (packet.vlan ? ", a tag beside its bytes" : "") + "\n" + to_hex(packet.bytes);
}

std::string rules(const std::vector<imr::RuleId>& matched) {
  std::string out;
  for (const imr::RuleId id : matched) out += " " + std::to_string(id.value);
  return out;
}

// Which devices packets have at a hook.
struct Sides {
  bool in = false;
  bool out = false;
};

Sides sides_of(const Hook& hook) {
  if (hook.kind == Hook::Kind::netfilter) {
    return {.in = hook.nf_hook != NfHook::output,
            .out = hook.nf_hook != NfHook::prerouting && hook.nf_hook != NfHook::input};
  }
  const bool leaves = hook.kind == Hook::Kind::tc_egress || hook.kind == Hook::Kind::cgroup_egress;
  return {.in = !leaves, .out = leaves};
}

// One on each side for all packets of a ruleset: a namespace is built for each pair.
void give_devices(std::vector<packet::Packet>& packets, const Sides& sides) {
  const packet::Device some_in{.index = 1007, .name = "eth0"};
  const packet::Device some_out{.index = 1008, .name = "wan1"};
  for (packet::Packet& packet : packets) {
    packet.in = sides.in ? some_in : packet::Device{};
    packet.out = sides.out ? some_out : packet::Device{};
  }
}

void judge(const differential::RulesetAtHook& subject, std::span<const packet::Packet> packets,
           Answers& answers) {
  const auto compilation =
      expect(driver::compile(subject.ruleset, subject.attachments,
                             {.trace = true, .untrusted_memory = kernel::has_untrusted_memory()}));
  auto evaluator =
      expect(driver::Runner::create(driver::EngineKind::evaluator, subject.ruleset, compilation));
  auto attached =
      expect(driver::Runner::create(driver::EngineKind::kernel, subject.ruleset, compilation));
  for (const packet::Packet& packet : packets) {
    ++answers.packets;
    const auto found = attached.run(packet);
    if (!found) {
      EXPECT_EQ(found.error().kind, ErrorKind::system);
      ++answers.refusals[found.error().message];
      continue;
    }
    const auto wanted = expect(evaluator.run(packet));
    ++answers.answered;
    answers.dropped += wanted.verdict == Verdict::drop ? 1 : 0;
    ASSERT_EQ(found->verdict, wanted.verdict) << describe(packet);
    if (wanted.verdict == Verdict::accept) {
      ASSERT_EQ(found->mark.value_or(packet.mark), wanted.mark.value_or(packet.mark))
          << describe(packet);
    }
    ASSERT_EQ(rules(found->matched), rules(wanted.matched)) << describe(packet);
    ASSERT_EQ(found->decided_by, wanted.decided_by) << describe(packet);
  }
}

struct Case {
  const char* hook;
  NfHook chains;      // hook of the base chains
  std::size_t least;  // packets of a hundred that must be answered
  bool connections;
};

void PrintTo(const Case& of, std::ostream* out) {
  *out << of.hook;
}

class Attached : public testing::TestWithParam<Case> {};

TEST_P(Attached, AnswersAsTheEvaluator) {
  constexpr std::size_t rulesets = 10;
  constexpr std::size_t packets_each = 80;
  const Hook hook = expect(parse_hook(GetParam().hook));
  const Sides sides = sides_of(hook);
  auto scratch = expect(frontend::nft::ScratchNamespace::create());
  Answers answers;
  for (std::size_t i = 0; i < rulesets; ++i) {
    SCOPED_TRACE("ruleset " + std::to_string(i));
    std::seed_seq seeds{std::size_t{7}, i};
    std::mt19937_64 random(seeds);
    const bool xdp = hook.kind == Hook::Kind::xdp;
    const differential::Script script = differential::generate(
        {.hook = GetParam().chains,
         .facts = xdp ? differential::Facts::bytes : differential::Facts::all,
         .max_rules = 20,
         .input_device = sides.in,
         .output_device = sides.out,
         .connections = GetParam().connections && i % 2 == 0},
        random);
    const auto subject = differential::read_at_hook(scratch, script.text(), hook);
    if (!subject) continue;  // refused by nft, or at this hook
    auto packets = differential::packets_for(*subject, packets_each, true, random);
    give_devices(packets, sides);
    SCOPED_TRACE(script.text());
    judge(*subject, packets, answers);
    if (HasFatalFailure()) return;
  }
  std::string text;
  for (const auto& [why, count] : answers.refusals) {
    text += std::to_string(count) + " times: " + why + "\n";
  }
  RecordProperty("packets", static_cast<int>(answers.packets));
  RecordProperty("answered", static_cast<int>(answers.answered));
  EXPECT_GT(answers.packets, packets_each * rulesets / 2);
  EXPECT_GT(answers.dropped, 0u);
  EXPECT_GE(answers.answered * 100, answers.packets * GetParam().least)
      << answers.answered << " of " << answers.packets << " packets answered; the others:\n"
      << text;
}

INSTANTIATE_TEST_SUITE_P(Kernel, Attached,
                         testing::Values(Case{"netfilter:prerouting", NfHook::prerouting, 45, true},
                                         Case{"netfilter:input", NfHook::input, 40, true},
                                         Case{"netfilter:forward", NfHook::forward, 20, true},
                                         Case{"netfilter:output", NfHook::output, 40, true},
                                         Case{"netfilter:postrouting", NfHook::postrouting, 20,
                                              true},
                                         Case{"tc:ingress", NfHook::forward, 95, false},
                                         Case{"tc:egress", NfHook::forward, 95, false},
                                         Case{"xdp", NfHook::forward, 95, false},
                                         Case{"cgroup:ingress", NfHook::input, 30, false},
                                         Case{"cgroup:egress", NfHook::output, 30, true},
                                         Case{"socket", NfHook::forward, 40, false}),
                         [](const testing::TestParamInfo<Case>& of) {
                           std::string name = of.param.hook;
                           std::ranges::replace(name, ':', '_');
                           return name;
                         });

}  // namespace
}  // namespace weir::test
