// SPDX-License-Identifier: BSD-2-Clause
//
// Tiny programs by hand.
#include "unit/kernel/programs.h"

#include <utility>

#include "kernel/support/root_only.h"

namespace weir::kernel::test {

WEIR_ROOT_ONLY();

isa::Program returning(ProgramType type, std::int32_t value) {
  return Code().add(Opcode::mov64_imm, 0, 0, 0, value).add(Opcode::exit).program(type);
}

isa::Object object_of(isa::Program program) {
  isa::Object object;
  object.programs.push_back(std::move(program));
  return object;
}

Fd loaded(const isa::Object& object) {
  return std::move(must(load(object)).programs.at(0));
}

Code& Code::add(Opcode opcode, std::uint8_t dst, std::uint8_t src, std::int16_t off,
                std::int32_t imm) {
  insns.push_back(isa::make(opcode, dst, src, off, imm));
  return *this;
}

Code& Code::with(decltype(isa::Relocation::what) what) {
  relocations.push_back(
      {.insn = static_cast<std::uint32_t>(insns.size() - 1), .what = std::move(what)});
  return *this;
}

Code& Code::map(isa::MapIndex map, std::uint8_t dst) {
  const auto slots = isa::make_wide(Opcode::ld_map_fd, dst);
  insns.push_back(slots[0]);
  with(isa::MapReference{map});
  insns.push_back(slots[1]);
  return *this;
}

Code& Code::map_value(isa::MapIndex map, std::uint32_t offset, std::uint8_t dst) {
  const auto slots = isa::make_wide(Opcode::ld_map_value, dst);
  insns.push_back(slots[0]);
  with(isa::MapValueReference{.map = map, .offset = offset});
  insns.push_back(slots[1]);
  return *this;
}

isa::Program Code::program(ProgramType type) const {
  return {.name = "test", .type = type, .insns = insns, .relocations = relocations};
}

Bytes minimal_packet(Nfproto nfproto) {
  Bytes packet(nfproto == Nfproto::ipv4 ? 20 : 40);
  packet[0] = nfproto == Nfproto::ipv4 ? 0x45 : 0x60;
  return packet;
}

isa::Object storing_r6(Code code) {
  const isa::MapIndex out(0);
  code.map_value(out, 0, 1)
      .add(Opcode::stx64, 1, 6)
      .add(Opcode::mov64_imm, 0, 0, 0, 1)
      .add(Opcode::exit);
  auto object = object_of(code.program(ProgramType::netfilter));
  object.maps.push_back({.name = "out", .value_size = 8, .max_entries = 1});
  return object;
}

std::uint64_t stored(const isa::Object& object, NfHook hook, Nfproto nfproto) {
  const auto all = must(load(object));
  must(
      test_run(all.programs.at(0), ProgramType::netfilter, minimal_packet(nfproto), hook, nfproto));
  return load_native(must(read_element(all.maps.at(0), Bytes(4), 8, false)));
}

}  // namespace weir::kernel::test
