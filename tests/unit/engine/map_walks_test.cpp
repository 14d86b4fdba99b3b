// SPDX-License-Identifier: BSD-2-Clause
//
// bpf_for_each_map_elem(): a function of the program, called with each entry of a map.
#include "engine/map.h"
#include "unit/engine/rules.h"

namespace weir::engine {
namespace {

#define WALK(callback)                                                               \
  "*(u64 *)(r10 - 8) = 0\n r1 = map[hash]\n r2 = function f\n r3 = r10\n r3 += -8\n" \
  "r4 = 0\n call for_each_map_elem\n r0 = *(u64 *)(r10 - 8)\n exit\nf:\n" callback

class MapWalks : public testing::TestWithParam<Case> {};

TEST_P(MapWalks, KeepTheRules) {
  expect_verdict(GetParam());
}

const Case rows[] = {
    {"a callback that reads all it gets", WALK("r0 = *(u32 *)(r2 + 0)\n r0 = *(u64 *)(r3 + 8)\n r0 "
                                               "= *(u64 *)(r4 + 0)\n r0 = 0\n exit\n")},
    {"a callback that writes the value", WALK("*(u64 *)(r3 + 8) = 1\n r0 = 0\n exit\n")},
    {"a callback that deletes the entry", WALK("call map_delete_elem\n r0 = 0\n exit\n")},
    {"a callback that writes the key", WALK("*(u32 *)(r2 + 0) = 1\n r0 = 0\n exit\n"),
     "which is read-only"},
    {"beyond the key", WALK("r0 = *(u64 *)(r2 + 0)\n r0 = 0\n exit\n"), "which has 4 bytes"},
    {"beyond the value", WALK("r0 = *(u64 *)(r3 + 16)\n r0 = 0\n exit\n"), "which has 16 bytes"},
    {"a callback gets four arguments", WALK("r0 = r5\n exit\n"), "reads r5, which was not written"},
    {"a callback that returns any number", WALK("r0 = *(u64 *)(r3 + 0)\n exit\n"),
     "expected 0 or 1"},
    {"a walk over what is no map",
     "r1 = 1\n r2 = function f\n r3 = 0\n r4 = 0\n call for_each_map_elem\n r0 = 0\n exit\n"
     "f:\n r0 = 0\n exit\n",
     "expected a map"},
};
INSTANTIATE_TEST_SUITE_P(All, MapWalks, testing::ValuesIn(rows));

// What the program returns for these keys, whose values are {10 * key, 0}.
std::uint64_t run(std::string_view text, std::initializer_list<std::uint32_t> keys,
                  std::size_t left) {
  auto engine = Engine::load(object_of(xdp, text));
  EXPECT_TRUE(engine) << engine.error().text();
  if (!engine) return 0xdead;
  Map& map = engine->map(isa::MapIndex(std::size_t{0}));
  for (const std::uint32_t key : keys) {
    Bytes value = native_bytes(10 * key, 8);
    value.resize(16);
    EXPECT_TRUE(map.update(native_bytes(key, 4), value));
  }
  const Bytes frame(60);
  const std::uint64_t result = engine->run(0, {.bytes = frame});
  std::size_t found = 0;
  for (std::uint32_t place = 0; place < map.places(); ++place)
    found += map.at(place).key != nullptr;
  EXPECT_EQ(found, left) << "entries are left";
  return result;
}

TEST(MapWalksRun, MeetEachEntryOnce) {
  const char* sum = WALK(
      "r1 = *(u64 *)(r3 + 0)\n r5 = *(u64 *)(r4 + 0)\n r5 += r1\n *(u64 *)(r4 + 0) = r5\n"
      "r0 = 0\n exit\n");
  EXPECT_EQ(run(sum, {1, 2, 5}, 3), 80U);
  EXPECT_EQ(run(sum, {}, 0), 0U);
}

TEST(MapWalksRun, DeleteWhatTheyAreAt) {
  EXPECT_EQ(run(WALK("r5 = *(u64 *)(r3 + 0)\n if r5 > 30 goto out\n call map_delete_elem\n"
                     "out:\n r0 = 0\n exit\n"),
                {1, 2, 3, 4, 5}, 2),
            0U);
}

TEST(MapWalksRun, EndWhenTheCallbackSaysSo) {
  EXPECT_EQ(run(WALK("r5 = *(u64 *)(r4 + 0)\n r5 += 1\n *(u64 *)(r4 + 0) = r5\n r0 = 1\n exit\n"),
                {1, 2, 3}, 3),
            1U);
}

}  // namespace
}  // namespace weir::engine
