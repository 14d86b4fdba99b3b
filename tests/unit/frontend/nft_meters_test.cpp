// SPDX-License-Identifier: BSD-2-Clause
//
// Limits, quotas and sequences, with and without names.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(NftMeters, OfRules) {
  EXPECT_EQ(statements_of("limit rate 5/second"), "meter #0 limit 5 packets each 1 burst 5\n");
  EXPECT_EQ(statements_of("limit rate over 400/minute burst 10 packets"),
            "meter #0 over limit 400 packets each 60 burst 10\n");
  EXPECT_EQ(statements_of("limit rate 1 mbytes/hour burst 3 kbytes"),
            "meter #0 limit 1048576 bytes each 3600 burst 3072\n");
  EXPECT_EQ(statements_of("quota 25 mbytes"), "meter #0 quota 26214400 used 0\n");
  EXPECT_EQ(statements_of("quota over 4 bytes used 3 bytes"), "meter #0 over quota 4 used 3\n");
}

TEST(NftMeters, GiveNumbers) {
  EXPECT_EQ(statements_of("numgen inc mod 3 offset 7 8"),
            "match numgen #0 mod 3 plus 7 == 0x08000000\n");
  EXPECT_EQ(statements_of("ip saddr . numgen inc mod 2 { 10.0.0.1 . 0 }"),
            "match meta nfproto == 0x02\n"
            "match concat(payload network 12 4 later-fragments, numgen #0 mod 2 plus 0) in "
            "@__set0\n");
}

TEST(NftMeters, OfNamesAreShared) {
  const imr::Ruleset ruleset = read(R"(
table inet t {
  limit slow { rate over 3/hour burst 2 packets; }
  limit unused { rate 1/second; }
  quota much { over 100 kbytes used 3 kbytes; }
  chain c {
    limit name "slow" drop
    tcp dport 2 limit name "slow" quota name "much"
  }
}
)");
  EXPECT_EQ(statements(ruleset),
            "meter #0 over limit 3 packets each 3600 burst 2\ndrop\n\n"
            "match meta l4proto == 0x06\nmatch payload transport 2 2 later-fragments == 0x0002\n"
            "meter #0 over limit 3 packets each 3600 burst 2\n"
            "meter #1 over quota 102400 used 3072\n");
  EXPECT_EQ(ruleset.meters.size(), 2U);
}

}  // namespace
}  // namespace weir::frontend::nft::test
