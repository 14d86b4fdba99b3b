// SPDX-License-Identifier: BSD-2-Clause
//
// The compiler as a whole at its limits: more copies of chains than it makes, more counters than it
// counts in place, more values than the stack holds. What comes out is accepted by the engine's
// checker and does what the reference evaluator says.
#include "driver/compile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "backend/emitter.h"
#include "backend/lower.h"
#include "driver/runner.h"
#include "engine/engine.h"
#include "imr/parse.h"
#include "isa/isa.h"
#include "packet/builder.h"
#include "passes/pipeline.h"

namespace weir::driver {
namespace {

using Random = std::mt19937_64;

constexpr const char* base_chain = "chain ip t c hook forward priority 0 policy accept\n";

std::string hex(std::uint64_t value, std::size_t size) {
  return to_hex(big_endian_bytes(value, size));
}

// A ruleset, what it was compiled to, and both run.
class Subject {
 public:
  Subject(const std::string& text, const Hook& hook, const Options& options) {
    auto ruleset = imr::parse_ruleset(text, "test");
    if (!ruleset) throw std::runtime_error(ruleset.error().text());
    ruleset_ = std::move(*ruleset);
    const auto attachments = plan(ruleset_, hook, {});
    if (!attachments) throw std::runtime_error(attachments.error().text());
    auto compilation = compile(ruleset_, *attachments, options);
    if (!compilation) throw std::runtime_error(compilation.error().text());
    compilation_ = std::move(*compilation);
  }

  [[nodiscard]] const imr::Ruleset& ruleset() const { return ruleset_; }
  [[nodiscard]] const Compilation& compilation() const { return compilation_; }
  [[nodiscard]] const imr::Unit& optimized() const {
    return compilation_.programs.front().optimized.front();
  }
  [[nodiscard]] std::size_t local_calls() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        compilation_.object.programs.front().insns,
        [](const isa::Insn& i) { return isa::opcode(i) == isa::Opcode::call_local; }));
  }

  // Expects that evaluator and interpreter agree on all packets, rules and counters included; what
  // was counted.
  std::vector<CounterTotal> judge(const std::vector<packet::Packet>& packets) const {
    auto judge = Runner::create(EngineKind::evaluator, ruleset_, compilation_);
    auto program = Runner::create(EngineKind::interpreter, ruleset_, compilation_);
    EXPECT_TRUE(judge) << judge.error().text();
    EXPECT_TRUE(program) << program.error().text();
    if (!judge || !program) return {};
    for (const packet::Packet& packet : packets) {
      const auto expected = judge->run(packet);
      const auto found = program->run(packet);
      EXPECT_TRUE(expected && found);
      const bool same = expected->verdict == found->verdict &&
                        expected->decided_by == found->decided_by &&
                        expected->matched == found->matched;
      EXPECT_TRUE(same) << "mark " << packet.mark << " packet " << to_hex(packet.bytes) << "\n"
                        << expected->matched.size() << " rules should match, "
                        << found->matched.size() << " do";
      if (!same) break;
    }
    const auto counted = program->counters();
    EXPECT_EQ(*counted, *judge->counters());
    return *counted;
  }

 private:
  imr::Ruleset ruleset_;
  Compilation compilation_;
};

// ---- Copies of chains ---------------------------------------------------------------------------

std::size_t copies(const imr::Unit& unit) {
  return static_cast<std::size_t>(std::ranges::count_if(
      unit.ruleset.rules, [](const imr::Rule& rule) { return rule.copy_of.valid(); }));
}

std::vector<packet::Packet> marked(std::uint32_t marks, std::uint16_t first_port,
                                   std::uint16_t last_port) {
  std::vector<packet::Packet> out;
  for (std::uint32_t mark = 0; mark < marks; ++mark) {
    for (std::uint16_t port = first_port; port <= last_port; ++port) {
      out.push_back(packet::build({.transport = packet::Udp{.destination_port = port}}));
      out.back().mark = mark;
    }
  }
  return out;
}

// 100 jumps to a chain of 8 rules: 64 of them get a copy, which makes 512 rules, the others share
// what was written.
TEST(Compile, CopiesSmallChainsUpToALimit) {
  constexpr std::uint32_t jumps = 100;
  std::string text = std::string("table ip t\n") + base_chain;
  for (std::uint32_t i = 0; i < jumps; ++i) {
    text += "rule match meta mark == " + to_hex(native_bytes(i, 4)) + " counter jump small\n";
  }
  text += "rule counter drop\nchain ip t small\n";
  for (unsigned i = 0; i < 8; ++i) {
    text += "rule match payload transport 2 2 == " + hex(20 + i, 2) + " counter" +
            (i % 3 == 0   ? " accept\n"
             : i % 3 == 1 ? " return\n"
                          : "\n");
  }
  const Subject subject(text, {}, {.trace = true});
  EXPECT_EQ(copies(subject.optimized()), 512U);
  const imr::Ruleset& after = subject.optimized().ruleset;
  const auto base = std::ranges::find(after.chains, "c", &imr::Chain::name);
  const auto small = std::ranges::find(after.chains, "small", &imr::Chain::name);
  const imr::ChainId written(static_cast<std::size_t>(small - after.chains.begin()));
  EXPECT_EQ(
      std::ranges::count(
          imr::targets(after, imr::ChainId(static_cast<std::size_t>(base - after.chains.begin()))),
          written),
      36);

  const std::vector<CounterTotal> counted = subject.judge(marked(jumps + 2, 19, 29));
  ASSERT_EQ(counted.size(), jumps + 9U);
  EXPECT_EQ(counted[0].packets, 11U) << "each jump's rule";
  EXPECT_EQ(counted[jumps + 1].packets, jumps) << "the first rule of the copied chain";
}

