// SPDX-License-Identifier: BSD-2-Clause
//
// Elements of sets with intervals whose elements expire or keep something (imr::Dynamics::ranges).
// Which intervals there are is in the programs, and what each keeps in a map: the map has more than
// the programs lead to before an interval comes and until it is gone.
#pragma once

#include "base/error.h"
#include "service/dynamic_sets.h"
#include "service/element.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

// change_elements() of such a set, up to the lock, which the caller holds.
[[nodiscard]] Status change_ranges(const PolicyState& policy, const DynamicSetState& state,
                                   const ElementChange& change, const Paths& paths,
                                   const StepHook& at_step);

}  // namespace weir::service
