// SPDX-License-Identifier: BSD-2-Clause
//
// Packets for a list of rules, and what the list says of each, by looking at one rule after
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "bench/rule_sets.h"

namespace weir::bench {

struct FiveTuple {
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint16_t source_port = 0;  // 0 of protocols without ports
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;
  friend bool operator==(const FiveTuple&, const FiveTuple&) = default;
};

[[nodiscard]] bool matches(const ListRule& rule, const FiveTuple& packet);
// The index of the first rule that matches.
[[nodiscard]] std::optional<std::size_t> first_match(std::span<const ListRule> rules,
                                                     const FiveTuple& packet);
// Of each packet: whether it is accepted, by its first match or as one of the rest.
[[nodiscard]] std::vector<bool> accepted_by(const List& list, std::span<const FiveTuple> trace);

struct TraceOptions {
  // How unevenly rules are hit: of `rules` rules, rule n of a random order is drawn by a weight of
  // 1 / n^skew. 0: all alike.
  double skew = 0;
  // Percent of packets that are drawn from all there are, and hardly match.
  unsigned strangers = 5;
};
// Each packet from the inside of a rule, which an earlier one may take from it.
[[nodiscard]] std::vector<FiveTuple> make_trace(std::span<const ListRule> rules,
                                                std::size_t packets, std::uint64_t seed,
                                                const TraceOptions& options = {});

// An IPv4 packet from its header on, checksums right.
[[nodiscard]] Bytes to_packet(const FiveTuple& packet);

}  // namespace weir::bench
