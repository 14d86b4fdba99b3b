// SPDX-License-Identifier: BSD-2-Clause
//
// Rows of a contest as a picture: ns a packet against the number of rules, both on logarithmic
// axes.
#pragma once

#include <span>
#include <string>

#include "bench/contest.h"

namespace weir::bench {

// An SVG document. A field for each kind of list and hook, all with the same axes, and in it a line
// for each engine. What is below 1 ns stands at 1 ns.
[[nodiscard]] std::string plot_of(std::span<const Row> rows);

}  // namespace weir::bench
