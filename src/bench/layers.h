// SPDX-License-Identifier: BSD-2-Clause
//
// A list of rules as few lists of which each holds no two rules that a packet could match: what
// nf_tables can look up in sets with intervals, one after another.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "bench/rule_sets.h"

namespace weir::bench {

// Whether some packet matches both.
[[nodiscard]] bool overlap(const ListRule& a, const ListRule& b);

// Indices of rules. A rule is in a later layer than every earlier rule that it overlaps, so that
// the first layer with a match holds the first match of the list; as few layers as that takes.
[[nodiscard]] std::vector<std::vector<std::size_t>> disjoint_layers(
    std::span<const ListRule> rules);

}  // namespace weir::bench
