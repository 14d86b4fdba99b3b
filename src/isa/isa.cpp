// SPDX-License-Identifier: BSD-2-Clause
//
// Which instruction a slot is, and slots as bytes. The table is isa/ebpf.def.
#include "isa/isa.h"

namespace weir::isa {
namespace {

constexpr std::size_t code_count = 256;
constexpr std::uint8_t no_row = 0xff;
static_assert(opcode_table.size() < no_row);

// The rows of each code as a chain: from first[code] on along next[row].
struct RowsByCode {
  std::array<std::uint8_t, code_count> first{};
  std::array<std::uint8_t, opcode_table.size()> next{};

  constexpr RowsByCode() {
    first.fill(no_row);
    for (std::size_t row = opcode_table.size(); row-- > 0;) {
      next[row] = first[opcode_table[row].code];
      first[opcode_table[row].code] = static_cast<std::uint8_t>(row);
    }
  }
};
constexpr RowsByCode rows_by_code;

// The fields that operands of a form may use.
struct Fields {
  bool dst = false;
  bool src = false;
  bool off = false;
  bool imm = false;
};

constexpr Fields fields(Form form) {
  switch (form) {
    case Form::alu_imm:
      return {.dst = true, .imm = true};
    case Form::alu_reg:
    case Form::mov_sx:
      return {.dst = true, .src = true};
    case Form::neg:
    case Form::swap:
      return {.dst = true};
    case Form::load:
    case Form::store_reg:
    case Form::atomic:
    case Form::atomic_fetch:
    case Form::atomic_cmpxchg:
    case Form::jump_reg:
      return {.dst = true, .src = true, .off = true};
    case Form::store_imm:
    case Form::jump_imm:
      return {.dst = true, .off = true, .imm = true};
    case Form::load_imm64:
    case Form::load_map:
    case Form::load_map_value:
    case Form::load_function:
      return {.dst = true, .imm = true};
    case Form::jump:
      return {.off = true};
    case Form::jump_long:
    case Form::call_helper:
    case Form::call_local:
      return {.imm = true};
    case Form::call_kfunc:
      return {.off = true, .imm = true};
    case Form::exit:
      return {};
  }
  throw InvariantError("a form that has no fields");
}

bool is_row(const OpcodeInfo& row, const Insn& insn) {
  const Fields used = fields(row.form);
  const Insn expected =
      make(row.opcode, used.dst ? insn.dst : std::uint8_t{0}, used.src ? insn.src : std::uint8_t{0},
           used.off ? insn.off : std::int16_t{0}, used.imm ? insn.imm : 0);
  return insn == expected;
}

constexpr std::uint8_t last_register = 10;

}  // namespace

std::optional<Opcode> opcode(const Insn& insn) {
  for (std::uint8_t row = rows_by_code.first[insn.code]; row != no_row;
       row = rows_by_code.next[row]) {
    if (is_row(opcode_table[row], insn)) return opcode_table[row].opcode;
  }
  return std::nullopt;
}

std::array<std::uint8_t, 8> encode(const Insn& insn) {
  invariant(insn.dst < 16 && insn.src < 16, "a register number has 4 bits");
  const auto off = static_cast<std::uint16_t>(insn.off);
  const auto imm = static_cast<std::uint32_t>(insn.imm);
  return {insn.code,
          static_cast<std::uint8_t>(insn.dst | (insn.src << 4)),
          static_cast<std::uint8_t>(off),
          static_cast<std::uint8_t>(off >> 8),
          static_cast<std::uint8_t>(imm),
          static_cast<std::uint8_t>(imm >> 8),
          static_cast<std::uint8_t>(imm >> 16),
          static_cast<std::uint8_t>(imm >> 24)};
}

Bytes encode(std::span<const Insn> insns) {
  Bytes bytes;
  bytes.reserve(insns.size() * 8);
  for (const Insn& insn : insns) {
    const auto slot = encode(insn);
    bytes.insert(bytes.end(), slot.begin(), slot.end());
  }
  return bytes;
}

Insn decode_slot(ByteView slot) {
  invariant(slot.size() == 8, "an instruction slot has 8 bytes");
  return {.code = slot[0],
          .dst = static_cast<std::uint8_t>(slot[1] & 15),
          .src = static_cast<std::uint8_t>(slot[1] >> 4),
          .off = static_cast<std::int16_t>(load_native(slot.subspan(2, 2))),
          .imm = static_cast<std::int32_t>(load_native(slot.subspan(4, 4)))};
}

Result<std::vector<Insn>> decode(ByteView bytes) {
  if (bytes.size() % 8 != 0) {
    return input_error("eBPF code of " + std::to_string(bytes.size()) +
                       " bytes, expected a multiple of 8");
  }
  std::vector<Insn> insns;
  insns.reserve(bytes.size() / 8);
  std::optional<Opcode> first_half;
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    const ByteView slot = bytes.subspan(at, 8);
    const Insn insn = decode_slot(slot);
    const std::string where = "slot " + std::to_string(at / 8) + ": ";
    if (first_half) {
      if (!is_second_slot(*first_half, insn)) {
        return input_error(where + "found " + to_hex(slot) +
                           ", expected the second half of a 64-bit immediate");
      }
      first_half.reset();
    } else {
      const auto known = opcode(insn);
      if (!known) return input_error(where + to_hex(slot) + " is not an eBPF instruction");
      if (insn.dst > last_register || insn.src > last_register) {
        return input_error(where + to_hex(slot) + " names a register above r10");
      }
      if (is_wide(*known)) first_half = known;
    }
    insns.push_back(insn);
  }
  if (first_half) return input_error("eBPF code ends within a 64-bit immediate");
  return insns;
}

}  // namespace weir::isa
