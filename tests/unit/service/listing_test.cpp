// SPDX-License-Identifier: BSD-2-Clause
//
// Live counters put into the text of a rule.
#include "service/listing.h"

#include <gtest/gtest.h>

namespace weir::service {
namespace {

struct Case {
  const char* text;
  std::vector<Count> counts;
  const char* expected;
};

TEST(WithCounts, ReplacesTheValuesOfCounters) {
  const std::vector<Case> cases = {
      {"tcp dport 22 accept", {}, "tcp dport 22 accept"},
      {"counter packets 0 bytes 0 drop", {{3, 180}}, "counter packets 3 bytes 180 drop"},
      {"counter drop", {{3, 180}}, "counter packets 3 bytes 180 drop"},
      {"counter", {{1, 2}}, "counter packets 1 bytes 2"},
      {"counter packets 1 bytes 1 tcp dport 22 counter packets 0 bytes 0",
       {{5, 6}, {7, 8}},
       "counter packets 5 bytes 6 tcp dport 22 counter packets 7 bytes 8"},
      {"counter packets 0 bytes 0 comment \"a counter packets 0 bytes 0\"",
       {{9, 9}},
       "counter packets 9 bytes 9 comment \"a counter packets 0 bytes 0\""},
      {"drop comment \"no end", {}, "drop comment \"no end"},
      {"add @a { ip saddr counter } update @b { ip daddr counter } counter packets 0 bytes 0",
       {{9, 9}},
       "add @a { ip saddr counter } update @b { ip daddr counter } counter packets 9 bytes 9"},
      {"update @b { ip daddr counter }", {}, "update @b { ip daddr counter }"},
      {"counter name \"a\" counter packets 0 bytes 0",
       {{5, 6}, {7, 8}},
       "counter name \"a\" counter packets 7 bytes 8"},
      {"counter name tcp dport map { 80 : \"a\", 81 : \"b\" } counter packets 0 bytes 0",
       {{7, 8}, {1, 1}, {2, 2}},
       "counter name tcp dport map { 80 : \"a\", 81 : \"b\" } counter packets 7 bytes 8"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(with_counts(each.text, each.counts), each.expected) << each.text;
  }
}

}  // namespace
}  // namespace weir::service
