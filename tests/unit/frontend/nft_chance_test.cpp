// SPDX-License-Identifier: BSD-2-Clause
//
// Random numbers and hashes.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(NftChance, Numbers) {
  EXPECT_EQ(statements_of("numgen random mod 10 offset 5 7"),
            "match random mod 10 plus 5 == 0x07000000\n");
  EXPECT_EQ(statements_of("meta random < 2147483648"), "match random plus 0 < 0x80000000\n");
}

TEST(NftChance, Hashes) {
  EXPECT_EQ(statements_of("jhash ip saddr mod 4 seed 0xdeadbeef 1"),
            "match meta nfproto == 0x02\n"
            "match jhash(payload network 12 4 later-fragments, 4) seed 3735928559 mod 4 plus 0 == "
            "0x01000000\n");
}

TEST(NftChance, SeedsOfTheKernelAreNotKnown) {
  EXPECT_EQ(statements_of("jhash ip saddr mod 4 1"),
            "match meta nfproto == 0x02\n"
            "native \"[ payload load 4b @ network header + 12 => reg 2 ] [ hash reg 1 = jhash(reg "
            "2, 4, 0x0) % mod 4 ] [ cmp eq reg 1 0x00000001 ]\" because \"the kernel draws the "
            "seed of this hash itself\"\n");
}

}  // namespace
}  // namespace weir::frontend::nft::test
