// SPDX-License-Identifier: BSD-2-Clause
//
// load(): relocations against the running kernel, and what is said of a program that it refuses.
#include <gmock/gmock.h>

#include <chrono>

#include "kernel/btf.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using testing::HasSubstr;

TEST(Load, LoadsBothTypesWithOddNames) {
  auto object = object_of(returning(ProgramType::netfilter, 1));
  object.programs.push_back(returning(ProgramType::xdp, 2));
  object.programs[0].name = "inet filter/a chain of many letters";
  const auto all = must(load(object));
  ASSERT_EQ(all.programs.size(), 2u);
  EXPECT_NE(must(program_id(all.programs[0])), must(program_id(all.programs[1])));
  EXPECT_EQ(must(verified_instructions(all.programs[1])), 2u);
}

TEST(Load, PointsIntoTheValueOfAMap) {
  Code code;
  code.map_value(isa::MapIndex(1), 8, 2).add(Opcode::ldx64, 6, 2, 4);
  auto object = storing_r6(code);
  Bytes value(32);
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::uint8_t>(i);
  object.maps.push_back(
      {.name = "in", .value_size = 32, .max_entries = 1, .entries = {{Bytes(4), value}}});
  EXPECT_EQ(stored(object, NfHook::forward, Nfproto::ipv4), 0x131211100f0e0d0cu);
}

TEST(Load, PointsToAMap) {
  Code code;
  code.add(Opcode::st32, 10, 0, -4, 7)
      .map(isa::MapIndex(1), 1)
      .add(Opcode::mov64_reg, 2, 10)
      .add(Opcode::add64_imm, 2, 0, 0, -4)
      .add(Opcode::call_helper, 0, 0, 0, 1)
      .add(Opcode::mov64_imm, 6, 0, 0, 99)
      .add(Opcode::jeq64_imm, 0, 0, 1, 0)
      .add(Opcode::ldx64, 6, 0);
  auto object = storing_r6(code);
  object.maps.push_back({.name = "set",
                         .type = isa::MapType::hash,
                         .value_size = 8,
                         .max_entries = 2,
                         .entries = {{native_bytes(7, 4), native_bytes(1234, 8)},
                                     {native_bytes(8, 4), native_bytes(5678, 8)}}});
  EXPECT_EQ(stored(object, NfHook::forward, Nfproto::ipv4), 1234u);
}

// sk_buff.len lies at the top level, mark and protocol in anonymous structs and unions.
TEST(Load, FindsMembersOfKernelStructures) {
  const isa::FieldOffset skb{.structure = "bpf_nf_ctx", .member = "skb"};
  Code code;
  code.add(Opcode::ldx64, 1, 1)
      .with(skb)
      .add(Opcode::ldx32, 6, 1)
      .with(isa::FieldOffset{.structure = "sk_buff", .member = "len"});
  EXPECT_EQ(stored(storing_r6(code), NfHook::forward, Nfproto::ipv6), 40u);

  Code protocol;
  protocol.add(Opcode::ldx64, 1, 1)
      .with(skb)
      .add(Opcode::ldx16, 6, 1)
      .with(isa::FieldOffset{.structure = "sk_buff", .member = "protocol"});
  EXPECT_EQ(stored(storing_r6(protocol), NfHook::forward, Nfproto::ipv6), 0xdd86u);
}

TEST(Load, PutsAnOffsetIntoTheImmediateOfArithmetic) {
  const auto* btf = must(KernelBtf::get());
  const auto offset = must(btf->member_offset("nf_hook_state", "net"));
  Code code;
  code.add(Opcode::mov64_imm, 6)
      .with(isa::FieldOffset{.structure = "nf_hook_state", .member = "net", .addend = 3});
  EXPECT_EQ(stored(storing_r6(code), NfHook::input, Nfproto::ipv4), offset + 3u);
}

