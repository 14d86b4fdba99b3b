// SPDX-License-Identifier: BSD-2-Clause
//
// What limits, quotas and sequences of an installed policy hold: words of its map `meters`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernel/kernel.h"
#include "service/counters.h"
#include "service/state.h"

namespace weir::service {

// The word of each meter of the policy, by its index; none where it has no meters.
[[nodiscard]] Result<std::vector<std::uint64_t>> read_meters(const PolicyState& policy,
                                                             const Paths& paths);

// Writes into `map`, that of `next`, what the policy's meters hold where `next` has the rule as
// well. What packets use up between that and the first one that the new programs see counts for
// nothing.
[[nodiscard]] Status carry_meters(const PolicyState& policy,
                                  const std::optional<RuleName>& replaced, const PolicyState& next,
                                  const kernel::Fd& map, const Paths& paths);

// The rule's text with the bytes that its quotas have used, as nft writes them.
[[nodiscard]] std::string with_used(const std::string& rule_text,
                                    const std::vector<MeterUse>& meters,
                                    const std::vector<std::uint64_t>& words);

}  // namespace weir::service
