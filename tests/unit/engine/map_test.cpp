// SPDX-License-Identifier: BSD-2-Clause
//
// Maps against what the kernel's maps do.
#include "engine/map.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace weir::engine {
namespace {

using isa::MapType;

isa::MapSpec spec(MapType type, std::uint32_t key_size, std::uint32_t value_size,
                  std::uint32_t max_entries) {
  return {.name = "m",
          .type = type,
          .key_size = key_size,
          .value_size = value_size,
          .max_entries = max_entries,
          .flags = type == MapType::lpm_trie ? 1U : 0U};
}

std::unique_ptr<Map> make(const isa::MapSpec& map_spec) {
  auto map = Map::create(map_spec);
  EXPECT_TRUE(map) << map.error().text();
  return map ? std::move(*map) : nullptr;
}

Bytes number(std::uint64_t value, std::size_t size = 4) {
  return native_bytes(value, size);
}

// A prefix of an IPv4 address, most significant byte first.
Bytes prefix(std::uint32_t length, std::uint32_t address) {
  Bytes key = native_bytes(length, 4);
  const Bytes data = big_endian_bytes(address, 4);
  key.insert(key.end(), data.begin(), data.end());
  return key;
}

// The value for a key as a number, or -1.
std::int64_t get(Map& map, const Bytes& key) {
  const std::uint8_t* value = map.lookup(key.data());
  return value == nullptr
             ? -1
             : static_cast<std::int64_t>(load_native(ByteView(value, map.spec().value_size)));
}

TEST(Map, ArrayElementsExistFromTheStart) {
  auto map = make(spec(MapType::array, 4, 8, 3));
  EXPECT_EQ(get(*map, number(2)), 0);
  EXPECT_EQ(get(*map, number(3)), -1) << "index 3 of an array of 3";
  EXPECT_TRUE(map->update(number(2), number(77, 8)));
  EXPECT_EQ(get(*map, number(2)), 77);
  EXPECT_EQ(get(*map, number(1)), 0);
  EXPECT_FALSE(map->update(number(3), number(1, 8)));
  EXPECT_FALSE(map->remove(number(2))) << "array elements cannot be deleted";
  EXPECT_EQ(map->store(number(0).data(), number(1, 8).data(), UpdateMode::new_only), EEXIST);
  EXPECT_EQ(map->store(number(9).data(), number(1, 8).data(), UpdateMode::any), E2BIG);
}

TEST(Map, PerCpuArrayHasOneCpu) {
  auto map = make(spec(MapType::percpu_array, 4, 12, 2));
  EXPECT_TRUE(map->update(number(1), Bytes(12, 7)));
  EXPECT_EQ(map->lookup(number(1).data())[11], 7);
}

TEST(Map, HashKeepsAtMostItsEntries) {
  for (const MapType type : {MapType::hash, MapType::percpu_hash}) {
    auto map = make(spec(type, 6, 4, 2));
    const Bytes a = {1, 2, 3, 4, 5, 6};
    const Bytes b = {1, 2, 3, 4, 5, 7};
    const Bytes c = {0, 0, 0, 0, 0, 0};
    EXPECT_EQ(get(*map, a), -1);
    EXPECT_TRUE(map->update(a, number(1)));
    EXPECT_TRUE(map->update(b, number(2)));
    EXPECT_FALSE(map->update(c, number(3))) << "a third entry of two";
    EXPECT_TRUE(map->update(a, number(4))) << "replacing needs no room";
    EXPECT_EQ(get(*map, a), 4);
    EXPECT_TRUE(map->remove(a));
    EXPECT_FALSE(map->remove(a));
    EXPECT_EQ(get(*map, a), -1);
    EXPECT_TRUE(map->update(c, number(3)));
    EXPECT_EQ(get(*map, b), 2);
    EXPECT_EQ(get(*map, c), 3);
  }
}

TEST(Map, HashObeysUpdateModes) {
  auto map = make(spec(MapType::hash, 4, 4, 8));
  const Bytes key = number(1);
  EXPECT_EQ(map->store(key.data(), number(5).data(), UpdateMode::existing_only), ENOENT);
  EXPECT_EQ(map->store(key.data(), number(5).data(), UpdateMode::new_only), 0);
  EXPECT_EQ(map->store(key.data(), number(6).data(), UpdateMode::new_only), EEXIST);
  EXPECT_EQ(map->store(key.data(), number(7).data(), UpdateMode::existing_only), 0);
  EXPECT_EQ(get(*map, key), 7);
}

TEST(Map, HashValuesStayWhereTheyAre) {
  auto map = make(spec(MapType::hash, 4, 8, 5000));
  EXPECT_TRUE(map->update(number(0), number(1000, 8)));
  const std::uint8_t* first = map->lookup(number(0).data());
  for (std::uint64_t i = 1; i < 5000; ++i) EXPECT_TRUE(map->update(number(i), number(1000 + i, 8)));
  EXPECT_EQ(map->lookup(number(0).data()), first);
  for (std::uint64_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(get(*map, number(i)), static_cast<std::int64_t>(1000 + i));
  }
}

TEST(Map, TrieFindsTheLongestPrefix) {
  auto map = make(spec(MapType::lpm_trie, 8, 4, 10));
  EXPECT_TRUE(map->update(prefix(8, 0x0a000000), number(8)));
  EXPECT_TRUE(map->update(prefix(16, 0x0a010000), number(16)));
  EXPECT_TRUE(map->update(prefix(17, 0x0a018000), number(17)));
  EXPECT_TRUE(map->update(prefix(32, 0x0a010203), number(32)));
  EXPECT_EQ(get(*map, prefix(32, 0x0a010203)), 32);
  EXPECT_EQ(get(*map, prefix(32, 0x0a010204)), 16);
  EXPECT_EQ(get(*map, prefix(32, 0x0a018000)), 17);
  EXPECT_EQ(get(*map, prefix(32, 0x0a017fff)), 16);
  EXPECT_EQ(get(*map, prefix(32, 0x0aff0000)), 8);
  EXPECT_EQ(get(*map, prefix(32, 0x0b000000)), -1);
  EXPECT_EQ(get(*map, prefix(16, 0x0a018000)), 16) << "a prefix longer than the key's is no match";
  EXPECT_EQ(get(*map, prefix(33, 0x0a010203)), -1) << "a key longer than its data";
}

TEST(Map, TrieWithADefaultRoute) {
  auto map = make(spec(MapType::lpm_trie, 8, 4, 10));
  EXPECT_TRUE(map->update(prefix(0, 0xffffffff), number(1)));
  EXPECT_EQ(get(*map, prefix(32, 0x12345678)), 1);
  EXPECT_EQ(get(*map, prefix(0, 0)), 1);
}

TEST(Map, TrieEntriesAreRemovedByTheirOwnPrefix) {
  auto map = make(spec(MapType::lpm_trie, 8, 4, 2));
  EXPECT_TRUE(map->update(prefix(24, 0x0a0000ff), number(1))) << "bits behind the prefix are free";
  EXPECT_TRUE(map->update(prefix(24, 0x0a000000), number(2))) << "the same prefix again";
  EXPECT_TRUE(map->update(prefix(16, 0x0a000000), number(3)));
  EXPECT_EQ(map->store(prefix(8, 0x0a000000).data(), number(4).data(), UpdateMode::any), ENOSPC);
  EXPECT_EQ(get(*map, prefix(32, 0x0a000001)), 2);
  EXPECT_FALSE(map->remove(prefix(25, 0x0a000000)));
  EXPECT_TRUE(map->remove(prefix(24, 0x0a000000)));
  EXPECT_EQ(get(*map, prefix(32, 0x0a000001)), 3);
  EXPECT_FALSE(map->update(prefix(33, 0), number(1)));
}

TEST(Map, SpecsAreCheckedAsTheKernelDoes) {
  const auto refused = [](const isa::MapSpec& map_spec) { return !check_spec(map_spec); };
  EXPECT_FALSE(refused(spec(MapType::hash, 4, 4, 1)));
  EXPECT_TRUE(refused(spec(MapType::hash, 0, 4, 1))) << "no key";
  EXPECT_TRUE(refused(spec(MapType::hash, 4, 0, 1))) << "no value";
  EXPECT_TRUE(refused(spec(MapType::hash, 4, 4, 0))) << "no entries";
  EXPECT_TRUE(refused(spec(MapType::array, 8, 4, 1))) << "array keys have 4 bytes";
  EXPECT_TRUE(refused(spec(MapType::percpu_array, 4, (32 << 10) + 1, 1))) << "a huge CPU value";
  EXPECT_TRUE(refused(spec(MapType::lpm_trie, 4, 4, 1))) << "a trie key without data";
  isa::MapSpec trie = spec(MapType::lpm_trie, 8, 4, 1);
  EXPECT_FALSE(refused(trie));
  trie.flags = 0;
  EXPECT_TRUE(refused(trie)) << "a trie without BPF_F_NO_PREALLOC";
  isa::MapSpec array = spec(MapType::array, 4, 4, 1);
  array.flags = 1;
  EXPECT_TRUE(refused(array)) << "an array with BPF_F_NO_PREALLOC";
  isa::MapSpec named = spec(MapType::array, 4, 4, 1);
  named.name = "sixteen_letters_";
  EXPECT_TRUE(refused(named)) << "a name of 16 characters";
  named.name = "a-b";
  EXPECT_TRUE(refused(named)) << "a dash";
}

TEST(Map, EntriesOfTheSpecAreThereFromTheStart) {
  isa::MapSpec with = spec(MapType::hash, 4, 4, 2);
  with.entries = {{number(1), number(10)}, {number(2), number(20)}};
  auto map = make(with);
  EXPECT_EQ(get(*map, number(2)), 20);
  with.entries.push_back({number(3), number(30)});
  EXPECT_FALSE(Map::create(with)) << "three entries in a map of two";
  with.entries = {{number(1), number(1, 8)}};
  EXPECT_FALSE(Map::create(with)) << "a value of 8 bytes in a map of 4";
}

}  // namespace
}  // namespace weir::engine
