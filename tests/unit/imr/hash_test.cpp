// SPDX-License-Identifier: BSD-2-Clause
//
// Hashes that another program, written after include/linux/jhash.h, came to.
#include "imr/hash.h"

#include <gtest/gtest.h>

#include <string_view>

namespace weir::imr {
namespace {

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

TEST(Jhash, OfAnyLength) {
  EXPECT_EQ(jhash(Bytes{10, 0, 0, 1}, 0), 0x2fa5f781U);
  EXPECT_EQ(jhash(Bytes{10, 0, 0, 1}, 0xdeadbeef), 0x52e26e5dU);
  EXPECT_EQ(jhash(bytes_of("ab"), 7), 0x9a22d238U);
  EXPECT_EQ(jhash(bytes_of("abcdefghijkl"), 1), 0xa0c525beU);
  EXPECT_EQ(jhash(bytes_of("abcdefghijklm"), 1), 0x8675b9c8U);
  Bytes many;
  for (std::uint8_t i = 0; i < 32; ++i) many.push_back(i);
  EXPECT_EQ(jhash(many, 5), 0xba93e901U);
}

TEST(Scaled, IsBelowTheModulus) {
  EXPECT_EQ(scaled(0xffffffff, 10), 9U);
  EXPECT_EQ(scaled(0, 10), 0U);
  EXPECT_EQ(scaled(0x80000000, 10), 5U);
  EXPECT_EQ(scaled(0x7fffffff, 10), 4U);
}

}  // namespace
}  // namespace weir::imr
