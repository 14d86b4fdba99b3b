// SPDX-License-Identifier: BSD-2-Clause
//
// Putting programs in force, wherever they come from: all or nothing over all their hooks, and in
// one step in the end.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernel/kernel.h"
#include "service/netns.h"
#include "service/state.h"
#include "service/steps.h"
#include "service/store.h"

namespace weir::service {

// How a policy is to be in force.
struct Terms {
  std::string name;
  bool foreground = false;    // nothing is pinned: the policy lives as long as Installed does
  bool replace = false;       // in the place of the policy of this name, if there is one
  bool lock = false;          // maps are frozen, and it is released by force only
  std::uint32_t confirm = 0;  // seconds until a guard ends it unless it is confirmed; 0: no guard
  kernel::TcMode tc_mode = kernel::TcMode::automatic;
  StepHook at_step = {};  // of tests, and who measures
};

// A policy in force. Of a pinned or guarded one the descriptors may go; with those of a foreground
// one, the policy goes, TC filters apart, for which release() has to be called.
struct Installed {
  PolicyState state;
  kernel::LoadedObject loaded;     // a program for each attachment
  std::vector<kernel::Fd> links;   // one an attachment; not valid where that is a TC filter
  std::vector<kernel::Fd> places;  // one an attachment; valid where it is forwarded
  std::optional<OwnedTable> tracking;
};

// Programs that are not loaded yet.
struct Plan {
  PolicyState state;  // without ids, and without what the terms say
  // Fills Installed::loaded, and the maps and the ids of rules in Installed::state.
  std::function<Status(Installed&)> load;
  // What can be told only of programs that are where they belong; asked before it is for good.
  std::function<Status(const PolicyState&)> check_attached;
};

// Loads every program before it attaches the first; a failure leaves nothing behind, and so does
// the end of the process at any step: until the pins are published, which is one step, links hang
// on its descriptors alone. TC filters do not, and stay. Needs the capabilities to load programs.
// With Terms::replace, a policy that is there is exchanged (exchange.h).
[[nodiscard]] Result<Installed> install(Plan plan, const Terms& terms, const Paths& paths);

// What install() would do, up to loading all programs and creating all maps; attaches nothing. The
// state has no link ids, and its programs are gone.
[[nodiscard]] Result<PolicyState> try_out(Plan plan, const Terms& terms, const Paths& paths);

// ---- Parts that others share -------------------------------------------------------------------

// Loads everything; with a lock, freezes it. Maps get names for their pins.
[[nodiscard]] Result<Installed> load(Plan plan, const Terms& terms);

// Makes a policy permanent that is attached, staged and saved as not settled.
[[nodiscard]] Status settle(Installed& installed, Staging& staging, const Paths& paths,
                            const StepHook& at_step);
// Takes everything off its hooks.
void abandon(Installed& installed);
// Removes the files of a policy that is off its hooks.
void remove_traces(const PolicyState& policy, const Paths& paths);

}  // namespace weir::service
