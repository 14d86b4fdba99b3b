// SPDX-License-Identifier: BSD-2-Clause
//
// A warning, of verbs that put rules in force, that these drop the SSH session that the verb runs
// in.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "service/ssh.h"

namespace weir::cli {

// What the rules do to a session: service::cuts().
using Cuts = std::function<std::vector<std::string>(const service::SshSession& session,
                                                    const packet::Device& device)>;

// On standard error. `advice` stands behind it, where there is any.
void warn_of_cut(const Cuts& cuts, std::string_view advice);

}  // namespace weir::cli
