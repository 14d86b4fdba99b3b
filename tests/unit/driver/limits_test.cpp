// SPDX-License-Identifier: BSD-2-Clause
//
// Limits of a caller: what the instructions of a program then are, that the kernel takes them, and
// what is refused by name. Without the right to load programs, the kernel's part is left out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "driver/compile.h"
#include "driver/runner.h"
#include "imr/parse.h"
#include "isa/helpers.h"
#include "isa/isa.h"
#include "kernel/kernel.h"
#include "packet/builder.h"

namespace weir::driver {
namespace {

using backend::Limit;
using backend::Limits;
using isa::Opcode;

Limits limits_of(std::initializer_list<Limit> list) {
  Limits limits;
  for (const Limit limit : list) limits.insert(limit);
  return limits;
}

const std::string packet_rules =
    "rule match meta l4proto == 0x06 match payload transport 2 2 == 0x0016 counter accept\n"
    "rule match payload network 12 1 == 0x0a counter\n";
const std::string plain_rules = packet_rules + "rule match meta length > 0x00000001 counter\n";

std::string many_counters(std::size_t count) {
  std::string rules;
  for (std::size_t i = 0; i < count; ++i)
    rules += "rule match payload network 12 1 != 0x0a counter\n";
  return rules;
}

std::string unit_text(const std::string& hook, const std::string& rules) {
  return "unit " + hook + " ipv4 roots inet t c\ntable inet t\n" +
         "chain inet t c hook forward priority 0 policy drop\n" + rules;
}

Result<Compilation> compiled(const std::string& hook, const std::string& rules, Limits limits) {
  const std::string text = unit_text(hook, rules);
  WEIR_TRY(unit, imr::parse_unit(text, "test"));
  Options options;
  options.limits = limits;
  options.disabled_passes = {"find-runs"};  // rules are tried one by one, however many
  const Attachment attachment{.hook = unit.hook, .nfproto = Nfproto::ipv4, .roots = unit.roots};
  return compile(unit.ruleset, {attachment}, options);
}

const std::vector<std::string> hooks = {
    "xdp",           "tc:ingress", "tc:egress",        "cgroup:ingress",
    "cgroup:egress", "socket",     "netfilter:forward"};

void expect_loads(const Compilation& compilation, const std::string& what) {
  if (::geteuid() != 0) return;
  const auto loaded = kernel::load(compilation.object);
  EXPECT_TRUE(loaded.has_value()) << what << ": " << loaded.error().text();
}

// What a program calls: helpers by name, kernel functions by name, and "local".
std::set<std::string> calls(const isa::Program& program) {
  std::set<std::string> out;
  for (std::size_t i = 0; i < program.insns.size(); ++i) {
    const Opcode opcode = isa::opcode(program.insns[i]).value();
    if (opcode == Opcode::call_helper) out.emplace(isa::helper_name(program.insns[i].imm));
    if (opcode == Opcode::call_local) out.insert("local");
    if (isa::is_wide(opcode)) ++i;
  }
  for (const isa::Relocation& relocation : program.relocations) {
    if (const auto* kfunc = std::get_if<isa::KfuncReference>(&relocation.what)) {
      out.insert(kfunc->name);
    }
  }
  return out;
}

TEST(Limits, AreKnownByName) {
  for (const Limit limit : backend::all_limits) {
    const auto parsed = backend::parse_limit(to_string(limit));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(*parsed, limit);
  }
  const auto unknown = backend::parse_limit("none");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().text(),
            "unknown limit 'none', expected one of no-calls, helper-access, read-only, no-kfuncs, "
            "offload");
}

TEST(Limits, NoneIsNeededForTheKernelToTakePrograms) {
  for (const std::string& hook : hooks) {
    const auto made = compiled(hook, plain_rules, {});
    ASSERT_TRUE(made.has_value()) << made.error().text();
    expect_loads(*made, hook);
  }
}

// What the verifier walks grows with the rules, not with their square.
TEST(Hooks, VerifyAThousandRules) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs the right to load programs";
  std::string rules;
  for (unsigned i = 0; i < 1000; ++i) {
    rules +=
        "rule match payload network 12 4 == " + to_hex(big_endian_bytes(0x0a000000 + 7 * i, 4)) +
        " match meta l4proto == 0x06 match payload transport 2 2 == " +
        to_hex(big_endian_bytes(1000 + i, 2)) + " counter drop\n";
  }
  for (const std::string& hook : hooks) {
    const auto made = compiled(hook, rules, {});
    ASSERT_TRUE(made.has_value()) << made.error().text();
    const auto loaded = kernel::load(made->object);
    ASSERT_TRUE(loaded.has_value()) << hook << ": " << loaded.error().text();
    const auto walked = kernel::verified_instructions(loaded->programs.front());
    ASSERT_TRUE(walked.has_value());
    EXPECT_LT(*walked, 300000U) << hook;
    RecordProperty(hook, static_cast<int>(*walked));
    std::printf("%s: %u instructions walked\n", hook.c_str(), *walked);
  }
}

