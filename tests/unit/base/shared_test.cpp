// SPDX-License-Identifier: BSD-2-Clause
//
// Values that are small or shared, because there are millions of them: they are what they were made
// of, and copies of them do not change together.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/shared_list.h"
#include "base/shared_text.h"
#include "base/short_bytes.h"

namespace weir {
namespace {

Bytes counted(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i);
  return out;
}

TEST(ShortBytes, AreTheBytesThatTheyWereMadeOf) {
  for (const std::size_t size : {0U, 1U, 4U, 14U, 15U, 16U, 17U, 64U, 255U}) {
    const Bytes bytes = counted(size);
    ShortBytes one = bytes;
    EXPECT_EQ(one.size(), size);
    EXPECT_EQ(one.empty(), size == 0);
    EXPECT_EQ(Bytes(one), bytes);
    ShortBytes copy = one;
    EXPECT_EQ(copy, one);
    const ShortBytes moved = std::move(copy);
    EXPECT_EQ(moved, one);
    if (size == 0) continue;
    one[size - 1] ^= 1;
    EXPECT_EQ(one.back(), static_cast<std::uint8_t>((size - 1) ^ 1));
    EXPECT_NE(one, moved) << "a copy changed with " << size << " bytes";
  }
  EXPECT_THROW((void)ShortBytes(Bytes(256)), InvariantError);
}

TEST(ShortBytes, AreAssignedOverOthers) {
  for (const std::size_t before : {0U, 3U, 15U, 16U, 40U}) {
    for (const std::size_t after : {0U, 3U, 15U, 16U, 40U}) {
      ShortBytes value = counted(before);
      const ShortBytes other = counted(after);
      value = other;
      EXPECT_EQ(value, other) << before << " then " << after;
      value = ShortBytes(counted(before));
      EXPECT_EQ(Bytes(value), counted(before)) << after << " then " << before;
    }
  }
}

TEST(ShortBytes, CompareAsMemoryDoes) {
  EXPECT_LT((ShortBytes{1, 2}), (ShortBytes{1, 3}));
  EXPECT_LT((ShortBytes{1, 2}), (ShortBytes{1, 2, 0}));
  EXPECT_GT((ShortBytes{0x80}), (ShortBytes{0x7f, 0xff}));
  EXPECT_EQ((ShortBytes{7, 8}), (Bytes{7, 8}));
}

TEST(SharedText, IsTheTextThatItWasMadeOf) {
  const SharedText text = "tcp dport 22";
  const std::vector<SharedText> copies(2, text);
  EXPECT_EQ(&copies[1].str(), &text.str());
  EXPECT_EQ(copies[1], "tcp dport 22");
  EXPECT_EQ("a '" + text + "'", "a 'tcp dport 22'");
  EXPECT_TRUE(SharedText().empty());
  EXPECT_TRUE(SharedText("").empty());
  EXPECT_EQ(SharedText().str(), "");
}

TEST(SharedList, IsSharedUntilItIsEdited) {
  SharedList<int> list = {1, 2};
  SharedList<int> copy = list;
  EXPECT_EQ(copy.identity(), list.identity());
  copy.push_back(3);
  EXPECT_NE(copy.identity(), list.identity());
  EXPECT_EQ(list, (std::vector{1, 2}));
  EXPECT_EQ(copy, (std::vector{1, 2, 3}));
  const void* own = copy.identity();
  copy.edit()[0] = 7;
  EXPECT_EQ(copy.identity(), own);
  EXPECT_EQ(copy.at(0), 7);
  EXPECT_THROW((void)copy.at(3), std::out_of_range);
}

}  // namespace
}  // namespace weir