// ---- Counters -----------------------------------------------------------------------------------

// `count` rules that count, most of which many packets match.
std::string counting(unsigned count) {
  std::string text = std::string("table ip t\n") + base_chain;
  for (unsigned i = 0; i < count; ++i) {
    text += i % 3 == 0   ? "rule match payload transport 2 2 == " + hex(1000 + i, 2)
            : i % 3 == 1 ? "rule match payload network 12 1 > " + hex(i % 256, 1)
                         : "rule match payload transport 0 2 < " + hex(1000 + i, 2);
    text += " counter\n";
  }
  return text + "rule match payload transport 2 2 == 0x03e8 drop\n";
}

class Counters : public testing::TestWithParam<const char*> {};

TEST_P(Counters, AreCountedByAFunctionWhenThereAreMany) {
  Random random(1);
  const Hook hook = parse_hook(GetParam()).value();
  for (const unsigned count : {1U, 64U, 65U, 300U}) {
    // Tried one by one, not searched.
    const Subject subject(counting(count), hook, {.disabled_passes = {"find-runs"}, .trace = true});
    EXPECT_EQ(subject.local_calls(), count > 64 ? count : 0) << count << " counters";
    std::vector<packet::Packet> packets;
    for (unsigned i = 0; i < 150; ++i) {
      packet::Recipe recipe{
          .network = packet::Ipv4{.source = {static_cast<std::uint8_t>(random()), 0, 0, 1}},
          .transport =
              packet::Udp{.source_port = static_cast<std::uint16_t>(990 + random() % 330),
                          .destination_port = static_cast<std::uint16_t>(999 + random() % 300)},
          .payload = Bytes(random() % 100)};
      if (hook.kind == Hook::Kind::xdp) recipe.link = packet::Ethernet{};
      packets.push_back(packet::build(recipe));
    }
    const std::vector<CounterTotal> counted = subject.judge(packets);
    EXPECT_EQ(counted.size(), count);
    const auto used = std::ranges::count_if(
        counted, [](const CounterTotal& total) { return total.packets != 0; });
    EXPECT_GT(3 * static_cast<std::size_t>(used), count) << "the packets match too few rules";
  }
}

INSTANTIATE_TEST_SUITE_P(AtHooks, Counters, testing::Values("netfilter:forward", "xdp"),
                         [](const auto& hook) {
                           return std::string(hook.param == std::string("xdp") ? "xdp"
                                                                               : "netfilter");
                         });

// ---- Stack --------------------------------------------------------------------------------------

constexpr unsigned wide_words = 24;

std::string word(unsigned index) {
  return "payload transport " + std::to_string(8 + 8 * index) + " 8";
}

// Two rules for each of 24 words of 8 bytes. In front of them one with as much as a rule can have
// alive at a time: a key of 64 bytes that is computed, parts of 12 words that are needed before and
// behind it, a window that is read again.
std::string wide() {
  std::string elements;
  for (unsigned i = 0; i < 70; ++i) {
    Bytes key(64);
    key.front() = static_cast<std::uint8_t>(i);
    elements += (i == 0 ? "" : ", ") + to_hex(key);
  }
  std::string text = "table ip t\nset ip t keys keys 64 { " + elements + " }\n" + base_chain;
  const auto parts = [&](unsigned value) {
    for (unsigned i = 0; i < 12; ++i) {
      text += " match (" + word(i) + " & 0x00ffffffffffffff) != " + hex(i + value, 8);
    }
  };
  text += "rule";
  parts(1);
  text += " match payload network 400 8 != " + hex(1, 8) +
          " match (payload transport 16 64 >> 3) in @keys";
  parts(2);
  text += " match payload network 402 4 != " + hex(1, 4) + " counter drop\n";
  for (unsigned i = 0; i < wide_words; ++i) {
    text += "rule match " + word(i) + " > " + hex(i, 8) + " counter\n";
  }
  for (unsigned i = 0; i < wide_words; ++i) {
    text += "rule match " + word(i) + " == " + hex(i, 8) + " counter\n";
  }
  return text;
}

