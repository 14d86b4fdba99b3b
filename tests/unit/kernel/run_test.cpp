// SPDX-License-Identifier: BSD-2-Clause
//
// BPF_PROG_TEST_RUN: which packets it takes, and what a program sees of them.
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

bool takes(const Fd& program, ProgramType type, std::size_t size, NfHook hook, Nfproto nfproto) {
  Bytes packet(size);
  if (size > 0) packet[0] = nfproto == Nfproto::ipv4 ? 0x45 : 0x60;
  return test_run(program, type, packet, hook, nfproto).has_value();
}

TEST(TestRun, GivesTheVerdict) {
  for (const std::int32_t verdict : {0, 1}) {
    const auto program = loaded(object_of(returning(ProgramType::netfilter, verdict)));
    for (const auto hook : {NfHook::prerouting, NfHook::input, NfHook::forward, NfHook::output,
                            NfHook::postrouting}) {
      for (const auto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
        EXPECT_EQ(
            must(test_run(program, ProgramType::netfilter, minimal_packet(nfproto), hook, nfproto))
                .result,
            static_cast<std::uint32_t>(verdict))
            << to_string(hook) << " " << to_string(nfproto);
      }
    }
  }
  const auto xdp = loaded(object_of(returning(ProgramType::xdp, 3)));
  EXPECT_EQ(
      must(test_run(xdp, ProgramType::xdp, Bytes(60), NfHook::input, Nfproto::ipv4, 10)).result,
      3u);
}

// The limits that kernel.h promises.
TEST(TestRun, TakesPacketsBetweenItsLimits) {
  struct Limit {
    NfHook hook;
    Nfproto nfproto;
    std::size_t least;
    std::size_t most;
  };
  const auto program = loaded(object_of(returning(ProgramType::netfilter, 1)));
  for (const auto& [hook, nfproto, least, most] :
       {Limit{NfHook::prerouting, Nfproto::ipv4, 20, 3698},
        Limit{NfHook::forward, Nfproto::ipv4, 20, 3698},
        Limit{NfHook::input, Nfproto::ipv6, 40, 3698},
        Limit{NfHook::output, Nfproto::ipv4, 20, 3712},
        Limit{NfHook::output, Nfproto::ipv6, 20, 3712}}) {
    const auto ok = [&](std::size_t size) {
      return takes(program, ProgramType::netfilter, size, hook, nfproto);
    };
    EXPECT_FALSE(ok(least - 1)) << to_string(hook) << " " << to_string(nfproto);
    EXPECT_TRUE(ok(least)) << to_string(hook) << " " << to_string(nfproto);
    EXPECT_TRUE(ok(most)) << to_string(hook) << " " << to_string(nfproto);
    EXPECT_FALSE(ok(most + 1)) << to_string(hook) << " " << to_string(nfproto);
  }
  const auto xdp = loaded(object_of(returning(ProgramType::xdp, 2)));
  EXPECT_FALSE(takes(xdp, ProgramType::xdp, 13, NfHook::input, Nfproto::ipv4));
  EXPECT_TRUE(takes(xdp, ProgramType::xdp, 14, NfHook::input, Nfproto::ipv4));
}

// What a netfilter program reads of `state`, or of skb.
std::uint64_t seen(const char* base, const char* structure, const char* member, Opcode load,
                   NfHook hook) {
  Code code;
  code.add(Opcode::ldx64, 1, 1)
      .with(isa::FieldOffset{.structure = "bpf_nf_ctx", .member = base})
      .add(load, 6, 1)
      .with(isa::FieldOffset{.structure = structure, .member = member});
  return stored(storing_r6(code), hook, Nfproto::ipv4);
}

TEST(TestRun, HasHookAndFamilyButNoInputDevice) {
  for (const auto hook : {NfHook::prerouting, NfHook::forward, NfHook::output}) {
    EXPECT_EQ(seen("state", "nf_hook_state", "hook", Opcode::ldx8, hook),
              static_cast<std::uint64_t>(hook));
    EXPECT_EQ(seen("state", "nf_hook_state", "pf", Opcode::ldx8, hook), 2u);
    EXPECT_EQ(seen("state", "nf_hook_state", "in", Opcode::ldx64, hook), 0u);
    EXPECT_NE(seen("state", "nf_hook_state", "out", Opcode::ldx64, hook), 0u);
    EXPECT_EQ(seen("skb", "sk_buff", "mark", Opcode::ldx32, hook), 0u);
    EXPECT_EQ(seen("skb", "sk_buff", "_nfct", Opcode::ldx64, hook), 0u);
    EXPECT_EQ(seen("skb", "sk_buff", "data_len", Opcode::ldx32, hook), 0u);
    EXPECT_EQ(seen("skb", "sk_buff", "pkt_type", Opcode::ldx8, hook) & 7, 0u);
    EXPECT_EQ(seen("skb", "sk_buff", "network_header", Opcode::ldx16, hook) != 0,
              hook != NfHook::output);
  }
}

}  // namespace
}  // namespace weir::kernel::test
