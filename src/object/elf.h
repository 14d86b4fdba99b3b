// SPDX-License-Identifier: BSD-2-Clause
//
// An Object as an ELF file that libbpf, and so bpftool and every loader built on it, can load:
// to_elf() writes it. A loader makes maps but fills only data sections, so what maps hold stands in
// .rodata, and an object whose maps would be empty where they must not be is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hook.h"
#include "isa/program.h"

namespace weir::object {

// The section in which libbpf looks for programs of a hook: "xdp", "cgroup_skb/egress". Libraries
// older than 1.3 refuse "netfilter" unless the caller sets the type itself.
[[nodiscard]] std::string_view section_name(const Hook& hook);

// What the symbol of each program is called, in the order of Object::programs.
[[nodiscard]] std::vector<std::string> program_names(const isa::Object& object);

// A map that a loader of the file makes.
struct FileMap {
  std::string name;  // "rodata", "data" and "bss" are data sections, whose maps have one element
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;
  std::vector<isa::MapIndex> holds;  // maps of the object, one behind another in data sections
};
// Those of the file that to_elf() writes; maps that no program uses are in none. Refuses what
// to_elf() refuses of maps.
[[nodiscard]] Result<std::vector<FileMap>> file_maps(const isa::Object& object);

// `hooks` has one for each program. `note` is kept in the section .weir for whom it concerns.
// Input errors name the map that would be empty, and the kernel function or member that the file
// cannot refer to.
[[nodiscard]] Result<Bytes> to_elf(const isa::Object& object, std::span<const Hook> hooks,
                                   std::string_view note);

// Whether a file is ELF, by its first bytes.
[[nodiscard]] bool is_elf(ByteView file);
// The note of a file that to_elf() made; an input error for any other.
[[nodiscard]] Result<std::string> read_note(ByteView file);

}  // namespace weir::object
