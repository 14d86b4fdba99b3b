// SPDX-License-Identifier: BSD-2-Clause
#include "classify/rule_list.h"

#include <gtest/gtest.h>

#include <array>

#include "base/error.h"

namespace weir::classify {
namespace {

TEST(RuleList, KnowsPrefixes) {
  EXPECT_EQ(prefix_mask(0, 32), 0U);
  EXPECT_EQ(prefix_mask(8, 32), 0xff000000U);
  EXPECT_EQ(prefix_mask(32, 32), 0xffffffffU);
  EXPECT_EQ(prefix_mask(64, 64), ~std::uint64_t{0});
  EXPECT_EQ(common_prefix({0, 0xffff}, 16), 0U);
  EXPECT_EQ(common_prefix({80, 80}, 16), 16U);
  EXPECT_EQ(common_prefix({1024, 65535}, 16), 0U);
  EXPECT_TRUE(is_prefix({0, 1023}, 16));
  EXPECT_FALSE(is_prefix({1024, 65535}, 16));
  EXPECT_FALSE(is_prefix({1, 2}, 16));
  EXPECT_TRUE(is_prefix({0, ~std::uint64_t{0}}, 64));
}

TEST(RuleList, AnswersWithTheNextRule) {
  RuleList rules({8, 16});
  rules.add(std::array{Range{6, 6}, Range{80, 90}});
  rules.add(std::array{Range{0, 255}, Range{85, 85}});
  rules.add(std::array{Range{6, 6}, Range{0, 65535}});
  const std::array<std::uint64_t, 2> key = {6, 85};
  EXPECT_EQ(rules.next_match(key, 0), 0U);
  EXPECT_EQ(rules.next_match(key, 1), 1U);
  EXPECT_EQ(rules.next_match(key, 2), 2U);
  EXPECT_EQ(rules.next_match(key, 3), std::nullopt);
  EXPECT_EQ(rules.next_match(std::array<std::uint64_t, 2>{17, 84}, 0), std::nullopt);
}

TEST(RuleList, TakesNoRangeBeyondItsField) {
  RuleList rules({8});
  EXPECT_THROW(rules.add(std::array{Range{0, 256}}), InvariantError);
  EXPECT_THROW(rules.add(std::array{Range{2, 1}}), InvariantError);
  EXPECT_THROW(rules.add(std::array{Range{0, 1}, Range{0, 1}}), InvariantError);
}

}  // namespace
}  // namespace weir::classify
