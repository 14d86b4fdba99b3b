// SPDX-License-Identifier: BSD-2-Clause
#include "cli/session.h"

#include <fmt/core.h>

#include <cstdlib>

#include "cli/common.h"

namespace weir::cli {

// A guess from outside of the rules: SSH_CONNECTION of another machine's session, or a broken one,
// is no reason not to go on.
void warn_of_cut(const Cuts& cuts, std::string_view advice) {
  const char* const text = std::getenv("SSH_CONNECTION");
  if (text == nullptr) return;
  const auto session = service::parse_ssh_connection(text);
  if (!session) return;
  const auto device = service::session_device(*session);
  if (!device) return;
  const std::vector<std::string> found = cuts(*session, *device);
  if (found.empty()) return;
  fmt::print(stderr, "{} these rules drop packets of the SSH session that this runs in ({})\n",
             painted("weir: warning:", Colour::yellow, stderr), text);
  for (const std::string& cut : found) fmt::print(stderr, "  {}\n", cut);
  if (!advice.empty()) fmt::print(stderr, "  {}\n", advice);
}

}  // namespace weir::cli
