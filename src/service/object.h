// SPDX-License-Identifier: BSD-2-Clause
//
// Policies in ELF objects: the note that a file carries, so that whoever applies it can list the
// rules as they were written, and putting such a file in force.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "driver/compile.h"
#include "service/apply.h"

namespace weir::service {

// `program_names` are those of the file's symbols, one a program.
[[nodiscard]] std::string object_note(const imr::Ruleset& ruleset,
                                      const driver::Compilation& compilation,
                                      const std::vector<std::string>& program_names,
                                      const std::string& source);

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