TEST(NoCalls, LeavesNoFunctionInTheProgram) {
  for (const std::string& hook : hooks) {
    const auto free = compiled(hook, many_counters(100), {});
    ASSERT_TRUE(free.has_value()) << free.error().text();
    EXPECT_TRUE(calls(free->object.programs.front()).contains("local")) << hook;
    const auto made = compiled(hook, many_counters(100), limits_of({Limit::no_calls}));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    EXPECT_FALSE(calls(made->object.programs.front()).contains("local")) << hook;
    EXPECT_TRUE(made->object.programs.front().subprograms.empty()) << hook;
    expect_loads(*made, hook);
  }
}

TEST(NoCalls, RefusesWhatOneFunctionCannotHold) {
  const auto made = compiled("xdp", many_counters(5000), limits_of({Limit::no_calls}));
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().text(),
            "the rules for xdp are too many for one function, and --limit no-calls allows no "
            "others\n  chain inet t c");
}

TEST(HelperAccess, CopiesEveryByteByHelper) {
  const std::map<std::string, std::string> helpers = {{"xdp", "xdp_load_bytes"},
                                                      {"netfilter:forward", "dynptr_read"}};
  for (const std::string& hook : hooks) {
    const auto made = compiled(hook, plain_rules, limits_of({Limit::helper_access}));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    const auto found = calls(made->object.programs.front());
    const auto special = helpers.find(hook);
    EXPECT_TRUE(found.contains(special == helpers.end() ? "skb_load_bytes" : special->second))
        << hook;
    EXPECT_FALSE(found.contains("bpf_dynptr_slice") || found.contains("bpf_rdonly_cast")) << hook;
    // No pointer into the packet: __sk_buff.data is good for a distance alone.
    const auto& insns = made->object.programs.front().insns;
    for (std::size_t i = 0; i + 1 < insns.size() && hook != "xdp"; ++i) {
      const bool data = isa::opcode(insns[i]) == Opcode::ldx32 && insns[i].off == 76;
      EXPECT_TRUE(!data || isa::opcode(insns[i + 1]) == Opcode::sub64_reg) << hook << " " << i;
    }
    expect_loads(*made, hook);
  }
}

// What comes by helper is what is there: the kernel's test run, against the evaluator.
TEST(HelperAccess, ReadsTheSameBytes) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs the right to load programs";
  for (const std::string& hook : hooks) {
    const bool frames = hook == "xdp" || hook.starts_with("tc:") || hook == "socket";
    // A test run takes the link header off what socket filters get, and its length with it.
    const std::string& rules = hook == "socket" ? packet_rules : plain_rules;
    const auto ruleset = imr::parse_unit(unit_text(hook, rules), "test")->ruleset;
    const auto made = compiled(hook, rules, limits_of({Limit::helper_access}));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    auto judge = Runner::create(EngineKind::evaluator, ruleset, *made);
    auto kernel = Runner::create(EngineKind::kernel, ruleset, *made);
    ASSERT_TRUE(judge.has_value() && kernel.has_value()) << hook << kernel.error().text();
    for (const std::uint16_t port : {std::uint16_t{22}, std::uint16_t{23}}) {
      packet::Recipe recipe{.transport = packet::Tcp{.destination_port = port}};
      if (frames) recipe.link = packet::Ethernet{};
      const packet::Packet packet = packet::build(recipe);
      const auto expected = judge->run(packet);
      const auto found = kernel->run(packet);
      ASSERT_TRUE(expected.has_value() && found.has_value()) << hook << found.error().text();
      EXPECT_EQ(found->verdict, expected->verdict) << hook << " port " << port;
    }
    const auto expected = judge->counters();
    const auto found = kernel->counters();
    ASSERT_TRUE(expected.has_value() && found.has_value()) << hook;
    EXPECT_EQ(*found, *expected) << hook;
  }
}

