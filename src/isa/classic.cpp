// SPDX-License-Identifier: BSD-2-Clause
//
// Classic BPF as bytes and as text. The table is isa/classic.def.
#include "isa/classic.h"

#include <algorithm>
#include <charconv>

namespace weir::isa {
namespace {

std::string hex(std::uint32_t value) {
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

std::string left_aligned(std::string text, std::size_t width) {
  text.append(width - std::min(width, text.size()), ' ');
  return text;
}

std::string operand(ClassicOperand form, const ClassicInsn& insn, std::size_t index) {
  switch (form) {
    case ClassicOperand::nothing:
      return "";
    case ClassicOperand::absolute:
      return "[" + std::to_string(insn.k) + "]";
    case ClassicOperand::indexed:
      return "[x + " + std::to_string(insn.k) + "]";
    case ClassicOperand::immediate:
    case ClassicOperand::branch:
      return "#" + hex(insn.k);
    case ClassicOperand::memory:
      return "M[" + std::to_string(insn.k) + "]";
    case ClassicOperand::length:
      return "#pktlen";
    case ClassicOperand::header_length:
      return "4*([" + std::to_string(insn.k) + "]&0xf)";
    case ClassicOperand::register_x:
    case ClassicOperand::branch_x:
      return "x";
    case ClassicOperand::jump:
      return std::to_string(index + 1 + insn.k);
    case ClassicOperand::verdict:
      return "#" + std::to_string(insn.k);
  }
  throw InvariantError("an operand of classic BPF that is not written in any way");
}

std::string line(const ClassicInsn& insn, std::size_t index) {
  std::string number = std::to_string(index);
  number.insert(0, 3 - std::min<std::size_t>(3, number.size()), '0');
  std::string text = "(" + number + ") ";
  const auto known = opcode(insn);
  if (!known) {
    return text + left_aligned("unimp", 8) + " " + hex(insn.code) + "," + std::to_string(insn.jt) +
           "," + std::to_string(insn.jf) + "," + hex(insn.k);
  }
  const ClassicInfo& row = info(*known);
  const std::string what = operand(row.operand, insn, index);
  if (what.empty()) return text + std::string(row.text);
  text += left_aligned(std::string(row.text), 8) + " ";
  if (row.operand != ClassicOperand::branch && row.operand != ClassicOperand::branch_x) {
    return text + what;
  }
  return text + left_aligned(what, 16) + " jt " + std::to_string(index + 1 + insn.jt) + "\tjf " +
         std::to_string(index + 1 + insn.jf);
}

}  // namespace

std::optional<ClassicOpcode> opcode(const ClassicInsn& insn) {
  const auto* row = std::ranges::find(classic_table, insn.code, &ClassicInfo::code);
  if (row == classic_table.end()) return std::nullopt;
  return row->opcode;
}

Bytes encode(std::span<const ClassicInsn> insns) {
  Bytes bytes;
  bytes.reserve(insns.size() * 8);
  for (const ClassicInsn& insn : insns) {
    for (const Bytes& field : {native_bytes(insn.code, 2), native_bytes(insn.jt, 1),
                               native_bytes(insn.jf, 1), native_bytes(insn.k, 4)}) {
      bytes.insert(bytes.end(), field.begin(), field.end());
    }
  }
  return bytes;
}

Result<std::vector<ClassicInsn>> decode_classic(ByteView bytes) {
  if (bytes.size() % 8 != 0) {
    return input_error("classic BPF code of " + std::to_string(bytes.size()) +
                       " bytes, expected a multiple of 8");
  }
  std::vector<ClassicInsn> insns;
  insns.reserve(bytes.size() / 8);
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    const ByteView slot = bytes.subspan(at, 8);
    const ClassicInsn insn{.code = static_cast<std::uint16_t>(load_native(slot.first(2))),
                           .jt = slot[2],
                           .jf = slot[3],
                           .k = static_cast<std::uint32_t>(load_native(slot.subspan(4)))};
    if (!opcode(insn)) {
      return input_error("instruction " + std::to_string(at / 8) + ": " + hex(insn.code) +
                         " is no code of classic BPF");
    }
    insns.push_back(insn);
  }
  return insns;
}

std::string disassemble(std::span<const ClassicInsn> insns) {
  std::string text;
  for (std::size_t index = 0; index < insns.size(); ++index) {
    text += line(insns[index], index) + "\n";
  }
  return text;
}

}  // namespace weir::isa
