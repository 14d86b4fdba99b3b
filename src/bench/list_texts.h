// SPDX-License-Identifier: BSD-2-Clause
//
// A list of rules in the words of those who are to carry it out. A policy decides of packets that
// no rule matches (accepts_the_rest()).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/rule_sets.h"

namespace weir::bench {

// Where a chain of nf_tables stands: "netdev" and "hook ingress device wire1 priority 0".
struct ChainPlace {
  std::string_view family;
  std::string_view hook;
};
// A rule each.
[[nodiscard]] std::string nft_text(const List& list, const ChainPlace& place);
// No rules at all.
[[nodiscard]] std::string nft_floor_text(const ChainPlace& place, bool accept);

// The same rules as verdict maps over concatenations of intervals, as few as the order of the rules
// allows (bench/layers.h): one row of them for packets with ports, one for others. That is the same
// for all packets whose transport header is there: a fragment has ports here, or none, as the
// kernel happens to read them.
struct SetsText {
  std::string text;
  std::size_t maps = 0;
  std::vector<std::string> insertions;  // commands that add an element each; none where all overlap
};
[[nodiscard]] SetsText nft_sets_text(const List& list, const ChainPlace& place);

// A command that puts one rule in front of those of nft_text().
[[nodiscard]] std::string nft_insertion(const ChainPlace& place);

// For iptables-restore: chain PREROUTING of table raw.
[[nodiscard]] std::string iptables_text(const List& list);
[[nodiscard]] std::string iptables_floor_text(bool accept);

}  // namespace weir::bench
