// SPDX-License-Identifier: BSD-2-Clause
//
// ELF objects made by hand, loaded by libbpf: maps, data, functions, and what they want of the
// kernel.
#include "object/elf.h"

#include <gmock/gmock.h>
#include <linux/bpf.h>

#include "kernel/elf.h"
#include "kernel/syscall.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using testing::HasSubstr;
using Kind = isa::Subprogram::Argument::Kind;

Hook hook_of(ProgramType type) {
  switch (type) {
    case ProgramType::xdp:
      return {.kind = Hook::Kind::xdp};
    case ProgramType::sched_cls:
      return {.kind = Hook::Kind::tc_ingress};
    case ProgramType::cgroup_skb:
      return {.kind = Hook::Kind::cgroup_ingress};
    case ProgramType::socket_filter:
      return {.kind = Hook::Kind::socket};
    case ProgramType::netfilter:
      return {.kind = Hook::Kind::netfilter};
  }
  return {};
}

LoadedElf loaded_elf(const isa::Object& object) {
  std::vector<Hook> hooks;
  std::vector<ElfProgram> programs;
  const std::vector<std::string> names = object::program_names(object);
  for (std::size_t i = 0; i < object.programs.size(); ++i) {
    const isa::Program& program = object.programs[i];
    hooks.push_back(hook_of(program.type));
    programs.push_back({.name = names[i], .type = program.type});
  }
  return must(load_elf(must(object::to_elf(object, hooks, "a note")), programs));
}

// r0 = 1 if the function `count` finds 5 in the eighth byte of the data, adds it to the packets of
// a per-CPU counter, and returns 6.
isa::Object counting(ProgramType type) {
  Code code;
  code.add(Opcode::mov64_imm, 2, 0, 0, 1)
      .add(Opcode::call_local, 0, 0, 0, 5)
      .add(Opcode::mov64_reg, 1, 0)
      .add(Opcode::mov64_imm, 0, 0, 0, 1)
      .add(Opcode::jeq64_imm, 1, 0, 1, 6)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::exit);
  const auto start = static_cast<std::uint32_t>(code.insns.size());
  code.map_value(isa::MapIndex(0), 8, 1)
      .add(Opcode::ldx64, 6, 1)
      .add(Opcode::add64_reg, 6, 2)
      .add(Opcode::st32, 10, 0, -4)
      .map(isa::MapIndex(1), 1)
      .add(Opcode::mov64_reg, 2, 10)
      .add(Opcode::add64_imm, 2, 0, 0, -4)
      .add(Opcode::call_helper, 0, 0, 0, 1)
      .add(Opcode::jeq64_imm, 0, 0, 1)
      .add(Opcode::stx64, 0, 6)
      .add(Opcode::mov64_reg, 0, 6)
      .add(Opcode::exit);
  isa::Object object = object_of(code.program(type));
  isa::Program& program = object.programs.front();
  program.subprograms = {{.start = start,
                          .name = "count",
                          .arguments = {{.kind = Kind::context}, {.kind = Kind::scalar}}}};
  program.origins = {{.insn = 0, .rule = 0}};
  object.rule_names = {"inet filter input handle 4"};
  object.rule_sources = {{.file = "office.nft", .line = 12, .text = "tcp dport 22 accept"}};
  object.maps = {
      {.name = "blocked",
       .value_size = 16,
       .max_entries = 1,
       .entries = {{Bytes(4), from_hex("0x01020304050607080500000000000000").value()}}},
      {.name = "counters", .type = isa::MapType::percpu_array, .value_size = 16, .max_entries = 3}};
  return object;
}

class Elf : public testing::TestWithParam<ProgramType> {};

TEST_P(Elf, LoadsWithMapsAndFunctions) {
  for (const bool global : {false, true}) {
    isa::Object object = counting(GetParam());
    object.programs.front().subprograms.front().global = global;
    const LoadedElf elf = loaded_elf(object);
    EXPECT_THAT(elf.map_names, testing::UnorderedElementsAre("counters", "rodata"));
    bpf_prog_info info{};
    ASSERT_TRUE(object_info(elf.loaded.programs.front(), &info, sizeof(info)));
    EXPECT_EQ(info.nr_func_info, 2u);
    EXPECT_EQ(info.nr_line_info, 2u);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, Elf,
                         testing::Values(ProgramType::netfilter, ProgramType::xdp,
                                         ProgramType::sched_cls, ProgramType::cgroup_skb,
                                         ProgramType::socket_filter));

TEST(ElfRun, SeesItsDataAndCounts) {
  const LoadedElf elf = loaded_elf(counting(ProgramType::netfilter));
  const TestRun run = must(test_run(elf.loaded.programs.front(), ProgramType::netfilter,
                                    minimal_packet(Nfproto::ipv4), NfHook::forward, Nfproto::ipv4));
  EXPECT_EQ(run.result, 1u);
}

// bpf_loop() calls the function behind the main one three times; each adds 5 to a number on the
// stack of the main one.
TEST(ElfRun, CallsFunctionsBack) {
  Code code;
  code.add(Opcode::st64, 10, 0, -8).add(Opcode::mov64_imm, 1, 0, 0, 3);
  const auto address = static_cast<std::uint32_t>(code.insns.size());
  code.insns.push_back({.code = BPF_LD | BPF_IMM | BPF_DW, .dst = 2, .src = BPF_PSEUDO_FUNC});
  code.insns.push_back({});
  code.add(Opcode::mov64_reg, 3, 10)
      .add(Opcode::add64_imm, 3, 0, 0, -8)
      .add(Opcode::mov64_imm, 4)
      .add(Opcode::call_helper, 0, 0, 0, 181)
      .add(Opcode::ldx64, 1, 10, -8)
      .add(Opcode::mov64_imm, 0, 0, 0, 1)
      .add(Opcode::jeq64_imm, 1, 0, 1, 15)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::exit);
  const auto start = static_cast<std::uint32_t>(code.insns.size());
  code.insns[address].imm = static_cast<std::int32_t>(start - address - 1);
  code.add(Opcode::ldx64, 1, 2)
      .add(Opcode::add64_imm, 1, 0, 0, 5)
      .add(Opcode::stx64, 2, 1)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::exit);
  isa::Object object = object_of(code.program(ProgramType::netfilter));
  // Another program before it, so that its functions do not begin their sections.
  object.programs.insert(object.programs.begin(),
                         counting(ProgramType::netfilter).programs.front());
  object.maps = counting(ProgramType::netfilter).maps;
  const LoadedElf elf = loaded_elf(object);
  const TestRun run = must(test_run(elf.loaded.programs.back(), ProgramType::netfilter,
                                    minimal_packet(Nfproto::ipv4), NfHook::forward, Nfproto::ipv4));
  EXPECT_EQ(run.result, 1u);
}

