// SPDX-License-Identifier: BSD-2-Clause
//
// The JSON of a state file without its rules: a million of them take gigabytes as a document.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "service/state.h"

namespace weir::service {

// The document, in which each rule is its index in `rules`. Throws nlohmann::json::exception for
// what is no JSON, and for rules that are none.
[[nodiscard]] nlohmann::ordered_json parse_state(std::string_view text,
                                                 std::vector<RuleState>& rules);

}  // namespace weir::service
