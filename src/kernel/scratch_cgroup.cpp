// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/scratch_cgroup.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string_view>
#include <utility>

namespace weir::kernel {
namespace {

std::string path_of(const Fd& directory) {
  return "/proc/self/fd/" + std::to_string(directory.get());
}

// "0" is the process that writes (cgroup_procs_write()).
Status move_into(const Fd& directory) {
  const Fd file(::openat(directory.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
  if (!file.valid() || ::write(file.get(), "0", 1) != 1) {
    return system_error("moving this process to another cgroup", errno);
  }
  return {};
}

// Of the calling process, below `root`. Not valid where it cannot be seen from there.
Fd open_own(const Fd& root) {
  std::ifstream file("/proc/self/cgroup");
  constexpr std::string_view prefix = "0::/";  // of the hierarchy of version 2
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(prefix)) continue;
    const std::string below = "./" + line.substr(prefix.size());
    return Fd(::openat(root.get(), below.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  return {};
}

}  // namespace

Result<ScratchCgroup> ScratchCgroup::create(const std::string& name) {
  const Fd context(::fsopen("cgroup2", FSOPEN_CLOEXEC));
  if (!context.valid() ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return system_error("opening the cgroup file system", errno);
  }
  Fd root(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  if (!root.valid()) return system_error("mounting the cgroup file system", errno);
  if (::mkdirat(root.get(), name.c_str(), 0755) != 0) {
    return system_error("making cgroup " + name, errno);
  }
  Fd directory(::openat(root.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return system_error("opening cgroup " + name, errno);
  return ScratchCgroup(std::move(root), std::move(directory), name);
}

ScratchCgroup::~ScratchCgroup() {
  if (root_.valid()) ::unlinkat(root_.get(), name_.c_str(), AT_REMOVEDIR);
}

std::string ScratchCgroup::path() const {
  return path_of(directory_);
}

Status ScratchCgroup::enter() {
  before_ = open_own(root_);
  return move_into(directory_);
}

Status ScratchCgroup::leave() const {
  if (before_.valid() && move_into(before_)) return {};
  return move_into(root_);
}

}  // namespace weir::kernel
