// SPDX-License-Identifier: BSD-2-Clause
//
// What makes one object another one, and what does not.
#include "service/fingerprint.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <vector>

#include "isa/isa.h"

namespace weir::service {
namespace {

isa::Object example() {
  isa::Object out;
  out.maps = {{.name = "run", .value_size = 64, .max_entries = 1, .flags = 1024},
              {.name = "counters", .type = isa::MapType::percpu_array, .value_size = 16}};
  isa::Program program{.name = "p", .type = isa::ProgramType::netfilter};
  program.insns = {isa::make(isa::Opcode::mov64_imm, 0, 0, 0, 1), isa::make(isa::Opcode::exit)};
  program.relocations = {{.insn = 0, .what = isa::MapValueReference{isa::MapIndex(0U), 8}}};
  out.programs = {program};
  return out;
}

TEST(Fingerprint, TellsObjectsApart) {
  const std::vector<std::function<void(isa::Object&)>> changes = {
      [](isa::Object&) {},
      [](isa::Object& o) { o.maps[0].name = "run2"; },
      [](isa::Object& o) { o.maps[0].value_size = 128; },
      [](isa::Object& o) { o.maps[0].flags = 0; },
      [](isa::Object& o) { o.maps[1].max_entries = 9; },
      [](isa::Object& o) { o.maps[1].type = isa::MapType::array; },
      [](isa::Object& o) { o.maps.pop_back(); },
      [](isa::Object& o) { o.programs[0].insns[0].imm = 2; },
      [](isa::Object& o) { o.programs[0].insns[0].dst = 1; },
      [](isa::Object& o) { o.programs[0].insns[0].src = 1; },
      [](isa::Object& o) { o.programs[0].insns[0].off = 1; },
      [](isa::Object& o) { o.programs[0].insns.push_back(isa::make(isa::Opcode::exit)); },
      [](isa::Object& o) { o.programs[0].type = isa::ProgramType::xdp; },
      [](isa::Object& o) {
        o.programs[0].relocations[0].what = isa::MapValueReference{isa::MapIndex(0U), 16};
      },
      [](isa::Object& o) {
        o.programs[0].relocations[0].what = isa::MapReference{isa::MapIndex(0U)};
      },
      [](isa::Object& o) { o.programs[0].relocations[0].what = isa::KfuncReference{"f"}; },
      [](isa::Object& o) { o.programs[0].relocations[0].what = isa::FieldOffset{"s", "m"}; },
      [](isa::Object& o) { o.programs[0].relocations[0].what = isa::FieldOffset{"s", "n"}; },
      [](isa::Object& o) { o.programs.push_back(o.programs[0]); }};
  std::set<std::uint64_t> seen;
  for (const auto& change : changes) {
    isa::Object object = example();
    change(object);
    EXPECT_TRUE(seen.insert(fingerprint(object)).second) << seen.size() << " came before";
    EXPECT_EQ(fingerprint(object), fingerprint(object));
  }
  EXPECT_FALSE(seen.contains(0));
}

TEST(Fingerprint, IsNotOfWhatMapsHoldNorOfNamesOfRules) {
  isa::Object object = example();
  const std::uint64_t before = fingerprint(object);
  object.maps[0].entries = std::vector<isa::MapEntry>{{.key = Bytes(4, 0), .value = Bytes(64, 1)}};
  object.maps[0].rules = std::vector<std::uint32_t>{0};
  object.rule_names = std::vector<std::string>{"ip t c handle 2"};
  object.rule_sources = {{.file = "f", .line = 1, .text = "accept"}};
  object.programs[0].origins = {{.insn = 0, .rule = 0}};
  EXPECT_EQ(fingerprint(object), before);
}

}  // namespace
}  // namespace weir::service
