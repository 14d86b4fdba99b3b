// SPDX-License-Identifier: BSD-2-Clause
//
// Maps in the kernel hold what their specification says.
#include "kernel/maps.h"

#include <gmock/gmock.h>
#include <linux/bpf.h>

#include <optional>

#include "kernel/mapped.h"
#include "unit/kernel/programs.h"

namespace weir::kernel::test {
namespace {

using testing::HasSubstr;

isa::MapSpec numbers(isa::MapType type, std::uint32_t count) {
  isa::MapSpec spec{
      .name = "numbers of a set", .type = type, .value_size = 8, .max_entries = count};
  for (std::uint32_t i = 0; i < count; ++i) {
    spec.entries.push_back({native_bytes(i, 4), native_bytes(i * 10, 8)});
  }
  return spec;
}

TEST(Maps, AreFilled) {
  for (const auto type : {isa::MapType::array, isa::MapType::hash}) {
    const auto map = must(create_map(numbers(type, 1000)));
    for (const std::uint64_t i : {0, 1, 500, 999}) {
      EXPECT_EQ(load_native(must(read_element(map, native_bytes(i, 4), 8, false))), i * 10)
          << "element " << i;
    }
  }
}

TEST(Maps, FindTheLongestPrefix) {
  const auto key = [](std::uint8_t length, Bytes address) {
    Bytes bytes = {length, 0, 0, 0};
    bytes.insert(bytes.end(), address.begin(), address.end());
    return bytes;
  };
  const auto map =
      must(create_map({.name = "prefixes",
                       .type = isa::MapType::lpm_trie,
                       .key_size = 8,
                       .value_size = 1,
                       .max_entries = 2,
                       .entries = {{key(8, {10, 0, 0, 0}), {1}}, {key(16, {10, 2, 0, 0}), {2}}}}));
  EXPECT_EQ(must(read_element(map, key(32, {10, 1, 2, 3}), 1, false)), Bytes{1});
  EXPECT_EQ(must(read_element(map, key(32, {10, 2, 2, 3}), 1, false)), Bytes{2});
  EXPECT_FALSE(read_element(map, key(32, {11, 2, 2, 3}), 1, false));
}

TEST(Maps, OfEveryCpuStartAtZeroOrAtTheirEntry) {
  const auto cpus = must(possible_cpus());
  ASSERT_GE(cpus, 1u);
  auto spec = numbers(isa::MapType::percpu_array, 2);
  spec.value_size = 4;
  spec.entries = {{native_bytes(1, 4), native_bytes(77, 4)}};
  const auto map = must(create_map(spec));
  EXPECT_EQ(must(read_element(map, native_bytes(0, 4), 4, true)), Bytes(8 * cpus));
  Bytes expected;
  for (std::uint32_t i = 0; i < cpus; ++i) {
    expected.insert(expected.end(), {77, 0, 0, 0, 0, 0, 0, 0});
  }
  EXPECT_EQ(must(read_element(map, native_bytes(1, 4), 4, true)), expected);
}

TEST(Maps, AreWritten) {
  const auto map = must(create_map(numbers(isa::MapType::hash, 1)));
  ASSERT_TRUE(write_element(map, native_bytes(0, 4), native_bytes(42, 8)));
  EXPECT_EQ(load_native(must(read_element(map, native_bytes(0, 4), 8, false))), 42u);
  const auto full = write_element(map, native_bytes(9, 4), native_bytes(1, 8));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message, "writing map element 0x09000000: Argument list too long");
}

TEST(Maps, LoseElements) {
  const auto map = must(create_map(numbers(isa::MapType::hash, 3)));
  ASSERT_TRUE(delete_element(map, native_bytes(1, 4)));
  EXPECT_THAT(must(keys(map, 4)),
              testing::UnorderedElementsAre(native_bytes(0, 4), native_bytes(2, 4)));
  const auto gone = delete_element(map, native_bytes(1, 4));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().message, "deleting map element 0x01000000: No such file or directory");
}

TEST(Maps, CanBeFrozen) {
  const auto map = must(create_map(numbers(isa::MapType::hash, 1)));
  ASSERT_TRUE(freeze(map));
  const auto refused = write_element(map, native_bytes(0, 4), native_bytes(42, 8));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "writing map element 0x00000000: Operation not permitted");
  EXPECT_EQ(load_native(must(read_element(map, native_bytes(0, 4), 8, false))), 0u);
}

TEST(Maps, ThatTheKernelRefusesAreNamed) {
  const auto refused = create_map({.name = "none", .value_size = 8, .max_entries = 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "creating map none of 0 elements: Invalid argument");

  auto twice = numbers(isa::MapType::hash, 1);
  twice.entries.push_back({native_bytes(5, 4), native_bytes(5, 8)});
  const auto overfull = create_map(twice);
  ASSERT_FALSE(overfull);
  EXPECT_THAT(overfull.error().message, HasSubstr("filling map numbers of a set, element 1"));
}

isa::MapSpec one_value(std::uint32_t flags) {
  return {.name = "value",
          .type = isa::MapType::array,
          .value_size = 5000,
          .max_entries = 1,
          .flags = flags,
          .entries = std::vector<isa::MapEntry>{{native_bytes(0, 4), Bytes(5000, 7)}}};
}

TEST(MappedValues, AreTheMapsOwn) {
  const auto map = must(create_map(one_value(BPF_F_MMAPABLE)));
  auto value = must(MappedValue::create(map, 5000));
  EXPECT_EQ(Bytes(value.bytes().begin(), value.bytes().end()), Bytes(5000, 7));
  value.store(4096, 0x11223344, 4);
  value.store(8, 0x1122334455667788, 8);
  EXPECT_EQ(value.load(4096, 4), 0x11223344U);
  EXPECT_EQ(value.load(8, 8), 0x1122334455667788U);
  EXPECT_EQ(value.load(12, 4), 0x11223344U) << "on a machine that begins with the low end";
  const auto read = must(read_element(map, native_bytes(0, 4), 5000, false));
  EXPECT_EQ(read, Bytes(value.bytes().begin(), value.bytes().end()));
  ASSERT_TRUE(write_element(map, native_bytes(0, 4), Bytes(5000, 9)));
  EXPECT_EQ(value.load(4996, 4), 0x09090909U);
  for (const auto& [offset, width] : std::vector<std::pair<std::uint64_t, std::size_t>>{
           {2, 4}, {4, 8}, {5000, 4}, {4996, 8}, {0, 2}}) {
    EXPECT_THROW(value.store(offset, 0, width), InvariantError) << offset << " of " << width;
    EXPECT_THROW(static_cast<void>(value.load(offset, width)), InvariantError);
  }
}

TEST(MappedValues, StayWhenTheyMoveAndWhenTheirMapGoes) {
  std::optional<MappedValue> value;
  {
    const auto map = must(create_map(one_value(BPF_F_MMAPABLE)));
    value = must(MappedValue::create(map, 5000));
  }
  MappedValue other = std::move(*value);
  other.store(0, 5, 4);
  value = std::move(other);
  EXPECT_EQ(value->load(0, 4), 5U);
}

TEST(MappedValues, AreOfMapsThatAreMadeForIt) {
  const auto map = must(create_map(one_value(0)));
  const auto refused = MappedValue::create(map, 5000);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("mapping the value of a map into memory"));
}

}  // namespace
}  // namespace weir::kernel::test
