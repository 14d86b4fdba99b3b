// SPDX-License-Identifier: BSD-2-Clause
//
// Lists as layers of rules that do not overlap: they mean what the list means.
#include "bench/layers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "bench/traces.h"

namespace weir::bench {
namespace {

ListRule to_port(std::uint16_t first, std::uint16_t last) {
  return {.source = {},
          .destination = {},
          .source_port = {},
          .destination_port = {first, last},
          .protocol = 6};
}

TEST(Layers, OverlapIsWhatAPacketMayMatchBothOf) {
  EXPECT_TRUE(overlap(to_port(80, 90), to_port(90, 100)));
  EXPECT_FALSE(overlap(to_port(80, 89), to_port(90, 100)));
  ListRule udp = to_port(80, 90);
  udp.protocol = 17;
  EXPECT_FALSE(overlap(to_port(80, 90), udp));
  ListRule host = to_port(80, 90);
  host.source = {0x0a000001, 32};
  EXPECT_TRUE(overlap(to_port(80, 90), host));
  ListRule net = to_port(80, 90);
  net.source = {0x0a000000, 24};
  EXPECT_TRUE(overlap(host, net));
  net.source = {0x0a000100, 24};
  EXPECT_FALSE(overlap(host, net));
}

TEST(Layers, AreAsFewAsTheOrderAllows) {
  const std::vector<ListRule> rules = {to_port(80, 80),   to_port(443, 443), to_port(1, 100),
                                       to_port(400, 500), to_port(1, 1000),  to_port(5000, 6000)};
  const std::vector<std::vector<std::size_t>> expected = {{0, 1, 5}, {2, 3}, {4}};
  EXPECT_EQ(disjoint_layers(rules), expected);
  EXPECT_TRUE(disjoint_layers({}).empty());
}

TEST(Layers, FindTheFirstMatchOfTheList) {
  for (const ListKind kind : {ListKind::acl, ListKind::fw, ListKind::ipc}) {
    const std::vector<ListRule> rules = make_list(kind, 400, 5);
    const auto layers = disjoint_layers(rules);
    EXPECT_GT(layers.size(), 1U);
    std::size_t count = 0;
    for (const auto& layer : layers) {
      count += layer.size();
      for (std::size_t i = 0; i < layer.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          ASSERT_FALSE(overlap(rules[layer[i]], rules[layer[j]])) << to_nft(rules[layer[i]]) << "\n"
                                                                  << to_nft(rules[layer[j]]);
        }
      }
    }
    EXPECT_EQ(count, rules.size());
    for (const FiveTuple& packet : make_trace(rules, 500, 4)) {
      std::optional<std::size_t> found;
      for (const auto& layer : layers) {
        const auto in_layer =
            std::ranges::find_if(layer, [&](std::size_t i) { return matches(rules[i], packet); });
        if (in_layer == layer.end()) continue;
        found = *in_layer;
        break;
      }
      ASSERT_EQ(found, first_match(rules, packet));
    }
  }
}

}  // namespace
}  // namespace weir::bench
