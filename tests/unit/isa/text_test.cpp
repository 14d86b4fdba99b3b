// SPDX-License-Identifier: BSD-2-Clause
//
// The text of instructions and programs, there and back.
#include <gtest/gtest.h>

#include "isa/isa.h"

namespace weir::isa {
namespace {

// Two columns: an instruction and how it is written. At least one row a form.
const std::vector<std::pair<Insn, const char*>>& table() {
  static const std::vector<std::pair<Insn, const char*>> rows = {
      {make(Opcode::add64_imm, 1, 0, 0, -14), "r1 += -14"},
      {make(Opcode::and32_imm, 1, 0, 0, -16), "w1 &= 0xfffffff0"},
      {make(Opcode::add32_reg, 1, 2), "w1 += w2"},
      {make(Opcode::sdiv64_reg, 1, 2), "r1 s/= r2"},
      {make(Opcode::mov64_reg, 6, 1), "r6 = r1"},
      {make(Opcode::mov32_imm, 0, 0, 0, 2), "w0 = 2"},
      {make(Opcode::neg64, 7), "r7 = -r7"},
      {make(Opcode::movsx8_32, 7, 8), "w7 = (s8)w8"},
      {make(Opcode::be16, 3), "r3 = be16 r3"},
      {make(Opcode::bswap64, 3), "r3 = bswap64 r3"},
      {make(Opcode::ldx32, 1, 2, 8), "r1 = *(u32 *)(r2 + 8)"},
      {make(Opcode::ldsx16, 1, 10, -2), "r1 = *(s16 *)(r10 - 2)"},
      {make(Opcode::stx8, 10, 0, -32768), "*(u8 *)(r10 - 32768) = r0"},
      {make(Opcode::st64, 10, 0, -8, -1), "*(u64 *)(r10 - 8) = -1"},
      {make(Opcode::atomic_add64, 1, 2, 0), "lock *(u64 *)(r1 + 0) += r2"},
      {make(Opcode::atomic_fetch_or32, 1, 2, 4), "r2 = atomic_fetch_or((u32 *)(r1 + 4), r2)"},
      {make(Opcode::atomic_cmpxchg64, 1, 2, 4), "r0 = atomic64_cmpxchg((u64 *)(r1 + 4), r0, r2)"},
      {make(Opcode::ja, 0, 0, 3), "goto +3"},
      {make(Opcode::gotol, 0, 0, 0, -70000), "gotol -70000"},
      {make(Opcode::jne64_imm, 1, 0, 3, 6), "if r1 != 0x6 goto +3"},
      {make(Opcode::jset32_imm, 1, 0, -1, 18), "if w1 & 0x12 goto -1"},
      {make(Opcode::jsle64_reg, 1, 2, 0), "if r1 s<= r2 goto +0"},
      {make(Opcode::jgt32_reg, 1, 2, 5), "if w1 > w2 goto +5"},
      {make(Opcode::call_helper, 0, 0, 0, 1), "call map_lookup_elem#1"},
      {make(Opcode::call_helper, 0, 0, 0, 999), "call #999"},
      {make(Opcode::call_local, 0, 0, 0, 12), "call +12"},
      {make(Opcode::call_kfunc, 0, 0, 2, 4711), "call kfunc #4711:2"},
      {make(Opcode::exit), "exit"},
      {Insn{.code = 0xff, .imm = 1}, ".insn 0xff00000001000000"},
  };
  return rows;
}

TEST(Text, Instructions) {
  for (const auto& [insn, text] : table()) {
    EXPECT_EQ(disassemble({&insn, 1}, 0), text);
    const auto back = assemble(text);
    ASSERT_TRUE(back.has_value()) << back.error().text();
    EXPECT_EQ(back->insns, std::vector{insn}) << text;
  }
}

TEST(Text, TwoSlots) {
  struct Row {
    Opcode opcode;
    std::uint64_t value;
    const char* text;
  };
  for (const auto& [opcode, value, text] : {
           Row{Opcode::ld_imm64, 0xffeeddccbbaa9988, "r4 = 0xffeeddccbbaa9988 ll"},
           Row{Opcode::ld_map_fd, 5, "r4 = map[fd:5]"},
           Row{Opcode::ld_map_value, 0x1000000005, "r4 = map[fd:5][0]+16"},
           Row{Opcode::ld_function, 5, "r4 = function +5"},
       }) {
    const auto insns = make_wide(opcode, 4, value);
    EXPECT_EQ(disassemble(insns, 0), text);
    const auto back = assemble(text);
    ASSERT_TRUE(back.has_value()) << back.error().text();
    EXPECT_EQ(back->insns, std::vector(insns.begin(), insns.end())) << text;
  }
}

TEST(Text, EveryRowThereAndBack) {
  for (const OpcodeInfo& row : opcode_table) {
    std::vector<Insn> insns{make(row.opcode)};
    if (is_wide(row.opcode)) insns.push_back({});
    const std::string text = disassemble(insns, 0);
    const auto back = assemble(text);
    ASSERT_TRUE(back.has_value()) << row.name << ": " << back.error().text();
    EXPECT_EQ(back->insns, insns) << row.name << " as " << text;
  }
}

Object sample() {
  Object object;
  object.maps = {{.name = "ports", .type = MapType::hash}, {.name = "state"}};
  object.rule_names = {"inet filter forward handle 4"};
  Program program{.name = "forward", .type = ProgramType::netfilter};
  const auto ports = make_wide(Opcode::ld_map_fd, 1);
  const auto state = make_wide(Opcode::ld_map_value, 2);
  program.insns = {
      make(Opcode::ldx64, 6, 1, 0),           // 0
      make(Opcode::mov64_imm, 3),             // 1
      ports[0],                               // 2
      ports[1],                               // 3
      make(Opcode::call_helper, 0, 0, 0, 1),  // 4
      make(Opcode::jeq64_imm, 0, 0, 4, 0),    // 5, to 10
      state[0],                               // 6
      state[1],                               // 7
      make(Opcode::call_kfunc),               // 8
      make(Opcode::gotol, 0, 0, 0, -5),       // 9, to 5
      make(Opcode::exit),                     // 10
  };
  program.relocations = {{0, FieldOffset{"sk_buff", "mark", 0}},
                         {1, FieldOffset{"nf_conn", "zone.id", -2}},
                         {2, MapReference{MapIndex(0)}},
                         {6, MapValueReference{MapIndex(1), 24}},
                         {8, KfuncReference{"bpf_rdonly_cast"}}};
  program.origins = {{0, -1}, {2, 0}, {10, -1}};
  object.programs = {program};
  return object;
}

TEST(Text, Program) {
  const Object object = sample();
  const std::string text = disassemble(object, object.programs[0]);
  EXPECT_EQ(text,
            "; program forward, netfilter\n"
            "  r6 = *(u64 *)(r1 + sk_buff.mark)\n"
            "  r3 = nf_conn.zone.id-2\n"
            "; inet filter forward handle 4\n"
            "  r1 = map[ports]\n"
            "  call map_lookup_elem#1\n"
            "L1:\n"
            "  if r0 == 0x0 goto L2\n"
            "  r2 = map[state][0]+24\n"
            "  call kfunc bpf_rdonly_cast\n"
            "  gotol L1\n"
            "; around the rules\n"
            "L2:\n"
            "  exit\n");
  for (const std::string& form : {text, disassemble(object, object.programs[0], true)}) {
    const auto back = assemble(form, object.maps);
    ASSERT_TRUE(back.has_value()) << back.error().text();
    EXPECT_EQ(back->insns, object.programs[0].insns);
    ASSERT_EQ(back->relocations.size(), object.programs[0].relocations.size());
    Object again = object;
    again.programs[0].insns = back->insns;
    again.programs[0].relocations = back->relocations;
    EXPECT_EQ(disassemble(again, again.programs[0]), text);
  }
}

TEST(Text, NumberedListingCountsSlots) {
  const Object object = sample();
  const std::string text = disassemble(object, object.programs[0], true);
  EXPECT_NE(text.find("     2: r1 = map[ports]\n     4: call"), std::string::npos) << text;
}

// No program that is any good holds these, but a listing must show them as they are.
TEST(Text, OddPrograms) {
  const auto constant = make_wide(Opcode::ld_imm64, 1);
  Program program{.name = "odd", .type = ProgramType::xdp};
  program.insns = {
      make(Opcode::ja, 0, 0, 1),    constant[0],   constant[1], make(Opcode::ja, 0, 0, 9),
      Insn{.code = 0x18, .src = 1}, Insn{.imm = 1}};
  const std::string text = disassemble({}, program);
  EXPECT_EQ(text,
            "; program odd, xdp\n"
            "  goto +1\n"
            "  r1 = 0x0 ll\n"
            "  goto +9\n"
            "  .insn 0x1810000000000000\n"
            "  .insn 0x0000000001000000\n");
  const auto back = assemble(text);
  ASSERT_TRUE(back.has_value()) << back.error().text();
  EXPECT_EQ(back->insns, program.insns);
}

TEST(Text, ErrorsSayWhere) {
  struct Row {
    const char* text;
    const char* error;
  };
  for (const auto& [text, error] : {
           Row{"exit\n r1 = *(u32 *)(r2 * 4)",
               "f:2:19: 'r1 = *(u32 *)(r2 * 4)' is not an eBPF instruction"},
           Row{"w1 += r2", "f:1:7: 'w1 += r2' is not an eBPF instruction"},
           Row{"r1 = r11", "f:1:9: 'r1 = r11' is not an eBPF instruction"},
           Row{"r1 = -r2", "f:1:9: 'r1 = -r2' is not an eBPF instruction"},
           Row{"r1 = map[nets]", "f:1:14: unknown map 'nets'"},
           Row{"goto end", "f:1:1: no label 'end'"},
           Row{"a:\na: exit", "f:2:1: label 'a' stands twice"},
           Row{"r1 = *(u8 *)(r2 + 40000)", "f:1:24: a number out of range, expected 0 to 32767"},
           Row{".insn 0x00", "f:1:1: expected .insn 0x and 16 digits"},
       }) {
    const auto result = assemble(text, {}, "f");
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_EQ(result.error().text(), error);
  }
}

}  // namespace
}  // namespace weir::isa
