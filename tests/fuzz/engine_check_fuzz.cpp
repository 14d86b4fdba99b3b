// SPDX-License-Identifier: BSD-2-Clause
//
// Bytes as a program: what the engine's checker accepts must run to its end without a fault, which
// the interpreter would throw. The first byte says of which type the program is, and of which
// linkage its functions are.
#include <algorithm>
#include <array>

#include "engine/engine.h"
#include "isa/helpers.h"
#include "isa/isa.h"

namespace {

using namespace weir;

constexpr std::array types = {isa::ProgramType::xdp, isa::ProgramType::netfilter,
                              isa::ProgramType::sched_cls, isa::ProgramType::cgroup_skb,
                              isa::ProgramType::socket_filter};
constexpr std::array kfuncs = {"bpf_dynptr_from_skb", "bpf_dynptr_slice", "bpf_rdonly_cast",
                               "bpf_cast_to_kern_ctx"};

// Loads of a map get a relocation to one of the object's maps, and calls of kernel functions one to
// one of those, chosen by their immediates.
void relocate(isa::Program& program, std::uint32_t slot) {
  const auto opcode = isa::opcode(program.insns[slot]);
  const auto number = static_cast<std::uint32_t>(program.insns[slot].imm);
  if (opcode == isa::Opcode::ld_map_fd) {
    program.relocations.push_back(
        {slot, isa::MapReference{isa::MapIndex(std::size_t{number & 1})}});
  } else if (opcode == isa::Opcode::ld_map_value) {
    const auto offset = static_cast<std::uint32_t>(program.insns[slot + 1].imm);
    program.relocations.push_back({slot, isa::MapValueReference{isa::MapIndex(0), offset}});
  } else if (opcode == isa::Opcode::call_kfunc) {
    program.relocations.push_back({slot, isa::KfuncReference{kfuncs[number % kfuncs.size()]}});
  }
}

void make_functions_global(isa::Program& program) {
  using Argument = isa::Subprogram::Argument;
  std::vector<std::uint32_t> starts;
  for (std::uint32_t slot = 0; slot < program.insns.size(); ++slot) {
    if (isa::opcode(program.insns[slot]) != isa::Opcode::call_local) continue;
    starts.push_back(slot + 1 + static_cast<std::uint32_t>(program.insns[slot].imm));
  }
  std::ranges::sort(starts);
  starts.erase(std::ranges::unique(starts).begin(), starts.end());
  for (const std::uint32_t start : starts) {
    program.subprograms.push_back({.start = start,
                                   .name = "f",
                                   .global = true,
                                   .arguments = {{.kind = Argument::Kind::context},
                                                 {.kind = Argument::Kind::memory, .size = 8},
                                                 {.kind = Argument::Kind::scalar}}});
  }
}

isa::Object object_around(std::vector<isa::Insn> insns, std::uint8_t choice) {
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
  isa::Program program{
      .name = "fuzz", .type = types[choice % types.size()], .insns = std::move(insns)};
  for (std::uint32_t slot = 0; slot < program.insns.size(); ++slot) relocate(program, slot);
  if ((choice & 0x80) != 0) make_functions_global(program);
  object.programs.push_back(std::move(program));
  return object;
}

// Loops may take the checker seconds with sanitizers; a short walk is as good a test of it.
constexpr std::uint64_t most_steps = 20000;

// bpf_loop() may take minutes.
bool loops(const std::vector<isa::Insn>& insns) {
  return std::ranges::any_of(insns, [](const isa::Insn& insn) {
    return isa::opcode(insn) == isa::Opcode::call_helper &&
           insn.imm == static_cast<std::int32_t>(isa::Helper::loop);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  auto insns = isa::decode({data + 1, size - 1});
  if (!insns || insns->empty()) return 0;
  const bool endless = loops(*insns);
  isa::Object object = object_around(std::move(*insns), data[0]);
  const auto walked = engine::walk(object, 0, most_steps);
  if (!walked || !walked->complete) return 0;
  auto engine = engine::Engine::load(std::move(object));
  if (!engine || endless) return 0;
  const Bytes frame(64, 0x45);
  (void)engine->run(0, engine::Input{.bytes = frame, .network_offset = 14, .linear_length = 40});
  return 0;
}
