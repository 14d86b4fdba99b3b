// SPDX-License-Identifier: BSD-2-Clause
//
// The rules of an installed policy, compiled as a whole: as they are, and with a change, which then
// takes their place. What weir rule and a running process of it (rule_session.h) share.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "driver/compile.h"
#include "imr/imr.h"
#include "kernel/kernel.h"
#include "service/counters.h"
#include "service/rule.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

// "insert rule inet filter input tcp dport 22 accept"
[[nodiscard]] std::string command_of(const RuleChange& change);

// The policy, after whatever was broken off in it has been brought to an end. Input errors of those
// that do not change. The caller holds the lock.
[[nodiscard]] Result<PolicyState> load_changeable(const std::string& name, const Paths& paths);

struct CompiledRules {
  imr::Ruleset ruleset;  // rules that the policy has count where they do there
  std::vector<driver::Attachment> attachments;
  CounterPlan counters;
  driver::Compilation compilation;
};
// As the policy's rules are now.
[[nodiscard]] Result<CompiledRules> compile_rules(const PolicyState& policy);

struct SwappedRules {
  PolicyState policy;  // as it is in force now
  CompiledRules rules;
  std::optional<std::uint64_t> handle;  // of the rule that came
};
// Compiles the policy's rules with the change and puts them in the place of those in force. The
// caller holds the lock.
[[nodiscard]] Result<SwappedRules> swap_rules(const PolicyState& policy, const RuleChange& change,
                                              const Paths& paths, const StepHook& at_step);

// Writes to the maps of what is to come, which may be those of what is in force.
using FillMaps =
    std::function<Status(const PolicyState& next, const std::vector<kernel::Fd>& maps)>;
// The same of other elements (PolicyState::elements), for sets whose elements are in the programs.
[[nodiscard]] Result<PolicyState> swap_elements(const PolicyState& policy,
                                                std::vector<ElementsState> elements,
                                                const FillMaps& fill, const Paths& paths,
                                                const StepHook& at_step);

}  // namespace weir::service