// skb->pkt_type is a bit field, name an array, the rest numbers and pointers.
TEST(ElfRun, FindsMembersAndFunctionsOfThisKernel) {
  const auto field = [](const char* structure, const char* member) {
    return isa::FieldOffset{.structure = structure, .member = member};
  };
  Code code;
  code.add(Opcode::ldx64, 7, 1)
      .with(field("bpf_nf_ctx", "state"))
      .add(Opcode::ldx64, 1, 1)
      .with(field("bpf_nf_ctx", "skb"))
      .add(Opcode::ldx8, 8, 1)
      .with(field("sk_buff", "pkt_type"))
      .add(Opcode::ldx32, 6, 1)
      .with(field("sk_buff", "len"))
      .add(Opcode::ldx16, 9, 1)
      .with(field("sk_buff", "protocol"))
      .add(Opcode::ldx64, 1, 7)
      .with(field("nf_hook_state", "out"))
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::jeq64_imm, 1, 0, 7)
      .add(Opcode::add64_imm, 1)
      .with(field("net_device", "name"))
      .add(Opcode::mov64_imm, 2)
      .add(Opcode::call_kfunc, 0, 0, 0, 0)
      .with(isa::KfuncReference{"bpf_rdonly_cast"})
      .add(Opcode::ldx16, 1, 0)
      .add(Opcode::mov64_imm, 0, 0, 0, 1)
      .add(Opcode::jne64_imm, 6, 0, 1, 20)
      .add(Opcode::jeq64_imm, 9, 0, 1, 0x0008)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::jeq64_imm, 1, 0, 1, 'l' | 'o' << 8)
      .add(Opcode::mov64_imm, 0)
      .add(Opcode::exit);
  const LoadedElf elf = loaded_elf(object_of(code.program(ProgramType::netfilter)));
  const TestRun run = must(test_run(elf.loaded.programs.front(), ProgramType::netfilter,
                                    minimal_packet(Nfproto::ipv4), NfHook::forward, Nfproto::ipv4));
  EXPECT_EQ(run.result, 1u);
}

TEST(ElfRefusals, NameTheMapThatWouldBeEmpty) {
  isa::Object object = counting(ProgramType::xdp);
  object.maps[1].type = isa::MapType::hash;
  object.maps[1].entries = {{Bytes(4), Bytes(16)}};
  const Hook hook = hook_of(ProgramType::xdp);
  const auto file = object::to_elf(object, {&hook, 1}, "");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("map counters would be empty"));
}

TEST(ElfRefusals, NameWhatTheKernelCannotBeAskedFor) {
  Code code;
  code.add(Opcode::call_kfunc).with(isa::KfuncReference{"bpf_unheard_of"}).add(Opcode::exit);
  const Hook hook = hook_of(ProgramType::xdp);
  const auto file = object::to_elf(object_of(code.program(ProgramType::xdp)), {&hook, 1}, "");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("bpf_unheard_of()"));
}

TEST(ElfNote, ComesBack) {
  const Hook hook = hook_of(ProgramType::xdp);
  for (const char* note : {"", "x", "{\"policy\":1}"}) {
    const Bytes file =
        must(object::to_elf(object_of(returning(ProgramType::xdp, 2)), {&hook, 1}, note));
    EXPECT_TRUE(object::is_elf(file));
    EXPECT_EQ(must(object::read_note(file)), note);
    for (std::size_t size = 0; size < file.size(); size += 3) {
      const auto cut = object::read_note(ByteView(file).first(size));
      EXPECT_TRUE(!cut || *cut == note) << "of " << size << " bytes";
    }
  }
}

TEST(ElfNames, AreUnlikeEachOther) {
  isa::Object object = object_of(returning(ProgramType::xdp, 2));
  object.programs[0].name = "x_very_long_name_1";
  object.programs.push_back(returning(ProgramType::xdp, 1));
  object.programs[1].name = "x_very_long_name_2";
  EXPECT_EQ(object::program_names(object),
            (std::vector<std::string>{"x_very_long_nam", "x_very_long_n_2"}));
  EXPECT_EQ(loaded_elf(object).loaded.programs.size(), 2u);
}

}  // namespace
}  // namespace weir::kernel::test
