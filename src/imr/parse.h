// SPDX-License-Identifier: BSD-2-Clause
//
// The text form of the IMR read back; docs/imr.md has the grammar. What comes out keeps every rule
// of verify.h. Errors are input errors with line and column, what was found and what was expected.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "imr/imr.h"

namespace weir::imr {

// `file` names the text in errors.
[[nodiscard]] Result<Ruleset> parse_ruleset(std::string_view text, const std::string& file);
[[nodiscard]] Result<Unit> parse_unit(std::string_view text, const std::string& file);

}  // namespace weir::imr
