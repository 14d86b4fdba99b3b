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

// Which states are kept, for later paths to be compared with.
enum class Keep : std::uint8_t {
  meetings,   // those where paths meet: few instructions are processed twice
  as_kernel,  // those that the kernel's verifier keeps, so that as many are processed as there
};

// Fills in Operation::access. More than `most` instructions processed, each as often as a path came
// by, are refused; `processed` says how many there were, whatever the answer.
[[nodiscard]] Status check_paths(Code& code, std::uint64_t most, std::uint64_t& processed,
                                 Keep keep = Keep::meetings);

}  // namespace weir::engine
