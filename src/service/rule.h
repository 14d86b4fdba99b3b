// SPDX-License-Identifier: BSD-2-Clause
//
// Rules of an installed policy, changed by nft's own commands: nft judges them, the changed ruleset
// is compiled as a whole, and its programs take the place of the old ones, for every packet at
// once.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "driver/compile.h"
#include "imr/imr.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

struct RuleChange {
  enum class Kind : std::uint8_t { add, insert, remove, replace };
  Kind kind = Kind::add;
  std::string words;  // as nft takes them behind "rule": "inet filter input tcp dport 22 accept"
  // Told of the new rules before they are in force.
  std::function<void(const imr::Ruleset&, const driver::Compilation&)> foresee = {};
};

// One command, and nothing behind it that would be another one.
[[nodiscard]] Status check_rule_words(std::string_view words);

// Rules that stay keep what they have counted, and the rules have the handles that nft would give
// them. Input errors of nft, policies from objects, and those that are locked or wait for
// confirmation are refused, and nothing has changed then.
[[nodiscard]] Status change_rules(const std::string& policy, const RuleChange& change,
                                  const Paths& paths, const StepHook& at_step = {});

}  // namespace weir::service
