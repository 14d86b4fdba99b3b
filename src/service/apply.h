// SPDX-License-Identifier: BSD-2-Clause
//
// Installing a compiled policy, all or nothing over all its hooks, and taking it away again.
#pragma once

#include <string>
#include <vector>

#include "driver/compile.h"
#include "service/install.h"

namespace weir::service {

struct Request {
  const imr::Ruleset& ruleset;
  const driver::Compilation& compilation;
  std::string source;  // the ruleset's text
  Terms terms;
  std::optional<classify::Kind> classifier = {};  // that the compiler was asked for
};

// What is known of a policy before it is loaded: chains, attachments, sets that may change.
[[nodiscard]] PolicyState describe_policy(const imr::Ruleset& ruleset,
                                          const driver::Compilation& compilation,
                                          const std::string& source);

// Rules that know an interface that is not there are an input error.
[[nodiscard]] Status check_interfaces(const imr::Ruleset& ruleset);
// Loads everything, and says in the state which programs and maps there are and which rules they
// carry. `given` as in kernel::load().
[[nodiscard]] Status load_programs(const isa::Object& object, std::vector<kernel::Fd> given,
                                   Installed& installed);

// See install(). Rules that know an interface that is not there are an input error.
[[nodiscard]] Result<Installed> apply(const Request& request, const Paths& paths);
// See try_out().
[[nodiscard]] Result<PolicyState> dry_run(const Request& request, const Paths& paths);

// Ends a foreground policy.
[[nodiscard]] Status release(Installed& installed);
// Removes an installed policy; also one that waits for confirmation, and what is left of one that
// lost its state file or its pins. A locked one is an input error unless `force`.
[[nodiscard]] Status release(const std::string& name, const Paths& paths, bool force = false);

}  // namespace weir::service
