// SPDX-License-Identifier: BSD-2-Clause
//
// The programs of a policy in force, exchanged for others at the same places. Before anything
// changes, each place gets a program that goes on in the old one or in the new one, as one word
// says that all of them read: the word is the change, for every hook at once, and every packet sees
// one side at each hook. It also tells what became of an exchange that was broken off.
#pragma once

#include "base/error.h"
#include "service/install.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

// Puts the planned programs in the place of those of `policy`, which is settled, and not locked;
// the caller holds the lock. Programs for other places are an input error. Whatever fails before
// the word has changed leaves the policy as it was. What is in force now.
[[nodiscard]] Result<PolicyState> exchange(PolicyState policy, Plan plan, const Paths& paths,
                                           const StepHook& at_step);

// Brings an exchange that was broken off to its end, or takes it back: whatever is in force stays
// so. The caller holds the lock.
[[nodiscard]] Status settle_exchange(PolicyState& policy, const Paths& paths,
                                     const StepHook& at_step = {});
// For those who may not: which side of an exchange is in force.
void view_exchange(PolicyState& policy, const Paths& paths);

}  // namespace weir::service
