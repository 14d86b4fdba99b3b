// SPDX-License-Identifier: BSD-2-Clause
//
// What the printer and the parser of the text form share.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "flow/flow.h"

namespace weir::flow {

struct MapTypeName {
  isa::MapType type;
  std::string_view name;
};

// The names of enum bpf_map_type, in lower case.
inline constexpr auto map_type_names = std::to_array<MapTypeName>({
    {isa::MapType::hash, "hash"},
    {isa::MapType::array, "array"},
    {isa::MapType::percpu_hash, "percpu_hash"},
    {isa::MapType::percpu_array, "percpu_array"},
    {isa::MapType::lpm_trie, "lpm_trie"},
    {isa::MapType::ringbuf, "ringbuf"},
});

// One instruction or terminator as the text form has it, without indentation.
[[nodiscard]] std::string print(const Instruction& instruction);
[[nodiscard]] std::string print(const Terminator& end);

}  // namespace weir::flow
