// SPDX-License-Identifier: BSD-2-Clause
#include "bench/layers.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace weir::bench {
namespace {

struct Interval {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};
using Box = std::array<Interval, 5>;

Interval interval_of(const Ipv4Prefix& prefix) {
  return {prefix.address, prefix.address | ~prefix.mask()};
}

Box box_of(const ListRule& rule) {
  const Interval protocol =
      rule.protocol ? Interval{*rule.protocol, *rule.protocol} : Interval{.first = 0, .last = 255};
  return {interval_of(rule.source), interval_of(rule.destination), protocol,
          Interval{rule.source_port.first, rule.source_port.last},
          Interval{rule.destination_port.first, rule.destination_port.last}};
}

bool overlap(const Box& a, const Box& b) {
  unsigned apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    apart |= static_cast<unsigned>(a[i].first > b[i].last) |
             static_cast<unsigned>(b[i].first > a[i].last);
  }
  return apart == 0;
}

struct Layer {
  std::vector<std::size_t> rules;
  std::vector<Box> boxes;
};

}  // namespace

bool overlap(const ListRule& a, const ListRule& b) {
  return overlap(box_of(a), box_of(b));
}

std::vector<std::vector<std::size_t>> disjoint_layers(std::span<const ListRule> rules) {
  std::vector<Layer> layers;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Box box = box_of(rules[i]);
    const auto meets = [&](const Layer& layer) {
      return std::ranges::any_of(layer.boxes,
                                 [&](const Box& other) { return overlap(box, other); });
    };
    // Behind the last layer that it meets.
    std::size_t at = layers.size();
    while (at > 0 && !meets(layers[at - 1])) --at;
    if (at == layers.size()) layers.emplace_back();
    layers[at].rules.push_back(i);
    layers[at].boxes.push_back(box);
  }
  std::vector<std::vector<std::size_t>> out;
  for (Layer& layer : layers) out.push_back(std::move(layer.rules));
  return out;
}

}  // namespace weir::bench
