// SPDX-License-Identifier: BSD-2-Clause
//
// A policy that waits for confirmation hangs on one process, its guard: nothing is pinned, so that
// the links go with the guard's descriptors, whatever ends it. The guard has a session of its own
// and no terminal. It ends the policy when its time is up, and when it is told so over a socket;
// told that the policy is confirmed, it publishes the pins, all at once.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.h"
#include "service/install.h"
#include "service/steps.h"
#include "service/store.h"

namespace weir::service {

// CLOCK_BOOTTIME: it goes on while the machine sleeps, and nobody sets it.
[[nodiscard]] std::int64_t boot_milliseconds();

// Forks the guard, which serves until installed.state.confirm_by and never returns from here; its
// process id, once it listens. The caller's descriptors may go then. `held` is the lock, which the
// guard lets go of.
[[nodiscard]] Result<pid_t> start_guard(Installed& installed, Staging& staging, kernel::Fd& held,
                                        const Paths& paths, const StepHook& at_step);

// Nothing when no guard answers. The id of its process.
[[nodiscard]] std::optional<pid_t> guard_of(const std::string& policy, const Paths& paths);

// Keeps a policy that waits. One that is confirmed already is an input error, as is one whose time
// was up.
[[nodiscard]] Status confirm(const std::string& policy, const Paths& paths,
                             const StepHook& at_step = {});
// Has the guard, if there is one, end its policy; whether there was one.
[[nodiscard]] Result<bool> dismiss(const std::string& policy, const Paths& paths);

}  // namespace weir::service
