// SPDX-License-Identifier: BSD-2-Clause
//
// The checker: whether every path through a program keeps the rules, as the kernel's verifier
// understands them (kernel/bpf/verifier.c; the design here is weir's own). It follows each path
// with abstract values, and leaves a path where an earlier one has been through with a state that
// covers this one's. Liveness decides what counts in that comparison.
#pragma once

#include "base/error.h"
#include "engine/code.h"

namespace weir::engine {

// The kernel's limit on instructions processed over all paths.
constexpr std::uint64_t processed_limit = 1'000'000;

struct CheckStatistics {
  std::uint64_t processed = 0;  // instructions, each as often as a path came by
  std::uint64_t states = 0;     // kept for comparison
};

// Fills in Operation::access.
[[nodiscard]] Result<CheckStatistics> check_paths(Code& code);

}  // namespace weir::engine
