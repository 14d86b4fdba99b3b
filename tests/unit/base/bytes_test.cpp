// SPDX-License-Identifier: BSD-2-Clause
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Bytes, IntegersInBothOrders) {
  EXPECT_EQ(native_bytes(0x01020304, 4), (Bytes{4, 3, 2, 1}));
  EXPECT_EQ(big_endian_bytes(0x01020304, 4), (Bytes{1, 2, 3, 4}));
  EXPECT_EQ(load_native(Bytes{4, 3, 2, 1}), 0x01020304U);
  EXPECT_EQ(load_big_endian(Bytes{1, 2, 3}), 0x010203U);
  EXPECT_THROW((void)load_native(Bytes(9)), InvariantError);
}

TEST(Bytes, HexThereAndBack) {
  EXPECT_EQ(to_hex(Bytes{0, 0xab, 0x10}), "0x00ab10");
  EXPECT_EQ(from_hex("0x00Ab10").value(), (Bytes{0, 0xab, 0x10}));
  EXPECT_EQ(from_hex("0x").value(), Bytes{});
  EXPECT_FALSE(from_hex("00ab").has_value());
  EXPECT_FALSE(from_hex("0x0").has_value());
  EXPECT_FALSE(from_hex("0xzz").has_value());
}

}  // namespace
}  // namespace weir
