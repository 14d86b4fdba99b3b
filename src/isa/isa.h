// SPDX-License-Identifier: BSD-2-Clause
//
// eBPF instructions: their names, what each one's fields mean, bytes and text there and back.
// Everything here comes from the rows of isa/ebpf.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"

namespace weir::isa {

enum class Opcode : std::uint8_t {
#define WEIR_INSN(name, ...) name,
#include "isa/ebpf.def"
#undef WEIR_INSN
};

// Which operands an instruction has. `dst`, `src`, `off` and `imm` are the fields of Insn.
enum class Form : std::uint8_t {
  alu_imm,         // dst op= imm
  alu_reg,         // dst op= src
  neg,             // dst = -dst
  mov_sx,          // dst = src, sign-extended
  swap,            // dst = bytes of dst reversed, or cut off
  load,            // dst = memory at src + off
  store_reg,       // memory at dst + off = src
  store_imm,       // memory at dst + off = imm
  atomic,          // memory at dst + off op= src
  atomic_fetch,    // the same, and src = what stood there
  atomic_cmpxchg,  // r0 = what stood there; if that was r0, memory = src
  load_imm64,      // dst = a 64-bit constant
  load_map,        // dst = a map
  load_map_value,  // dst = a byte in the value of an array map's first element
  load_function,   // dst = the address of a function, by imm
  jump,            // by off
  jump_long,       // by imm
  jump_imm,        // by off if dst compares so with imm
  jump_reg,        // by off if dst compares so with src
  call_helper,
  call_local,
  call_kfunc,
  exit,
};

// The field that, beside the code, says which instruction it is.
enum class Selector : std::uint8_t { none, off, imm, src };

struct OpcodeInfo {
  Opcode opcode;
  std::string_view name;  // the enumerator
  std::uint8_t code;
  Form form;
  Selector selector;
  std::uint8_t selected;
  std::uint8_t bits;
  std::string_view symbol;
};

inline constexpr std::array opcode_table = {
#define WEIR_INSN(name, code, form, selector, selected, bits, symbol) \
  OpcodeInfo{Opcode::name,       #name,      (code), Form::form,      \
             Selector::selector, (selected), (bits), (symbol)},
#include "isa/ebpf.def"
#undef WEIR_INSN
};

[[nodiscard]] constexpr const OpcodeInfo& info(Opcode opcode) {
  return opcode_table[static_cast<std::size_t>(opcode)];
}

// Whether it takes two slots.
[[nodiscard]] constexpr bool is_wide(Opcode opcode) {
  return info(opcode).code == 0x18;
}
[[nodiscard]] constexpr bool is_conditional(Opcode opcode) {
  return info(opcode).form == Form::jump_imm || info(opcode).form == Form::jump_reg;
}
// Whether it may go on elsewhere than at the next instruction; calls come back and do not count.
[[nodiscard]] constexpr bool is_jump(Opcode opcode) {
  return is_conditional(opcode) || info(opcode).form == Form::jump ||
         info(opcode).form == Form::jump_long;
}

// An instruction with the fields that `opcode` does not itself determine.
[[nodiscard]] constexpr Insn make(Opcode opcode, std::uint8_t dst = 0, std::uint8_t src = 0,
                                  std::int16_t off = 0, std::int32_t imm = 0) {
  const OpcodeInfo& row = info(opcode);
  Insn insn{row.code, dst, src, off, imm};
  switch (row.selector) {
    case Selector::none:
      break;
    case Selector::off:
      insn.off = row.selected;
      break;
    case Selector::imm:
      insn.imm = row.selected;
      break;
    case Selector::src:
      insn.src = row.selected;
      break;
  }
  return insn;
}

// The two slots of ld_imm64, ld_map_fd, ld_map_value or ld_function; `value` holds the imm of the
// first slot in its low half and that of the second one in its high half.
[[nodiscard]] constexpr std::array<Insn, 2> make_wide(Opcode opcode, std::uint8_t dst,
                                                      std::uint64_t value = 0) {
  return {make(opcode, dst, 0, 0, static_cast<std::int32_t>(value)),
          Insn{0, 0, 0, 0, static_cast<std::int32_t>(value >> 32)}};
}

// Whether `second` may stand behind the first slot of a wide instruction: nothing but an immediate,
// and none behind a map's number or a function's distance (check_ld_imm() and
// resolve_pseudo_ldimm64() in the kernel).
[[nodiscard]] constexpr bool is_second_slot(Opcode opcode, const Insn& second) {
  const bool free = opcode != Opcode::ld_map_fd && opcode != Opcode::ld_function;
  return second == Insn{0, 0, 0, 0, second.imm} && (free || second.imm == 0);
}

// The 64 bits of both slots.
[[nodiscard]] constexpr std::uint64_t wide_value(const Insn& first, const Insn& second) {
  return static_cast<std::uint32_t>(first.imm) |
         (static_cast<std::uint64_t>(static_cast<std::uint32_t>(second.imm)) << 32);
}

// From the 64_imm form of an arithmetic operation or a comparison to the others:
// reg_form(add64_imm) is add64_reg, narrow(add64_imm) is add32_imm.
[[nodiscard]] constexpr Opcode reg_form(Opcode imm_form) {
  return static_cast<Opcode>(static_cast<std::uint8_t>(imm_form) + 1);
}
[[nodiscard]] constexpr Opcode narrow(Opcode wide_form) {
  return static_cast<Opcode>(static_cast<std::uint8_t>(wide_form) + 2);
}

// What the (first) slot is; nothing when there is no such instruction, or a field that it does not
// use is not zero (the kernel refuses that as well). Register numbers are not looked at.
[[nodiscard]] std::optional<Opcode> opcode(const Insn& insn);

// Whether it tells where another function starts.
[[nodiscard]] constexpr bool names_function(Opcode opcode) {
  return opcode == Opcode::call_local || opcode == Opcode::ld_function;
}

// How many slots from the next one a jump or local call of this opcode goes, or how far from the
// slot behind its first one the function lies that it loads the address of.
[[nodiscard]] constexpr std::int32_t distance(Opcode opcode, const Insn& insn) {
  return info(opcode).form == Form::jump_long || names_function(opcode) ? insn.imm : insn.off;
}

// struct bpf_insn, 8 bytes a slot.
[[nodiscard]] std::array<std::uint8_t, 8> encode(const Insn& insn);
[[nodiscard]] Bytes encode(std::span<const Insn> insns);
// One slot out of 8 bytes, whatever they say.
[[nodiscard]] Insn decode_slot(ByteView slot);
// Slots that are no instruction, registers above r10, and half an instruction are input errors.
[[nodiscard]] Result<std::vector<Insn>> decode(ByteView bytes);

// The text of the instruction that begins at slot `index`, jumps as "+3". A slot that is no
// instruction is written as ".insn 0x" and its 8 bytes.
[[nodiscard]] std::string disassemble(std::span<const Insn> insns, std::size_t index);

// A program of the object, an instruction a line: relocated operands by name, targets of jumps as
// labels, names of rules as comments. `numbered` puts the slot's index before each.
[[nodiscard]] std::string disassemble(const Object& object, const Program& program,
                                      bool numbered = false);

// What assemble() makes of a text.
struct Assembly {
  std::vector<Insn> insns;
  std::vector<Relocation> relocations;
};

// The inverse of disassemble(). Lines hold an instruction, a label ("name:") or a comment (";").
// Maps are looked up by name in `maps`. Errors give line and column within `file`.
[[nodiscard]] Result<Assembly> assemble(std::string_view text, std::span<const MapSpec> maps = {},
                                        const std::string& file = "assembly");

}  // namespace weir::isa
