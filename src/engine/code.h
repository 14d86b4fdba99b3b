// SPDX-License-Identifier: BSD-2-Clause
//
// A program as checker and interpreter see it: one operation an instruction, relocations resolved,
// jumps as indices of operations. What can be known without following the program is checked here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/functions.h"
#include "isa/isa.h"
#include "isa/program.h"

namespace weir::engine {

constexpr std::uint8_t frame_register = 10;
constexpr std::uint8_t register_count = 11;
constexpr std::int64_t stack_size = 512;  // MAX_BPF_STACK
constexpr std::size_t max_frames = 8;     // MAX_CALL_FRAMES

// What the checker found about an access to memory, which decides how it is run.
enum class Access : std::uint8_t {
  unknown,  // not a load or store, or never reached
  checked,  // proven to be within live memory
  probed,   // reads 0 where there is no memory (BPF_PROBE_MEM)
  context,  // off and size are to be taken from the context's layout
};

struct Operation {
  isa::Opcode opcode = isa::Opcode::exit;
  std::uint8_t dst = 0;
  std::uint8_t src = 0;
  Access access = Access::unknown;
  std::int16_t off = 0;
  std::uint32_t slot = 0;    // of the instruction, in Program::insns
  std::uint32_t target = 0;  // of jumps, local calls, addresses of functions: the operation
  std::uint64_t imm = 0;     // sign-extended; of ld_imm64 all 64 bits; of map values the offset
  isa::MapIndex map;         // of ld_map_fd and ld_map_value
  const Function* function = nullptr;  // of calls
};

// A function of the program.
struct LocalFunction {
  std::uint32_t start = 0;  // its first operation; it ends where the next one starts
  const isa::Subprogram* global = nullptr;  // of global linkage: what is declared of it
  bool moves_packet = false;  // it, or what it calls, makes pointers into the packet void
};

struct Code {
  const isa::Object* object = nullptr;
  const isa::Program* program = nullptr;
  std::vector<Operation> operations;
  std::vector<LocalFunction> functions;  // in order; the program's own is the first
};

// Refuses what is no program at all: unknown instructions and functions, jumps out of the program,
// instructions that nothing reaches, an end that control can fall off, writes to r10, relocations
// that do not fit.
[[nodiscard]] Result<Code> decode(const isa::Object& object, std::size_t index);

// Which function an operation belongs to, as an index into Code::functions.
[[nodiscard]] std::size_t function_of(const Code& code, std::size_t operation);

// The error for one instruction: its index, its text, its rule, and what is wrong.
[[nodiscard]] std::unexpected<Diagnostic> refuse(const Code& code, const Operation& operation,
                                                 const std::string& what);

[[nodiscard]] inline const isa::OpcodeInfo& info(const Operation& operation) {
  return isa::info(operation.opcode);
}
[[nodiscard]] inline isa::Form form(const Operation& operation) {
  return info(operation).form;
}
// Bytes that a load, store or atomic operation touches.
[[nodiscard]] inline std::uint32_t access_size(const Operation& operation) {
  return info(operation).bits / 8U;
}
// Whether control may go on at the next operation.
[[nodiscard]] inline bool falls_through(const Operation& operation) {
  const isa::Form kind = form(operation);
  return kind != isa::Form::exit && kind != isa::Form::jump && kind != isa::Form::jump_long;
}

}  // namespace weir::engine
