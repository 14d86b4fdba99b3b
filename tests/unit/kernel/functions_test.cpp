// SPDX-License-Identifier: BSD-2-Clause
//
// Functions of global linkage, which the kernel verifies by what their BTF says, and the names of
// rules beside instructions.
#include <gmock/gmock.h>
#include <linux/bpf.h>

#include "kernel/syscall.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using Kind = isa::Subprogram::Argument::Kind;

// r0 = 1 if what `judge(ctx, 5, {.., 7})` returns is 12. That function reads a member of the
// context, so that the kernel has to know it for one.
isa::Program with_function(ProgramType type, bool global) {
  const bool wide = type == ProgramType::netfilter;
  Code code;
  code.add(Opcode::st64, 10, 0, -16)
      .add(Opcode::st64, 10, 0, -8, 7)
      .add(Opcode::mov64_imm, 2, 0, 0, 5)
      .add(Opcode::mov64_reg, 3, 10)
      .add(Opcode::add64_imm, 3, 0, 0, -16)
      .add(Opcode::call_local, 0, 0, 0, 5)
      .add(Opcode::mov64_reg, 1, 0)
      .add(Opcode::mov64_imm, 0, 0, 0, 1)
      .add(Opcode::jeq64_imm, 1, 0, 1, 12)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::exit);
  const auto start = static_cast<std::uint32_t>(code.insns.size());
  code.add(wide ? Opcode::ldx64 : Opcode::ldx32, 1, 1)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::jeq64_imm, 3, 0, 2)
      .add(Opcode::ldx64, 0, 3, 8)
      .add(Opcode::add64_reg, 0, 2)
      .add(Opcode::exit);
  isa::Program program = code.program(type);
  program.subprograms = {
      {.start = start,
       .name = "judge",
       .global = global,
       .arguments = {
           {.kind = Kind::context}, {.kind = Kind::scalar}, {.kind = Kind::memory, .size = 16}}}};
  program.origins = {{.insn = 0, .rule = -1}, {.insn = 2, .rule = 0}, {.insn = start, .rule = 1}};
  return program;
}

isa::Object with_names(isa::Program program) {
  isa::Object object = object_of(std::move(program));
  object.rule_names = {"inet filter input handle 4", "inet filter input handle 5"};
  object.rule_sources = {{.file = "office.nft", .line = 12, .text = "tcp dport 22 accept"}, {}};
  return object;
}

class Functions : public testing::TestWithParam<ProgramType> {};

TEST_P(Functions, OfGlobalLinkageTakeContextNumberAndMemory) {
  const Fd program = loaded(with_names(with_function(GetParam(), true)));
  if (GetParam() != ProgramType::netfilter) return;
  const auto run = must(
      test_run(program, GetParam(), minimal_packet(Nfproto::ipv4), NfHook::forward, Nfproto::ipv4));
  EXPECT_EQ(run.result, 1u);
}

TEST_P(Functions, OfLocalLinkageLoadToo) {
  loaded(with_names(with_function(GetParam(), false)));
}

TEST_P(Functions, MayBeLeftUndescribed) {
  isa::Program program = with_function(GetParam(), false);
  program.subprograms.clear();
  loaded(with_names(std::move(program)));
}

INSTANTIATE_TEST_SUITE_P(EveryType, Functions,
                         testing::Values(ProgramType::netfilter, ProgramType::xdp,
                                         ProgramType::sched_cls, ProgramType::cgroup_skb,
                                         ProgramType::socket_filter));

TEST(Lines, AreKeptByTheKernel) {
  const Fd program = loaded(with_names(with_function(ProgramType::xdp, true)));
  bpf_prog_info info{};
  ASSERT_TRUE(object_info(program, &info, sizeof(info)));
  EXPECT_EQ(info.nr_line_info, 3u);
  EXPECT_EQ(info.nr_func_info, 2u);
  EXPECT_NE(info.btf_id, 0u);
}

}  // namespace
}  // namespace weir::kernel::test
