// SPDX-License-Identifier: BSD-2-Clause
//
// What `weir check` says about each rule of a ruleset.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "driver/findings.h"
#include "imr/imr.h"

namespace weir::driver {

struct RuleReport {
  imr::RuleId rule;
  imr::Translation translation = imr::Translation::full;
  std::uint32_t statements = 0;             // as written
  std::uint32_t translated_statements = 0;  // of them, from the first on
  std::string reason;                       // why the rest stays with the kernel; empty when full
  bool taken = false;                       // its chain is one of those compiled, or is reached
  std::vector<Finding> findings;
};

struct Summary {
  std::size_t rules = 0;
  std::size_t full = 0;
  std::size_t partial = 0;
  std::size_t native = 0;
};

// All rules, chain by chain; the summary counts those of the chains that `attachments` take and of
// the chains that these reach.
struct CheckReport {
  std::vector<RuleReport> rules;
  Summary summary;
};

[[nodiscard]] CheckReport check_report(const imr::Ruleset& ruleset,
                                       const std::vector<Attachment>& attachments);
[[nodiscard]] std::string_view to_string(imr::Translation translation);
// The JSON object of the command line's contract, on one line.
[[nodiscard]] std::string to_json(const imr::Ruleset& ruleset, const CheckReport& report);

}  // namespace weir::driver
