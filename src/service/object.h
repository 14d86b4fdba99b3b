// SPDX-License-Identifier: BSD-2-Clause
//
// Putting an ELF object that weir compile made in force.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "service/apply.h"

namespace weir::service {

struct ObjectRequest {
  ByteView file;
  std::string name;
  bool foreground = false;
  // Where the note leaves the device or cgroup open; its kind must be that of the note.
  std::optional<Hook> hook = {};
  kernel::TcMode tc_mode = kernel::TcMode::automatic;
};

// As apply() of a ruleset. A file that weir did not make is an input error, and so is one whose
// rules know an interface by an index that it does not have here.
[[nodiscard]] Result<Installed> apply_object(const ObjectRequest& request, const Paths& paths);
// Loads everything, attaches nothing.
[[nodiscard]] Result<PolicyState> dry_run_object(const ObjectRequest& request, const Paths& paths);

}  // namespace weir::service