TEST(ReadOnly, StoresToTheStackAndToMapsAlone) {
  for (const std::string& hook : hooks) {
    const auto made = compiled(hook, plain_rules, limits_of({Limit::read_only}));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    for (const isa::Insn& insn : made->object.programs.front().insns) {
      const Opcode opcode = isa::opcode(insn).value_or(Opcode::exit);
      if (opcode != Opcode::stx64 && opcode != Opcode::stx32 && opcode != Opcode::st32) continue;
      // r0 is the value of a counter, which was just looked up.
      EXPECT_TRUE(insn.dst == 10 || insn.dst == 0) << hook << " stores by r" << int{insn.dst};
    }
    expect_loads(*made, hook);
  }
}

TEST(NoKfuncs, CallsNoKernelFunction) {
  for (const std::string& hook : hooks) {
    const std::string rules = hook == "netfilter:forward"
                                  ? "rule match meta iifname == 0x65 counter\n"
                                    "rule match meta mark == 0x01000000 drop\n"
                                  : plain_rules;
    const auto made = compiled(hook, rules, limits_of({Limit::no_kfuncs}));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    for (const std::string& name : calls(made->object.programs.front())) {
      EXPECT_FALSE(name.starts_with("bpf_")) << hook << " calls " << name;
    }
    expect_loads(*made, hook);
  }
}

TEST(Offload, IsMadeOfLookupsInPlainMaps) {
  const auto made = compiled("xdp", plain_rules + many_counters(100), limits_of({Limit::offload}));
  ASSERT_TRUE(made.has_value()) << made.error().text();
  EXPECT_EQ(calls(made->object.programs.front()), std::set<std::string>{"map_lookup_elem"});
  for (const isa::MapSpec& map : made->object.maps) {
    EXPECT_TRUE(map.type == isa::MapType::array || map.type == isa::MapType::hash) << map.name;
  }
  for (const isa::Relocation& relocation : made->object.programs.front().relocations) {
    EXPECT_FALSE(std::holds_alternative<isa::MapValueReference>(relocation.what));
  }
  expect_loads(*made, "xdp");
}

std::string refused(const std::string& hook, const std::string& rules,
                    std::initializer_list<Limit> list) {
  const auto made = compiled(hook, rules, limits_of(list));
  return made.has_value() ? "compiled" : made.error().text();
}

TEST(Limits, RefuseByNameWhatTheyLeaveNoWayFor) {
  EXPECT_EQ(refused("tc:ingress", "rule handle 3 \"iifname\" match meta iifname == 0x65 drop\n",
                    {Limit::no_kfuncs}),
            "rules that hook tc:ingress cannot serve\n"
            "  inet t c handle 3 'iifname': meta iifname is not known there within --limit "
            "no-kfuncs; use netfilter:prerouting|input|forward|output|postrouting");
  EXPECT_EQ(
      refused("netfilter:input", "rule handle 4 \"tcp\" match payload transport 0 2 == 0x0016\n",
              {Limit::no_kfuncs}),
      "rules that hook netfilter:input cannot serve\n"
      "  inet t c handle 4 'tcp': the packet's content is not known there within --limit "
      "no-kfuncs; use xdp, tc:ingress, tc:egress, cgroup:ingress, cgroup:egress or socket");
  EXPECT_EQ(refused("tc:egress", plain_rules, {Limit::offload}),
            "hook tc:egress: --limit offload is for programs that a network card runs; use xdp");
  EXPECT_EQ(refused("xdp", plain_rules, {Limit::offload, Limit::helper_access}),
            "hook xdp: no way to the packet is left within --limit helper-access, offload");
}

TEST(Hooks, RefuseToWriteMarksWhereTheyCannot) {
  for (const std::string hook : {"netfilter:forward", "xdp", "socket"}) {
    EXPECT_EQ(refused(hook, "rule handle 3 \"meta mark set 7\" write meta mark 0x07000000\n", {}),
              "rules that hook " + hook +
                  " cannot serve\n  inet t c handle 3 'meta mark set 7': writing meta mark is not "
                  "possible there; use tc:ingress, tc:egress, cgroup:ingress or cgroup:egress");
  }
}

TEST(Limits, GoTogether) {
  for (const std::string& hook : hooks) {
    if (hook == "netfilter:forward") continue;
    const auto made = compiled(
        hook, many_counters(100),
        limits_of({Limit::no_calls, Limit::helper_access, Limit::read_only, Limit::no_kfuncs}));
    ASSERT_TRUE(made.has_value()) << made.error().text();
    const std::string helper = hook == "xdp" ? "xdp_load_bytes" : "skb_load_bytes";
    EXPECT_EQ(calls(made->object.programs.front()),
              (std::set<std::string>{helper, "map_lookup_elem"}))
        << hook;
    expect_loads(*made, hook);
  }
}

}  // namespace
}  // namespace weir::driver