// Packets of 28 to 528 bytes: with a small number in every word behind the UDP header, or all zero
// but for a key of the set, or nearly one.
std::vector<packet::Packet> wide_packets() {
  Random random(1);
  std::vector<packet::Packet> out;
  for (unsigned i = 0; i < 400; ++i) {
    Bytes payload(i % 3 == 0 ? random() % 500 : 400 + random() % 100);
    if (i % 2 == 0) {
      for (std::size_t at = 7; at < payload.size(); at += 8) {
        payload[at] = static_cast<std::uint8_t>(random() % (wide_words + 1));
      }
    } else if (payload.size() > 8) {
      payload[8] = static_cast<std::uint8_t>(random());
    }
    out.push_back(packet::build({.transport = packet::Udp{}, .payload = payload}));
  }
  return out;
}

// Whether the unit's program fits the stack when so many words are shared.
bool fits(const imr::Unit& unit, const Options& options, unsigned shared_words) {
  const backend::Profile& profile =
      backend::profile_for(unit.hook, {.untrusted_memory = options.untrusted_memory});
  flow::Function function{.name = "test"};
  function.rule_names.edit().resize(unit.ruleset.rules.size());
  function.maps = {{.name = "counters", .type = isa::MapType::percpu_array, .value_size = 16}};
  backend::SharedMaps maps{.counters = isa::MapIndex(std::size_t{0}), .trace = {}, .opaque = {}};
  EXPECT_TRUE(backend::lower({&unit, 1}, profile, {.shared_words = shared_words}, maps, function));
  for (const passes::FlowPass& pass : passes::flow_passes()) pass.run(function);
  return backend::emit(function, profile).has_value();
}

class Stack : public testing::TestWithParam<bool> {};

TEST_P(Stack, ThatIsTooSmallMakesProgramsShareFewerWords) {
  const Options options{.trace = true, .untrusted_memory = GetParam()};
  const Subject subject(wide(), {}, options);
  ASSERT_FALSE(fits(subject.optimized(), options, backend::most_shared_words))
      << "the ruleset needs no second try: it does not test what it is for";
  const Status checked = engine::check(subject.compilation().object, 0);
  EXPECT_TRUE(checked) << checked.error().text();
  const std::vector<CounterTotal> counted = subject.judge(wide_packets());
  for (std::size_t i = 0; i < counted.size(); ++i) {
    EXPECT_GT(counted[i].packets, 0U) << "rule " << i << " matches no packet";
  }
}

// Windows that are read again later in a rule are kept, and where packets are copied each costs a
// buffer: not all of these may be.
TEST_P(Stack, HoldsRulesThatReadManyWindowsTwice) {
  std::string text = std::string("table ip t\n") + base_chain + "rule";
  for (unsigned i = 0; i < 12; ++i) {
    text += " match payload network " + std::to_string(20 + 40 * i) + " 8 != " + hex(1, 8);
  }
  for (unsigned i = 0; i < 12; ++i) {
    text += " match payload network " + std::to_string(22 + 40 * i) + " 4 != " + hex(1, 4);
  }
  text += " counter drop\nrule match payload transport 0 64 > " + to_hex(Bytes(64)) + " counter\n";
  const Subject subject(text, {}, {.trace = true, .untrusted_memory = GetParam()});
  const std::vector<CounterTotal> counted = subject.judge(wide_packets());
  EXPECT_GT(counted[0].packets, 0U);
  EXPECT_GT(counted[1].packets, 0U);
}

INSTANTIATE_TEST_SUITE_P(Memory, Stack, testing::Bool(), [](const auto& untrusted) {
  return std::string(untrusted.param ? "untrusted" : "slices");
});

// With a limit of its own, since the kernel's takes tens of thousands of rules.
TEST(VerifierLimit, IsToldByNameBeforeAnythingIsLoaded) {
  std::string text = std::string("table ip t\n") + base_chain;
  for (unsigned i = 0; i < 300; ++i) {
    text += "rule match payload network 12 4 == " + hex(0x0a000000 + i, 4) + " drop\n";
  }
  const auto ruleset = imr::parse_ruleset(text, "test");
  ASSERT_TRUE(ruleset) << ruleset.error().text();
  const auto attachments = plan(*ruleset, std::nullopt, {});
  ASSERT_TRUE(attachments) << attachments.error().text();
  EXPECT_TRUE(compile(*ruleset, *attachments));
  Options options;
  options.verifier_limit = 1000;
  options.disabled_passes = {"find-runs"};  // it makes a search of a list like this one
  const auto refused = compile(*ruleset, *attachments, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::input);
  EXPECT_EQ(refused.error().text(),
            "the 300 rules for netfilter:forward are more than the kernel's verifier follows, 1000 "
            "instructions over all paths\n"
            "  chain ip t c\n"
            "  sets and maps say in one rule what rules say one by one");
}

}  // namespace
}  // namespace weir::driver
