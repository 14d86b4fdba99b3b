// SPDX-License-Identifier: BSD-2-Clause
//
// Type and line information of the programs of an Object, as the kernel wants it beside them: what
// their functions are called and take (which it needs for functions of global linkage), and at
// which instruction which rule begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "isa/program.h"
#include "object/types.h"

namespace weir::object {

// struct bpf_func_info of linux/bpf.h.
struct FunctionRow {
  std::uint32_t insn = 0;
  std::uint32_t type = 0;  // id of a BTF_KIND_FUNC
};
// struct bpf_line_info. File and text are offsets among the BTF's strings.
struct LineRow {
  std::uint32_t insn = 0;
  std::uint32_t file = 0;
  std::uint32_t text = 0;
  std::uint32_t line_and_column = 0;  // line << 10 | column
};

// Each in order of instructions. The first rows are those of slot 0.
struct ProgramRows {
  std::vector<FunctionRow> functions;
  std::vector<LineRow> lines;
};

struct Description {
  Bytes btf;
  std::vector<ProgramRows> programs;  // in the order of Object::programs
};

[[nodiscard]] Description describe(const isa::Object& object);

// A function of a program: the main one, those that Program::subprograms describes, and what else
// is called.
struct Function {
  std::uint32_t start = 0;
  std::uint32_t end = 0;
  std::string name;  // unlike any other in the object, at most 15 characters
  const isa::Subprogram* subprogram = nullptr;  // none: the main one, or undescribed
};
// In order of `start`; of each program.
[[nodiscard]] std::vector<std::vector<Function>> functions_of(const isa::Object& object);

// The rows of one program, with the types that they need.
[[nodiscard]] ProgramRows describe(const isa::Object& object, const isa::Program& program,
                                   const std::vector<Function>& functions, Types& types);

}  // namespace weir::object
