// SPDX-License-Identifier: BSD-2-Clause
//
// A ruleset compiled and loaded, and what its counters have counted.
#pragma once

#include <vector>

#include "driver/compile.h"
#include "driver/runner.h"
#include "kernel/kernel.h"

namespace weir::test {

struct Programs {
  driver::Compilation compilation;
  kernel::LoadedObject loaded;

  // Of every counter of the ruleset, without its initial value; an error of the kernel is the end
  // of the test.
  [[nodiscard]] std::vector<driver::CounterTotal> counters(const imr::Ruleset& ruleset) const;
};

// At `hook`, or, without one, at the hook of each base chain.
[[nodiscard]] Result<Programs> make_programs(const imr::Ruleset& ruleset,
                                             const std::optional<Hook>& hook,
                                             const driver::Options& options);
[[nodiscard]] Result<Programs> make_programs(const imr::Ruleset& ruleset,
                                             const std::vector<driver::Attachment>& attachments,
                                             const driver::Options& options);

// The base chains in the order in which the kernel runs them at one hook: by priority, and the
// youngest one of a priority first.
[[nodiscard]] std::vector<driver::ChainName> base_chains_in_order(const imr::Ruleset& ruleset);

}  // namespace weir::test