TEST(Load, CallsKernelFunctions) {
  Code code;
  code.add(Opcode::ldx64, 1, 1)
      .with(isa::FieldOffset{.structure = "bpf_nf_ctx", .member = "skb"})
      .add(Opcode::mov64_imm, 2)
      .add(Opcode::mov64_reg, 3, 10)
      .add(Opcode::add64_imm, 3, 0, 0, -16)
      .add(Opcode::call_kfunc)
      .with(isa::KfuncReference{"bpf_dynptr_from_skb"})
      .add(Opcode::mov64_reg, 1, 10)
      .add(Opcode::add64_imm, 1, 0, 0, -16)
      .add(Opcode::mov64_imm, 2)
      .add(Opcode::mov64_reg, 3, 10)
      .add(Opcode::add64_imm, 3, 0, 0, -24)
      .add(Opcode::mov64_imm, 4, 0, 0, 4)
      .add(Opcode::call_kfunc)
      .with(isa::KfuncReference{"bpf_dynptr_slice"})
      .add(Opcode::mov64_imm, 6)
      .add(Opcode::jeq64_imm, 0, 0, 1, 0)
      .add(Opcode::ldx8, 6, 0);
  // The first byte of the packet is that of the network header, whatever the hook.
  EXPECT_EQ(stored(storing_r6(code), NfHook::prerouting, Nfproto::ipv4), 0x45u);
  EXPECT_EQ(stored(storing_r6(code), NfHook::output, Nfproto::ipv6), 0x60u);
}

TEST(Load, NamesWhatTheKernelLacks) {
  Code code;
  code.add(Opcode::call_kfunc).with(isa::KfuncReference{"bpf_weir_no_such"}).add(Opcode::exit);
  const auto no_function = load(object_of(code.program(ProgramType::xdp)));
  ASSERT_FALSE(no_function);
  EXPECT_EQ(no_function.error().kind, ErrorKind::system);
  EXPECT_EQ(no_function.error().message,
            "this kernel has no function bpf_weir_no_such for BPF programs");

  Code member;
  member.add(Opcode::ldx32, 0, 1)
      .with(isa::FieldOffset{.structure = "sk_buff", .member = "no_such"});
  const auto no_member = load(object_of(member.program(ProgramType::xdp)));
  ASSERT_FALSE(no_member);
  EXPECT_EQ(no_member.error().message, "this kernel has no member sk_buff.no_such");
}

TEST(Load, TellsWhyAProgramIsRefusedAndFromWhichRule) {
  Code code;
  code.add(Opcode::mov64_imm, 2, 0, 0, 5).add(Opcode::ldx32, 0, 2, 16).add(Opcode::exit);
  auto object = object_of(code.program(ProgramType::netfilter));
  object.rule_names = {"inet filter forward handle 3", "inet filter forward handle 4"};
  object.programs[0].origins = {{0, -1}, {1, 1}};
  const auto refused = load(object);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::system);
  EXPECT_EQ(refused.error().message,
            "the kernel refused program test (3 instructions): Permission denied");
  const auto& notes = refused.error().notes;
  ASSERT_EQ(notes.size(), 3u) << refused.error().text();
  EXPECT_EQ(notes[0], "instruction 1 of program test, from rule inet filter forward handle 4");
  EXPECT_THAT(notes[1], HasSubstr("r0 = *(u32 *)(r2 +16)"));
  EXPECT_THAT(notes[2], HasSubstr("R2 invalid mem access 'scalar'"));
}

TEST(KernelBtf, TellsTypesOfOneNameApart) {
  const auto* btf = must(KernelBtf::get());
  EXPECT_NE(must(btf->structure_id("nf_conn")), must(btf->structure_id("nf_conn___init")));
  EXPECT_FALSE(btf->structure_id("nf_conn_no_such"));
}

TEST(KernelBtf, SeesThroughPathsAndBitFields) {
  const auto* btf = must(KernelBtf::get());
  EXPECT_EQ(must(btf->member_offset("nf_conn", "zone.id")),
            must(btf->member_offset("nf_conn", "zone")) +
                must(btf->member_offset("nf_conntrack_zone", "id")));
  // pkt_type is a bit field of three bits, behind __pkt_type_offset's empty array.
  EXPECT_EQ(must(btf->member_offset("sk_buff", "pkt_type")),
            must(btf->member_offset("sk_buff", "__pkt_type_offset")));
}

TEST(Load, IsQuickOnceTheTypesAreKnown) {
  must(KernelBtf::get());
  Code code;
  code.add(Opcode::ldx64, 1, 1)
      .with(isa::FieldOffset{.structure = "bpf_nf_ctx", .member = "skb"})
      .add(Opcode::ldx32, 6, 1)
      .with(isa::FieldOffset{.structure = "sk_buff", .member = "mark"});
  const auto object = storing_r6(code);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) must(load(object));
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  EXPECT_LT(spent.count() / 100, 20.0)
      << "milliseconds an object; parsing BTF each time takes more";
}

}  // namespace
}  // namespace weir::kernel::test
