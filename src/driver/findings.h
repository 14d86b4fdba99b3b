// SPDX-License-Identifier: BSD-2-Clause
//
// What `weir check` finds about rules that do not do what they were written for. A finding is
// certain: no packet says otherwise, as long as named sets and maps may hold anything. Rules about
// which none is made may be of no use all the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/compile.h"
#include "imr/imr.h"

namespace weir::driver {

struct Finding {
  enum class Kind : std::uint8_t {
    never_matches,  // no packet does what it asks for, or comes to where it stands
    shadowed,       // rules before it end every packet that it matches
    redundant,      // without it every packet gets the same verdict, and nothing else changes
  };
  Kind kind = Kind::never_matches;
  imr::RuleId rule;
  std::optional<imr::RuleId> by;  // the rule that shadows it, where one does so alone
  std::string text;               // a sentence
};
[[nodiscard]] std::string_view to_string(Finding::Kind kind);

// Of the rules of the chains that the attachments take and reach, in order of the rules. It holds
// for these attachments: a chain that is also reached from elsewhere may need the rule there.
[[nodiscard]] std::vector<Finding> find_findings(const imr::Ruleset& ruleset,
                                                 const std::vector<Attachment>& attachments);

}  // namespace weir::driver
