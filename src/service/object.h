// SPDX-License-Identifier: BSD-2-Clause
//
// Putting an ELF object that weir compile made in force.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "service/install.h"
#include "service/ssh.h"

namespace weir::service {

struct ObjectRequest {
  ByteView file;
  Terms terms;
  // Where the note leaves the device or cgroup open; its kind must be that of the note.
  std::optional<Hook> hook = {};
};

// See install(). A file that weir did not make is an input error, and so is one whose rules know an
// interface by an index that it does not have here.
[[nodiscard]] Result<Installed> apply_object(const ObjectRequest& request, const Paths& paths);
// See try_out().
[[nodiscard]] Result<PolicyState> dry_run_object(const ObjectRequest& request, const Paths& paths);

// See cuts() of rulesets: what the rules do to the session that are in the file's note.
[[nodiscard]] Result<std::vector<std::string>> object_cuts(const ObjectRequest& request,
                                                           const SshSession& session,
                                                           const packet::Device& device);

}  // namespace weir::service
