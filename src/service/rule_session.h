// SPDX-License-Identifier: BSD-2-Clause
//
// A process that changes rules of an installed policy, one after another, and keeps what it knows
// of them: most of its changes are in force within milliseconds, however many rules there are. What
// cannot be done in place is done as by change_rules().
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "service/policy_files.h"
#include "service/rule.h"
#include "service/rules_in_place.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

class RuleSession {
 public:
  // Reads and compiles the policy's rules, and changes nothing.
  [[nodiscard]] static Result<RuleSession> open(const std::string& policy, const Paths& paths);

  struct Done {
    bool in_place = false;                // else by a swap of the whole
    std::optional<std::uint64_t> handle;  // of the rule that came
  };
  // In force when it returns. Errors as of change_rules(); the session goes on behind them.
  [[nodiscard]] Result<Done> change(const RuleChange& change, const StepHook& at_step = {});
  // What the last change has left to be done, while nobody waits for it; else the next one does it.
  [[nodiscard]] Status tidy_up(const StepHook& at_step = {});

 private:
  RuleSession(std::string policy, Paths paths)
      : policy_(std::move(policy)), paths_(std::move(paths)) {}
  // Whether the policy is as this process has left it. The caller holds the lock.
  [[nodiscard]] bool is_current() const;
  void note_files();
  [[nodiscard]] Status learn();
  [[nodiscard]] Result<Done> swap(const RuleChange& change, const StepHook& at_step);

  std::string policy_;
  Paths paths_;
  PolicyFiles files_;
  bool known_ = false;                 // what stands in `rules_` is of what is in force
  std::optional<RulesInPlace> rules_;  // none: nothing of it changes in place
};

}  // namespace weir::service
