// SPDX-License-Identifier: BSD-2-Clause
//
// Tiny programs by hand, and what the tests of src/kernel share. They run as root, in namespaces of
// their own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "isa/isa.h"
#include "isa/program.h"
#include "kernel/kernel.h"

namespace weir::kernel::test {

using isa::Opcode;
using isa::ProgramType;

// The value of a Result, or a failed test and the end of the program.
template <typename T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().text();
    std::abort();
  }
  return std::move(*result);
}

// "r0 = value; exit"
isa::Program returning(ProgramType type, std::int32_t value);
// An object of that one program, and no maps.
isa::Object object_of(isa::Program program);
// The program of an object that loads.
Fd loaded(const isa::Object& object);

// Appends the instructions of `parts`, single ones and pairs alike.
struct Code {
  std::vector<isa::Insn> insns;
  std::vector<isa::Relocation> relocations;

  Code& add(Opcode opcode, std::uint8_t dst = 0, std::uint8_t src = 0, std::int16_t off = 0,
            std::int32_t imm = 0);
  // The instruction that was added last gets `what`.
  Code& with(decltype(isa::Relocation::what) what);
  Code& map(isa::MapIndex map, std::uint8_t dst);
  Code& map_value(isa::MapIndex map, std::uint32_t offset, std::uint8_t dst);
  [[nodiscard]] isa::Program program(ProgramType type) const;
};

// 20 bytes of IPv4, or 40 of IPv6.
Bytes minimal_packet(Nfproto nfproto);

// r0 of a netfilter program is 0 or 1 only; this one stores the value of r6 in the array map 0 of
// the object and accepts.
isa::Object storing_r6(Code code);
// Runs such an object on a minimal packet, and gives what it stored.
std::uint64_t stored(const isa::Object& object, NfHook hook, Nfproto nfproto);

}  // namespace weir::kernel::test
