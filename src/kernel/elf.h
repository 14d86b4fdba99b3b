// SPDX-License-Identifier: BSD-2-Clause
//
// Loading ELF objects with libbpf: what makes their maps, fills data sections and finds functions
// and members of the running kernel is the library that others load them with too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "isa/program.h"
#include "kernel/kernel.h"

namespace weir::kernel {

// A program of the file, by the name of its symbol. Its type is said here, since libraries older
// than the kernel do not know all sections by name.
struct ElfProgram {
  std::string name;
  isa::ProgramType type = isa::ProgramType::xdp;
  isa::Direction direction = isa::Direction::ingress;
};

struct LoadedElf {
  LoadedObject loaded;                 // programs in the order that was asked for
  std::vector<std::string> map_names;  // without dots; "rodata", "data" and "bss" are data sections
  std::vector<std::uint32_t> value_sizes;  // bytes, of the same maps
};

// What libbpf or the kernel refuses is a system error with what they said as notes.
[[nodiscard]] Result<LoadedElf> load_elf(ByteView file, const std::vector<ElfProgram>& programs);

}  // namespace weir::kernel
