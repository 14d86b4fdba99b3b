// SPDX-License-Identifier: BSD-2-Clause
//
// Maps to named counters, limits and quotas.
#include <gtest/gtest.h>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(MapsToObjects, ArePlacesInTheListOfAll) {
  const imr::Ruleset ruleset = read(R"(
table ip t {
  counter first { packets 3 bytes 4 }
  limit slow { rate 3/hour; }
  counter second { }
  map m { type ipv4_addr : counter; flags interval
    elements = { 10.0.0.0/8 : "second", 11.0.0.1 : "first", * : "first" }
  }
  chain c {
    counter name ip saddr map @m accept
    counter name "second"
  }
}
)");
  EXPECT_EQ(sets(ruleset),
            "map ip t m ipv4_addr 4 to counter 4 interval { 0x0a000000-0x0affffff : 0x01000000, "
            "0x0b000001 : 0x00000000, * : 0x00000000 }\n");
  EXPECT_EQ(statements(ruleset),
            "choose lookup(payload network 12 4 later-fragments, @m) of { counter #0 packets 3 "
            "bytes 4 name \"first\", counter #1 packets 0 bytes 0 name \"second\" }\n"
            "accept\n\ncounter #1 packets 0 bytes 0 name \"second\" of #0\n");
}

TEST(MapsToObjects, AreOfLimitsAndQuotas) {
  const imr::Ruleset ruleset = read(R"(
table ip t {
  quota little { over 5 bytes; }
  limit slow { rate 3/hour; }
  limit fast { rate 1 kbytes/second; }
  chain c {
    limit name meta mark map { 1 : "fast", 7 : "slow" }
    quota name meta mark map { 1 : "little" } drop
  }
}
)");
  const std::string all = sets(ruleset);
  EXPECT_NE(all.find("mark 4 to quota 4 anonymous { 0x01000000 : 0x00000000 }"), all.npos) << all;
  EXPECT_EQ(ruleset.sets.at(0).elements.size(), 2U);
  EXPECT_NE(ruleset.sets.at(0).elements[0].data, ruleset.sets.at(0).elements[1].data);
  const std::string rules = statements(ruleset);
  EXPECT_NE(rules.find("choose lookup(meta mark, @__objmap1) of { meter #2 over quota 5 used 0 }\n"
                       "drop\n"),
            rules.npos)
      << rules;
}

TEST(MapsToObjects, OfAnotherTableHaveOtherPlaces) {
  const imr::Ruleset ruleset = read(R"(
table ip a {
  counter one { }
}
table ip b {
  counter two { }
  counter three { }
  chain c {
    counter name meta mark map { 1 : "three" }
  }
}
)");
  const imr::Element& element = ruleset.sets.at(0).elements[0];
  const auto& choice = std::get<imr::Choice>(ruleset.rules.at(0).statements[0]);
  ASSERT_EQ(choice.counters.size(), 2U);
  const imr::CounterId counter = choice.counters[load_native(element.data)];
  EXPECT_EQ(ruleset.counters.at(counter.index()).name.str(), "three");
}

TEST(MapsToObjects, WithoutAnyAreNative) {
  const imr::Ruleset ruleset = read(
      "table ip t {\n map m { type ipv4_addr : counter; }\n"
      " chain c { counter name ip saddr map @m; }\n}\n");
  EXPECT_EQ(std::get<imr::Native>(ruleset.rules.at(0).statements[0]).reason.str(),
            "the map can hold no object that is translated");
}

}  // namespace
}  // namespace weir::frontend::nft::test
