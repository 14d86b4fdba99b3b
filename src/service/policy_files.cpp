// SPDX-License-Identifier: BSD-2-Clause
#include "service/policy_files.h"

#include <sys/stat.h>

namespace weir::service {

FileState look_at(const std::string& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {.facts = {info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
                    static_cast<std::uint64_t>(info.st_mtim.tv_sec),
                    static_cast<std::uint64_t>(info.st_mtim.tv_nsec)}};
}

PolicyFiles look_at(const std::string& policy, const Paths& paths) {
  return {.state = look_at(paths.state_file(policy)), .journal = look_at(paths.journal(policy))};
}

}  // namespace weir::service
