// SPDX-License-Identifier: BSD-2-Clause
//
// The counters of nft's listing beside those of weir's programs and of the evaluator.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "driver/runner.h"
#include "imr/imr.h"
#include "kernel/support/nft.h"

namespace weir::test {

struct CounterComparison {
  std::string differences;    // a line each; empty when all agree
  std::uint64_t counted = 0;  // packets, by nft
};

// What rules have counted, without initial values. An empty `by_evaluator`: it was not asked.
[[nodiscard]] CounterComparison compare_counters(
    const imr::Ruleset& ruleset, std::span<const RuleCounter> by_nft,
    std::span<const driver::CounterTotal> by_weir,
    std::span<const driver::CounterTotal> by_evaluator);

}  // namespace weir::test
