// SPDX-License-Identifier: BSD-2-Clause
//
// Classic BPF, as libpcap and SO_ATTACH_FILTER have it: bytes and text of struct sock_filter, from
// the rows of isa/classic.def.
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

namespace weir::isa {

// struct sock_filter (linux/filter.h).
struct ClassicInsn {
  std::uint16_t code = 0;
  std::uint8_t jt = 0;  // slots to skip when the comparison holds
  std::uint8_t jf = 0;  // and when not
  std::uint32_t k = 0;

  friend bool operator==(const ClassicInsn&, const ClassicInsn&) = default;
};

enum class ClassicOpcode : std::uint8_t {
#define WEIR_CLASSIC(name, ...) name,
#include "isa/classic.def"
#undef WEIR_CLASSIC
};

enum class ClassicOperand : std::uint8_t {
  nothing,
  absolute,       // [k] of the packet
  indexed,        // [x + k]
  immediate,      // #k
  memory,         // M[k], k below 16
  length,         // of the packet
  header_length,  // 4 * ([k] & 0xf)
  register_x,
  jump,      // by k
  branch,    // on k, by jt or jf
  branch_x,  // on x, by jt or jf
  verdict,   // #k, the number of bytes to keep
};

struct ClassicInfo {
  ClassicOpcode opcode;
  std::string_view name;
  std::uint8_t code;
  ClassicOperand operand;
  std::string_view text;
};

inline constexpr std::array classic_table = {
#define WEIR_CLASSIC(name, code, operand, text) \
  ClassicInfo{ClassicOpcode::name, #name, (code), ClassicOperand::operand, (text)},
#include "isa/classic.def"
#undef WEIR_CLASSIC
};

[[nodiscard]] constexpr const ClassicInfo& info(ClassicOpcode opcode) {
  return classic_table[static_cast<std::size_t>(opcode)];
}

[[nodiscard]] std::optional<ClassicOpcode> opcode(const ClassicInsn& insn);

// 8 bytes an instruction, fields in host order.
[[nodiscard]] Bytes encode(std::span<const ClassicInsn> insns);
// Codes that are no instruction, and half an instruction, are input errors. Whether jumps stay
// within the program is for those who run it to ask.
[[nodiscard]] Result<std::vector<ClassicInsn>> decode_classic(ByteView bytes);

// A line an instruction, as `tcpdump -d` writes it: "(001) jeq      #0x800           jt 2\tjf 5".
[[nodiscard]] std::string disassemble(std::span<const ClassicInsn> insns);

}  // namespace weir::isa
