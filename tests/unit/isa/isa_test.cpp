// SPDX-License-Identifier: BSD-2-Clause
//
// Every row of the instruction table: bytes there and back, and the ways in which a slot is none.
#include "isa/isa.h"

#include <gtest/gtest.h>

#include "isa/helpers.h"

namespace weir::isa {
namespace {

std::vector<Insn> example(const OpcodeInfo& row) {
  // make() lets an opcode's own fields win, so that these stay only where there is an operand.
  Insn insn = make(row.opcode, 3, 4, -8, 0x12345678);
  std::vector<Insn> cleaned;
  for (int drop = 0; drop < 16; ++drop) {
    Insn trial = insn;
    if ((drop & 1) != 0) trial.imm = 0;
    if ((drop & 2) != 0) trial.off = 0;
    if ((drop & 4) != 0) trial.src = 0;
    if ((drop & 8) != 0) trial.dst = 0;
    if (opcode(trial) == row.opcode) {
      cleaned.push_back(trial);
      break;
    }
  }
  if (is_wide(row.opcode)) {
    const bool has_upper_half =
        row.opcode == Opcode::ld_imm64 || row.opcode == Opcode::ld_map_value;
    cleaned.push_back({.imm = has_upper_half ? 0x77 : 0});
  }
  return cleaned;
}

TEST(Isa, EveryRowIsFoundByItsFields) {
  for (const OpcodeInfo& row : opcode_table) {
    EXPECT_EQ(info(row.opcode).name, row.name);
    EXPECT_EQ(opcode(make(row.opcode)), row.opcode) << row.name;
    EXPECT_FALSE(example(row).empty()) << row.name;
  }
}

TEST(Isa, BytesThereAndBack) {
  for (const OpcodeInfo& row : opcode_table) {
    const std::vector<Insn> insns = example(row);
    const Bytes bytes = encode(insns);
    EXPECT_EQ(bytes.size(), insns.size() * 8) << row.name;
    const auto back = decode(bytes);
    ASSERT_TRUE(back.has_value()) << row.name << ": " << back.error().text();
    EXPECT_EQ(*back, insns) << row.name;
  }
}

// Bytes as the kernel's tools and RFC 9669 have them.
TEST(Isa, KnownEncodings) {
  struct Row {
    std::vector<Insn> insns;
    const char* bytes;
  };
  const auto wide = make_wide(Opcode::ld_imm64, 2, 0x1122334455667788);
  for (const auto& [insns, bytes] : std::vector<Row>{
           {{make(Opcode::mov64_imm, 1, 0, 0, -1)}, "0xb7010000ffffffff"},
           {{make(Opcode::add64_reg, 1, 10)}, "0x0fa1000000000000"},
           {{make(Opcode::ldx32, 1, 2, 8)}, "0x6121080000000000"},
           {{make(Opcode::stx16, 10, 3, -4)}, "0x6b3afcff00000000"},
           {{make(Opcode::be16, 5)}, "0xdc05000010000000"},
           {{make(Opcode::atomic_fetch_add64, 1, 2, 8)}, "0xdb21080001000000"},
           {{make(Opcode::jne64_imm, 1, 0, 3, 6)}, "0x5501030006000000"},
           {{make(Opcode::gotol, 0, 0, 0, 70000)}, "0x0600000070110100"},
           {{make(Opcode::call_kfunc, 0, 0, 0, 9)}, "0x8520000009000000"},
           {{make(Opcode::exit)}, "0x9500000000000000"},
           {{wide[0], wide[1]}, "0x18020000887766550000000044332211"},
       }) {
    EXPECT_EQ(to_hex(encode(insns)), bytes) << disassemble(insns, 0);
  }
  EXPECT_EQ(wide_value(wide[0], wide[1]), 0x1122334455667788U);
}

TEST(Isa, FormsStandInTheOrderThatTheHelpersRelyOn) {
  for (const OpcodeInfo& row : opcode_table) {
    if (row.bits != 64 || (row.form != Form::alu_imm && row.form != Form::jump_imm)) continue;
    const std::string name(row.name.substr(0, row.name.size() - 6));
    EXPECT_EQ(info(reg_form(row.opcode)).name, name + "64_reg");
    EXPECT_EQ(info(narrow(row.opcode)).name, name + "32_imm");
    EXPECT_EQ(info(narrow(reg_form(row.opcode))).name, name + "32_reg");
  }
}

TEST(Isa, FieldsThatAnInstructionDoesNotUseMustBeZero) {
  EXPECT_FALSE(opcode({.code = 0x07, .dst = 1, .src = 2}).has_value());
  EXPECT_FALSE(opcode({.code = 0x07, .dst = 1, .off = 1}).has_value());
  EXPECT_FALSE(opcode({.code = 0xdc, .dst = 1, .imm = 24}).has_value());
  EXPECT_FALSE(opcode({.code = 0xdb, .dst = 1, .imm = 2}).has_value());
  EXPECT_FALSE(opcode({.code = 0x95, .imm = 1}).has_value());
  EXPECT_FALSE(opcode({.code = 0xff}).has_value());
  EXPECT_EQ(opcode({.code = 0x37, .dst = 1, .off = 1, .imm = 2}), Opcode::sdiv64_imm);
}

TEST(Isa, WhatIsNoCodeIsRefusedWithItsPlace) {
  const auto message = [](std::string_view hex) { return decode(*from_hex(hex)).error().message; };
  EXPECT_EQ(message("0x9500"), "eBPF code of 2 bytes, expected a multiple of 8");
  EXPECT_EQ(message("0x9500000000000000ff00000000000000"),
            "slot 1: 0xff00000000000000 is not an eBPF instruction");
  EXPECT_EQ(message("0xb70b000000000000"), "slot 0: 0xb70b000000000000 names a register above r10");
  EXPECT_EQ(message("0x1801000000000000"), "eBPF code ends within a 64-bit immediate");
  EXPECT_EQ(message("0x18010000000000009500000000000000"),
            "slot 1: found 0x9500000000000000, expected the second half of a 64-bit immediate");
  EXPECT_EQ(message("0x18110000010000000000000001000000"),
            "slot 1: found 0x0000000001000000, expected the second half of a 64-bit immediate");
}

TEST(Isa, HelpersHaveNames) {
  EXPECT_EQ(helper_name(113), "probe_read_kernel");
  EXPECT_EQ(helper_name(0), "");
  EXPECT_EQ(helper_by_name("map_lookup_elem"), Helper::map_lookup_elem);
  EXPECT_FALSE(helper_by_name("bpf_map_lookup_elem").has_value());
}

}  // namespace
}  // namespace weir::isa
