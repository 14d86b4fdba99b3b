// SPDX-License-Identifier: BSD-2-Clause
//
// Rules of an installed policy, changed by nft's own commands: nft judges them, the changed ruleset
// is compiled as a whole, and its programs take the place of the old ones, for every packet at
// once. What changes many rules, one after another, had better be one process: rule_session.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "driver/compile.h"
#include "imr/edit.h"
#include "imr/imr.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

// Told of rules before they are in force, and, where that is known, what alone differs in them from
// those that are.
using Foresee = std::function<void(const imr::Ruleset&, const std::vector<driver::Attachment>&,
                                   const imr::RuleEdit*)>;

struct RuleChange {
  enum class Kind : std::uint8_t { add, insert, remove, replace };
  Kind kind = Kind::add;
  std::string words;  // as nft takes them behind "rule": "inet filter input tcp dport 22 accept"
  Foresee foresee = {};
};

// One command, and nothing behind it that would be another one.
[[nodiscard]] Status check_rule_words(std::string_view words);

// Rules that stay keep what they have counted, and the rules have the handles that nft would give
// them. Input errors of nft, policies from objects, and those that are locked or wait for
// confirmation are refused, and nothing has changed then.
[[nodiscard]] Status change_rules(const std::string& policy, const RuleChange& change,
                                  const Paths& paths, const StepHook& at_step = {});

}  // namespace weir::service
