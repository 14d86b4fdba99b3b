// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include "flow/flow.h"

namespace weir::flow {
namespace {

// Every operation, terminator and declaration once.
constexpr std::string_view everything = R"(function "inet filter \"forward\"\x0a"
map 0 "counters" percpu_array key 4 value 16 entries 3
map 1 "hosts" lpm_trie key 8 value 8 entries 2 flags 1
  0x200000000a000001 0x0100000000000000
  0x180000000a000000 0x0200000000000000
map 2 "zero" array key 4 value 8 entries 1
map 3 "seen" hash key 4 value 16 entries 9
rule 0 "inet filter forward handle 4"
b0:
  v0 = context length
  v1 = const 0x14
  v2 = copy v1
  v3 = opaque_zero map2
  window v4 = 20 at 0 ? b1 : b3
b1: rule 0
  v5 = load32 v4 + 12
  v6 = load8 v4
  v7 = xor v5, 0x100000a
  v8 = add v6, v3
  v9 = sub v8, 9
  v9 = and v9, 0xff
  v9 = or v9, v6
  v9 = shl v9, 2
  v9 = shr v9, v3
  v10 = swap16 v9
  v10 = swap32 v10
  v10 = swap64 v10
  v11 = lookup map1[v10] of 8
  v12 = map_value map2
  v12 = insert map3[v1, v2, v2] of 4
  erase map3[v1] of 4
  sweep map3, v1
  store16 v1 + 8, v2
  add_to_sum v1 + 16, v2
  add_to_pseudo_sum v1 + 16, v2
  add_to_tcp_sum v1 + 16, v2
  v12 = word_at v11 + 8
  v12 = exchange_at v11, v1, v2
  v12 = fetch_add_at v11 + 8, v1
  put_at v11, v2
  duplicate v1
  forward v2
  count map0[2], v0
  record map3[0x100000001], v0, v1, v2
  record map3[v9], v0, v1, v2
  trace map0, 0
  v12 = site 3
  v12 = entered
  v12 = recall16 6
  keep16 6, v12
  branch v7 ne 0 ? b2 : b3
b2:
  branch v5 lt v6 ? b4 : b3
b3:
  ret drop
b4:
  window v13 = 2 at v9 + 2 ? b5 : b3
b5:
  window v13 = 2 at v9 - 2 ? b6 : b3
b6:
  jump b7
b7:
  dispatch v0: 1 b8, 3 b9
b8:
  leave 5
b9:
  leave v0
b10:
  dispatch v1: 2 b7
b11:
  ret accept
)";

TEST(Text, PrintsWhatItParsed) {
  const Result<Function> function = parse(everything, "all.flow");
  ASSERT_TRUE(function.has_value()) << function.error().text();
  EXPECT_EQ(print(*function), everything);
  EXPECT_EQ(function->registers, 14U);
  EXPECT_EQ(function->name, "inet filter \"forward\"\n");
  EXPECT_EQ(function->maps.at(1).entries.size(), 2U);
  EXPECT_EQ(function->blocks.at(5).end.imm, static_cast<std::uint64_t>(-2));
}

TEST(Text, CommentsAndBlankLinesAreFree) {
  const Result<Function> function =
      parse("; top\n\nfunction \"f\" ; name\n\nb0:   ; entry\n\n  ret  accept ; done", "f");
  ASSERT_TRUE(function.has_value()) << function.error().text();
  EXPECT_EQ(print(*function), "function \"f\"\nb0:\n  ret accept\n");
}

struct Case {
  std::string_view text;
  std::string_view error;
};

class ParseErrors : public testing::TestWithParam<Case> {};

TEST_P(ParseErrors, NameThePlaceAndWhatWasExpected) {
  const Result<Function> function = parse(GetParam().text, "t");
  ASSERT_FALSE(function.has_value()) << GetParam().text;
  EXPECT_EQ(function.error().text(), GetParam().error) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Text, ParseErrors,
    testing::Values(
        Case{"", "t:1:1: found the end of the text, expected function"},
        Case{"function f", "t:1:10: found \"f\", expected a quoted string"},
        Case{"function \"f", "t:1:10: a string without its closing quote"},
        Case{"function \"\\q\"", "t:1:12: unknown escape, expected \\\", \\\\ or \\xNN"},
        Case{"function \"f\"\nb0:\n  @", "t:3:3: unexpected character 0x40"},
        Case{"function \"f\"\nb1:", "t:2:1: found \"b1\", expected b0, the next block"},
        Case{"function \"f\"\nb0:\n  ret maybe",
             "t:3:7: found \"maybe\", expected accept, drop, answered or forwarded"},
        Case{"function \"f\"\nb0:\n  jump b4\n", "t:3:8: there is no block b4"},
        Case{"function \"f\"\nb0:\n  jump v4\n", "t:3:8: found \"v4\", expected a block, as b0"},
        Case{"function \"f\"\nb0:\n  v1 = load24 v0",
             "t:3:8: found \"load24\", expected an operation or the end of the block"},
        Case{"function \"f\"\nb0:\n  v1 = const 0x10000000000000000",
             "t:3:14: found \"0x10000000000000000\", expected a number up to 18446744073709551615"},
        Case{"function \"f\"\nb0:\n  v1 = add v0 1", "t:3:15: found \"1\", expected \",\""},
        Case{"function \"f\"\nb0:\n  const 1", "t:3:3: const needs a result"},
        Case{"function \"f\"\nb0:\n  v1 = trace map0, 1", "t:3:8: trace has no result"},
        Case{"function \"f\"\nb0:\n  v1 = map_value map0",
             "t:3:18: found \"map0\", expected a declared map, as map0"},
        Case{"function \"f\"\nb0:\n  v1 = context time",
             "t:3:16: found \"time\", expected a key of the context, as mark"},
        Case{"function \"f\"\nb0:\n  branch v0 is 0 ? b0 : b0",
             "t:3:13: found \"is\", expected a condition, as eq"},
        Case{"function \"f\"\nb0:\n  v01 = const 1",
             "t:3:3: found \"v01\", expected a register, as v0"},
        Case{"function \"f\"\nb0:\n  v4294967295 = const 1",
             "t:3:3: found \"v4294967295\", expected a register, as v0"},
        Case{"function \"f\"\nmap 1 \"m\"", "t:2:5: found \"1\", expected 0, the next map"},
        Case{"function \"f\"\nmap 0 \"m\" queue",
             "t:2:11: found \"queue\", expected a map type, as hash"},
        Case{"function \"f\"\nmap 0 \"m\" hash key 4 value 4 entries 1\n  0x0 0x00",
             "t:3:3: found \"0x0\", expected bytes as hex digits"},
        Case{"function \"f\"\nrule 3 \"r\"", "t:2:6: found \"3\", expected 0, the next rule"},
        Case{"function \"f\"\nb0:\n  ret drop ret drop",
             "t:3:12: found \"ret\", expected the end of the line"}));

}  // namespace
}  // namespace weir::flow
