// SPDX-License-Identifier: BSD-2-Clause
//
// Installing a compiled policy, all or nothing over all its hooks, and taking it away again.
#pragma once

#include <string>
#include <vector>

#include "driver/compile.h"
#include "kernel/kernel.h"
#include "service/state.h"

namespace weir::service {

struct Request {
  const imr::Ruleset& ruleset;
  const driver::Compilation& compilation;
  std::string name;
  std::string source;       // the ruleset's text
  bool foreground = false;  // nothing is pinned: the policy lives as long as Installed does
};

// A policy in force. Of a pinned one the descriptors may go; with those of a foreground one, the
// policy goes, and release() has to be called for what is not a descriptor.
struct Installed {
  PolicyState state;
  kernel::LoadedObject loaded;
  std::vector<kernel::Fd> links;
};

// Loads every program before it attaches the first; a failure leaves nothing behind. A device that
// has no native XDP gets generic XDP, and the state says so. Needs the capabilities to load
// programs.
[[nodiscard]] Result<Installed> apply(const Request& request, const Paths& paths);

// Loads everything and attaches nothing.
[[nodiscard]] Status dry_run(const driver::Compilation& compilation);

// Ends a foreground policy.
[[nodiscard]] Status release(Installed& installed);
// Removes an installed policy; also what is left of one that lost its state file or its pins.
[[nodiscard]] Status release(const std::string& name, const Paths& paths);

}  // namespace weir::service
