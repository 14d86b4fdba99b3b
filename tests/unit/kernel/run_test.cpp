// SPDX-License-Identifier: BSD-2-Clause
//
// BPF_PROG_TEST_RUN: which packets it takes, and what a program sees of them.
#include "kernel/scratch_net.h"
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

// "r0 = the member of the context at `offset`; exit"
Fd returning_member(ProgramType type, std::int16_t offset) {
  return loaded(object_of(Code().add(Opcode::ldx32, 0, 1, offset).add(Opcode::exit).program(type)));
}

// Offsets in struct __sk_buff.
constexpr std::int16_t skb_len = 0;
constexpr std::int16_t skb_pkt_type = 4;
constexpr std::int16_t skb_mark = 8;
constexpr std::int16_t skb_protocol = 16;
constexpr std::int16_t skb_vlan_present = 20;
constexpr std::int16_t skb_priority = 32;
constexpr std::int16_t skb_ingress_ifindex = 36;
constexpr std::int16_t skb_ifindex = 40;

constexpr ProgramType skb_types[] = {ProgramType::sched_cls, ProgramType::cgroup_skb,
                                     ProgramType::socket_filter};

// What a program sees there. A cgroup program may return too few numbers; it tells by the mark.
std::uint32_t member(ProgramType type, std::int16_t offset, const TestInput& input) {
  if (type != ProgramType::cgroup_skb) {
    return must(test_run(returning_member(type, offset), type, input)).result;
  }
  const auto program = loaded(object_of(Code()
                                            .add(Opcode::ldx32, 2, 1, offset)
                                            .add(Opcode::stx32, 1, 2, skb_mark)
                                            .add(Opcode::mov64_imm, 0, 0, 0, 1)
                                            .add(Opcode::exit)
                                            .program(type)));
  return must(test_run(program, type, input)).mark;
}

TEST(TestRun, ShowsTheSkbAsPromised) {
  Bytes packet(60);
  packet[12] = 0x08;  // the type of a frame
  packet[13] = 0x06;
  for (const auto type : skb_types) {
    SCOPED_TRACE(static_cast<unsigned>(type));
    const TestInput input{.packet = packet,
                          .ethertype = 0x86dd,
                          .mark = 0x1234,
                          .priority = 6,
                          .ingress_ifindex = 77};
    EXPECT_EQ(member(type, skb_len, input), 60u);
    EXPECT_EQ(member(type, skb_pkt_type, input), 0u) << "PACKET_HOST";
    EXPECT_EQ(member(type, skb_mark, input), 0x1234u);
    EXPECT_EQ(member(type, skb_protocol, input),
              type == ProgramType::sched_cls ? 0x0608u : 0xdd86u);
    EXPECT_EQ(member(type, skb_vlan_present, input), 0u);
    EXPECT_EQ(member(type, skb_priority, input), 6u);
    EXPECT_EQ(member(type, skb_ingress_ifindex, input), 77u);
    EXPECT_EQ(member(type, skb_ifindex, input), 1u);
  }
}

TEST(TestRun, GivesTheMarkBack) {
  const Bytes packet(60);
  for (const auto type : {ProgramType::sched_cls, ProgramType::cgroup_skb}) {
    const auto program = loaded(object_of(Code()
                                              .add(Opcode::mov64_imm, 2, 0, 0, 0x77)
                                              .add(Opcode::stx32, 1, 2, skb_mark)
                                              .add(Opcode::mov64_imm, 2, 0, 0, 5)
                                              .add(Opcode::stx32, 1, 2, skb_priority)
                                              .add(Opcode::mov64_imm, 0, 0, 0, 1)
                                              .add(Opcode::exit)
                                              .program(type)));
    const auto run = must(test_run(program, type, {.packet = packet, .mark = 3}));
    EXPECT_EQ(run.result, 1u);
    EXPECT_EQ(run.mark, 0x77u);
    EXPECT_EQ(run.priority, 5u);
  }
}

TEST(TestRun, TakesSkbsBetweenItsLimits) {
  struct Limit {
    std::uint16_t ethertype;
    std::size_t least;  // behind the Ethernet header
  };
  constexpr std::size_t ethernet = 14;
  constexpr std::size_t most = 3698;
  for (const auto type : skb_types) {
    const bool frames = type == ProgramType::sched_cls;
    const auto program = loaded(object_of(returning(type, 1)));
    for (const auto& [ethertype, least] :
         {Limit{0x0806, 0}, Limit{0x0800, 20}, Limit{0x86dd, 40}}) {
      SCOPED_TRACE(std::to_string(static_cast<unsigned>(type)) + " " + std::to_string(ethertype));
      const auto ok = [&](std::size_t size) {
        Bytes packet(frames ? ethernet + size : size);
        if (frames) {
          packet[12] = static_cast<std::uint8_t>(ethertype >> 8);
          packet[13] = static_cast<std::uint8_t>(ethertype & 0xff);
        }
        return test_run(program, type, {.packet = packet, .ethertype = ethertype}).has_value();
      };
      EXPECT_FALSE(least > 0 && ok(least - 1));
      EXPECT_TRUE(ok(least));
      EXPECT_TRUE(ok(most));
      EXPECT_FALSE(ok(most + 1));
    }
    EXPECT_FALSE(frames && test_run(program, type, {.packet = Bytes(ethernet - 1)}).has_value());
  }
}

TEST(TestRun, TakesDevices) {
  const auto status = in_scratch_network([]() -> Status {
    WEIR_TRY(ifindex, create_veth("a", "b"));
    const Bytes packet(60);
    for (const auto type : skb_types) {
      SCOPED_TRACE(static_cast<unsigned>(type));
      EXPECT_EQ(member(type, skb_ifindex, {.packet = packet, .ifindex = ifindex}), ifindex);
      EXPECT_EQ(member(type, skb_pkt_type, {.packet = packet, .ifindex = ifindex}), 3u)
          << "PACKET_OTHERHOST";
      EXPECT_FALSE(test_run(loaded(object_of(returning(type, 1))), type,
                            {.packet = packet, .ifindex = 4242}));
    }
    constexpr std::int16_t md_ingress_ifindex = 12;
    EXPECT_EQ(member(ProgramType::xdp, md_ingress_ifindex, {.packet = packet, .ifindex = ifindex}),
              ifindex);
    EXPECT_EQ(member(ProgramType::xdp, md_ingress_ifindex, {.packet = packet}), 1u);
    return {};
  });
  EXPECT_TRUE(status) << status.error().text();
}

}  // namespace
}  // namespace weir::kernel::test
