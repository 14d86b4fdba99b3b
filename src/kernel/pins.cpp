// SPDX-License-Identifier: BSD-2-Clause
//
// Objects in the BPF file system, and by their numbers.
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <utility>

#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

bool is_bpffs(const char* path) {
  struct statfs info{};
  return ::statfs(path, &info) == 0 && static_cast<std::uint32_t>(info.f_type) == BPF_FS_MAGIC;
}

}  // namespace

Status ensure_bpffs() {
  if (is_bpffs(bpffs_path)) return {};
  if (::mount("bpf", bpffs_path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
    return system_error(std::string("mounting the BPF file system at ") + bpffs_path, errno);
  }
  return {};
}

Status pin(const Fd& object, const std::string& path) {
  ObjectAttr attr{.pathname = user_pointer(path.c_str()),
                  .bpf_fd = static_cast<std::uint32_t>(object.get())};
  const int result = bpf(Command::obj_pin, attr);
  if (result < 0) return system_error("pinning at " + path, -result);
  return {};
}

Result<Fd> open_pinned(const std::string& path) {
  ObjectAttr attr{.pathname = user_pointer(path.c_str())};
  Fd object(bpf(Command::obj_get, attr));
  if (!object.valid()) return system_error("opening the BPF object at " + path, -object.get());
  return object;
}

Result<Fd> open_by_id(ObjectKind kind, std::uint32_t id) {
  const auto [command, word] = [&]() -> std::pair<Command, const char*> {
    switch (kind) {
      case ObjectKind::program:
        return {Command::prog_fd_by_id, "program"};
      case ObjectKind::map:
        return {Command::map_fd_by_id, "map"};
      case ObjectKind::link:
        return {Command::link_fd_by_id, "link"};
    }
    throw InvariantError("kind of BPF object out of range");
  }();
  FdByIdAttr attr{.id = id};
  Fd object(bpf(command, attr));
  if (object.valid()) return object;
  return system_error("opening BPF " + std::string(word) + " " + std::to_string(id), -object.get());
}

}  // namespace weir::kernel
