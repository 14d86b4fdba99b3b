// SPDX-License-Identifier: BSD-2-Clause
//
// The section .BTF.ext: what is at which instruction of an ELF object (struct btf_ext_header and
// what follows it, in Documentation/bpf/btf.rst of the kernel).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "object/btf.h"

namespace weir::object {

// struct bpf_core_relo: the instruction wants the byte offset of a member, which the path "0:1"
// leads to from the type.
struct MemberRow {
  std::uint32_t insn = 0;
  std::uint32_t type = 0;
  std::uint32_t path = 0;  // offset among the strings
  std::uint32_t kind = 0;  // BPF_CORE_FIELD_BYTE_OFFSET
};

// Of one section; `insn` of every row is a byte offset here.
struct SectionRows {
  std::uint32_t name = 0;  // offset among the strings
  std::vector<FunctionRow> functions;
  std::vector<LineRow> lines;
  std::vector<MemberRow> members;
};

[[nodiscard]] Bytes btf_ext(std::span<const SectionRows> sections);

}  // namespace weir::object
