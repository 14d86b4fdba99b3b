// SPDX-License-Identifier: BSD-2-Clause
//
// Programs for tests, out of their text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "isa/isa.h"

namespace weir::engine {

// The maps that test programs may name.
inline std::vector<isa::MapSpec> test_maps() {
  using isa::MapType;
  return {
      {.name = "hash", .type = MapType::hash, .key_size = 4, .value_size = 16, .max_entries = 8},
      {.name = "array", .type = MapType::array, .value_size = 8, .max_entries = 4},
      {.name = "one", .type = MapType::array, .value_size = 64, .max_entries = 1},
      {.name = "fixed",
       .type = MapType::array,
       .value_size = 8,
       .max_entries = 1,
       .flags = 1U << 7},  // BPF_F_RDONLY_PROG
      {.name = "counters", .type = MapType::percpu_array, .value_size = 16, .max_entries = 4},
      {.name = "trie",
       .type = MapType::lpm_trie,
       .key_size = 8,
       .value_size = 4,
       .max_entries = 8,
       .flags = 1},
      {.name = "ring",
       .type = MapType::ringbuf,
       .key_size = 0,
       .value_size = 0,
       .max_entries = 4096},
  };
}

inline isa::Object object_of(isa::ProgramType type, std::string_view text) {
  isa::Object object;
  object.maps = test_maps();
  auto assembly = isa::assemble(text, object.maps);
  EXPECT_TRUE(assembly) << assembly.error().text() << "\n" << text;
  isa::Program program{.name = "test", .type = type};
  if (assembly) {
    program.insns = assembly->insns;
    program.relocations = assembly->relocations;
  }
  object.programs.push_back(program);
  return object;
}

}  // namespace weir::engine
