// SPDX-License-Identifier: BSD-2-Clause
//
// Log statements.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(NftLog, OfTheKernel) {
  EXPECT_EQ(statements_of("log"), "log prefix \"\" level 4 flags 0\n");
  EXPECT_EQ(statements_of("log prefix \"dropped: \" level info flags all drop"),
            "log prefix \"dropped: \" level 6 flags 47\ndrop\n");
}

TEST(NftLog, OfGroups) {
  EXPECT_EQ(statements_of("log prefix \"x\" group 2 snaplen 64 queue-threshold 10"),
            "log prefix \"x\" group 2 snaplen 64 threshold 10\n");
}

TEST(NftLog, AuditStaysNative) {
  EXPECT_EQ(statements_of("log level audit"),
            "native \"[ log level 8 ]\" because \"the audit log is the kernel's own\"\n");
}

}  // namespace
}  // namespace weir::frontend::nft::test
