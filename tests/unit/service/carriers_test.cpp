// SPDX-License-Identifier: BSD-2-Clause
//
// Which programs and maps carry a rule.
#include "service/carriers.h"

#include <gtest/gtest.h>

namespace weir::service {
namespace {

// Two programs: rule 0 is in both, rule 1 in the second one, rule 2 in none. Map 0 is used by the
// code around the rules, map 1 by rule 0 in the first program, map 2 by rule 1.
isa::Object example() {
  isa::Object object;
  object.rule_names = {"inet t c handle 2", "inet t c handle 3", "ip t c handle 2"};
  object.maps = {{.name = "opaque"}, {.name = "set"}, {.name = "list"}, {.name = "counters"}};
  object.programs.resize(2);
  object.programs[0].origins = {{.insn = 0, .rule = -1}, {.insn = 4, .rule = 0}};
  object.programs[0].relocations = {{.insn = 0, .what = isa::MapReference{isa::MapIndex(0)}},
                                    {.insn = 4, .what = isa::MapReference{isa::MapIndex(1)}},
                                    {.insn = 6, .what = isa::KfuncReference{"f"}}};
  object.programs[1].origins = {{.insn = 2, .rule = 1}, {.insn = 5, .rule = 0}};
  object.programs[1].relocations = {
      {.insn = 1, .what = isa::MapReference{isa::MapIndex(0)}},
      {.insn = 4, .what = isa::MapValueReference{.map = isa::MapIndex(2), .offset = 8}}};
  return object;
}

TEST(Carriers, AreFoundByOriginAndRelocation) {
  const std::vector<Carriers> expected = {
      {.programs = {0, 1}, .maps = {1}}, {.programs = {1}, .maps = {2}}, {}};
  EXPECT_EQ(find_carriers(example()), expected);
}

TEST(Carriers, AreNamedByIdAndCountersWithThem) {
  std::vector<ChainState> chains = {
      {.family = Family::inet,
       .table = "t",
       .name = "c",
       .rules = {{.handle = 2}, {.handle = 3, .counters = {{.index = 0}}}}},
      {.family = Family::ip, .table = "t", .name = "c", .rules = {{.handle = 2}, {.handle = 9}}}};
  name_carriers(example(), {.programs = {70, 71}, .maps = {50, 51, 52, 53}}, chains);
  using Numbers = std::vector<std::uint32_t>;
  EXPECT_EQ(chains[0].rules[0].programs, (Numbers{70, 71}));
  EXPECT_EQ(chains[0].rules[0].maps, (Numbers{51}));
  EXPECT_EQ(chains[0].rules[1].programs, (Numbers{71}));
  EXPECT_EQ(chains[0].rules[1].maps, (Numbers{52, 53})) << "its set and the counters";
  for (const RuleState& rule : chains[1].rules) {
    EXPECT_EQ(rule.programs, Numbers()) << rule.handle;
    EXPECT_EQ(rule.maps, Numbers()) << rule.handle;
  }
}

}  // namespace
}  // namespace weir::service
