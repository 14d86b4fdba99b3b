// SPDX-License-Identifier: BSD-2-Clause
//
// Bytes as a program: what the engine's checker accepts must run to its end without a fault, which
// the interpreter would throw.
#include "engine/engine.h"
#include "isa/isa.h"

namespace {

using namespace weir;

// Loads of a map get a relocation to one of the object's maps, chosen by their immediate.
isa::Object object_around(std::vector<isa::Insn> insns) {
  isa::Object object;
  object.maps = {
      {.name = "array",
       .type = isa::MapType::array,
       .key_size = 4,
       .value_size = 16,
       .max_entries = 1},
      {.name = "hash",
       .type = isa::MapType::hash,
       .key_size = 4,
       .value_size = 8,
       .max_entries = 4},
  };
  isa::Program program{.name = "fuzz", .type = isa::ProgramType::xdp, .insns = std::move(insns)};
  for (std::uint32_t i = 0; i < program.insns.size(); ++i) {
    const auto opcode = isa::opcode(program.insns[i]);
    const isa::MapIndex map(static_cast<std::size_t>(program.insns[i].imm & 1));
    if (opcode == isa::Opcode::ld_map_fd) {
      program.relocations.push_back({i, isa::MapReference{map}});
    } else if (opcode == isa::Opcode::ld_map_value) {
      program.relocations.push_back(
          {i, isa::MapValueReference{isa::MapIndex(0),
                                     static_cast<std::uint32_t>(program.insns[i + 1].imm)}});
    }
  }
  object.programs.push_back(std::move(program));
  return object;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto insns = isa::decode({data, size});
  if (!insns || insns->empty()) return 0;
  auto engine = engine::Engine::load(object_around(std::move(*insns)));
  if (!engine) return 0;
  const Bytes frame(64, 0x45);
  (void)engine->run(0, engine::Input{.bytes = frame});
  return 0;
}
