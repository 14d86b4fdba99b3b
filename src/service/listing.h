// SPDX-License-Identifier: BSD-2-Clause
//
// Installed policies as people see them: rules as written with live counters, and what is attached.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "service/counters.h"
#include "service/state.h"

namespace weir::service {

// A map of the policy. What is not pinned, since the policy waits for confirmation, is found by its
// number.
[[nodiscard]] Result<kernel::Fd> open_map(const PolicyState& policy, const MapState& map,
                                          const Paths& paths);

// Each counter of a rule: its initial value and what the programs have counted since.
[[nodiscard]] Result<std::vector<Count>> live_counts(const PolicyState& policy,
                                                     const RuleState& rule, const Paths& paths);

// The text of a rule with the values of its "counter" statements put in, in order; words in quotes
// are left alone.
[[nodiscard]] std::string with_counts(std::string_view rule_text, const std::vector<Count>& counts);

// The policy as nft would list it, with live counters; of its sets, those that packets change.
[[nodiscard]] Result<std::string> list_text(const PolicyState& policy, const Paths& paths);
// {"name","rules":[{"family","table","chain","handle","line","text","packets","bytes","programs",
// "maps"}]}; packets and bytes are null for rules without a counter, programs and maps are ids.
[[nodiscard]] Result<std::string> list_json(const PolicyState& policy, const Paths& paths);

// What is attached, and whether it still is.
[[nodiscard]] std::string status_text(const PolicyState& policy, const Paths& paths);
// {"name","since","namespace","locked","waiting","attachments":[{"hook","family","priority","mode",
// "chains","program","link","attached"}],"maps":[{"name","id"}],"rules":[{"family","table","chain",
// "handle","programs","maps"}]}. "attached" is null where that could not be looked at. "waiting" is
// null, or {"seconds_left","guard"}, the guard a process id, of a policy to be confirmed.
[[nodiscard]] std::string status_json(const PolicyState& policy, const Paths& paths);

}  // namespace weir::service
