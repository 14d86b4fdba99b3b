// SPDX-License-Identifier: BSD-2-Clause
//
// Whether what is known of an installed policy is still what its files say, without reading them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "service/state.h"

namespace weir::service {

// Which file it is, and that nobody has written to it.
struct FileState {
  std::array<std::uint64_t, 5> facts = {};  // none of a file that is not there
  friend bool operator==(const FileState&, const FileState&) = default;
};
[[nodiscard]] FileState look_at(const std::string& file);

// The same of the files that load_policy() reads.
struct PolicyFiles {
  FileState state;
  FileState journal;
  friend bool operator==(const PolicyFiles&, const PolicyFiles&) = default;
};
[[nodiscard]] PolicyFiles look_at(const std::string& policy, const Paths& paths);

}  // namespace weir::service
