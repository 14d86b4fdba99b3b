// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel tells of what was loaded.
#include <gmock/gmock.h>

#include "kernel/maps.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

TEST(Info, TellsTheMachineCodeOfEachLine) {
  isa::Object object = object_of(Code()
                                     .add(Opcode::mov64_imm, 0, 0, 0, 1)
                                     .add(Opcode::ldx32, 1, 1, 12)
                                     .add(Opcode::jeq64_imm, 1, 0, 1, 7)
                                     .add(Opcode::mov64_imm, 0, 0, 0, 2)
                                     .add(Opcode::exit)
                                     .program(ProgramType::xdp));
  object.rule_names = {"first rule", "second rule"};
  object.programs.front().origins = {
      {.insn = 0, .rule = -1}, {.insn = 1, .rule = 0}, {.insn = 3, .rule = 1}};
  const auto code = must(machine_code(loaded(object)));
  if (code.bytes.empty()) GTEST_SKIP() << "this kernel interprets programs";
  ASSERT_GE(code.rows.size(), 3u);
  ASSERT_GE(code.translated.size(), 5u);
  EXPECT_EQ(code.translated.front(), isa::make(Opcode::mov64_imm, 0, 0, 0, 1));
  EXPECT_EQ(code.translated.back(), isa::make(Opcode::exit));
  std::string text;
  for (std::size_t i = 0; i < code.rows.size(); ++i) {
    EXPECT_LT(code.rows[i].begin, code.bytes.size());
    EXPECT_LT(code.rows[i].insn, code.translated.size());
    EXPECT_GE(code.rows[i].begin, i == 0 ? 0 : code.rows[i - 1].begin);
    text += code.rows[i].text + "\n";
  }
  EXPECT_THAT(text, testing::HasSubstr("first rule"));
  EXPECT_THAT(text, testing::HasSubstr("second rule"));
}

TEST(Info, TellsMemory) {
  const auto bytes = [](std::uint32_t elements) {
    return must(memory_use(must(create_map({.name = "memory",
                                            .type = isa::MapType::hash,
                                            .key_size = 4,
                                            .value_size = 8,
                                            .max_entries = elements}))));
  };
  EXPECT_GE(bytes(1), 8u);
  EXPECT_GE(bytes(100'000), bytes(1) + 100'000 * 12);
  EXPECT_GT(must(memory_use(loaded(object_of(returning(ProgramType::xdp, 2))))), 0u);
}

}  // namespace
}  // namespace weir::kernel::test
