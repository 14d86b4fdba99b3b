// SPDX-License-Identifier: BSD-2-Clause
#include "service/store.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "service/attach.h"
#include "service/exchange.h"
#include "service/guard.h"
#include "service/netns.h"

namespace weir::service {
namespace {

namespace fs = std::filesystem;

std::string lock_file(const Paths& paths) {
  return paths.state + "/lock";
}

// A BPF file system with a superblock of its own, mounted nowhere.
Result<kernel::Fd> make_mount() {
  const kernel::Fd context(::fsopen("bpf", FSOPEN_CLOEXEC));
  if (!context.valid()) return system_error("opening a BPF file system", errno);
  if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", "weir", 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", "0700", 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return system_error("making a BPF file system", errno);
  }
  kernel::Fd mount(
      ::fsmount(context.get(), FSMOUNT_CLOEXEC,
                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RELATIME));
  if (!mount.valid()) return system_error("making a mount of a BPF file system", errno);
  return mount;
}

Status make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return system_error("creating " + path, error.value());
  return {};
}

void remove_leftover(const PolicyState& policy, const Paths& paths) {
  detach_filters(policy);
  if (policy.keeps_connections) {
    [[maybe_unused]] const Status dropped = drop_connections(policy.name, policy.namespace_id);
  }
  std::error_code error;
  fs::remove(paths.guard_socket(policy.name), error);
  fs::remove(paths.pins(policy.name), error);
  fs::remove(paths.journal(policy.name), error);
  fs::remove(paths.state_file(policy.name), error);
}

}  // namespace

Result<kernel::Fd> lock(const Paths& paths) {
  WEIR_CHECK(make_directory(paths.state));
  kernel::Fd held(::open(lock_file(paths).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!held.valid() || ::flock(held.get(), LOCK_EX) != 0) {
    return system_error("locking " + lock_file(paths), errno);
  }
  return held;
}

kernel::Fd try_lock(const Paths& paths) {
  kernel::Fd held(::open(lock_file(paths).c_str(), O_RDWR | O_CLOEXEC));
  if (held.valid() && ::flock(held.get(), LOCK_EX | LOCK_NB) != 0) held.reset();
  return held;
}

bool in_own_mount_namespace() {
  std::error_code error;
  const fs::path init = fs::read_symlink("/proc/1/ns/mnt", error);
  const fs::path own = fs::read_symlink("/proc/self/ns/mnt", error);
  return !init.empty() && !own.empty() && init != own;
}

Status ensure_pins(const Paths& paths) {
  if (paths.bpffs != kernel::bpffs_path) return {};
  struct statfs info{};
  const bool mounted = ::statfs(kernel::bpffs_path, &info) == 0 &&
                       static_cast<std::uint32_t>(info.f_type) == BPF_FS_MAGIC;
  if (mounted) return {};
  if (in_own_mount_namespace()) {
    auto refused = system_error(
        "the BPF file system is not mounted in this mount namespace, which is not the machine's "
        "own: what is pinned here would not stay");
    refused.error().notes.emplace_back(
        "`ip netns exec` makes such a namespace; use nsenter --net=/run/netns/NAME instead");
    return refused;
  }
  return kernel::ensure_bpffs();
}

Result<Staging> Staging::create(const std::string& policy, const Paths& paths) {
  Staging staging;
  staging.policy_ = policy;
  if (in_own_mount_namespace()) {
    staging.plain_ = paths.pins(policy) + "+";
    WEIR_CHECK(make_directory(staging.plain_));
    return staging;
  }
  WEIR_TRY(mount, make_mount());
  staging.mount_ = std::move(mount);
  return staging;
}

std::string Staging::directory() const {
  if (!plain_.empty()) return plain_;
  return "/proc/self/fd/" + std::to_string(mount_.get());
}

Status Staging::publish(const Paths& paths) {
  const std::string place = paths.pins(policy_);
  if (!plain_.empty()) {
    if (::rename(plain_.c_str(), place.c_str()) == 0) return {};
    return system_error("renaming " + plain_ + " to " + place, errno);
  }
  WEIR_CHECK(make_directory(place));
  if (::move_mount(mount_.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return system_error("mounting the pins at " + place, errno);
  }
  return {};
}

Status remove_pins(const std::string& directory) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (!entry.path().filename().string().starts_with("link_")) continue;
    // A link whose device is gone is detached already, and says so by an error.
    if (const auto link = kernel::open_pinned(entry.path().string())) {
      [[maybe_unused]] const Status detached = kernel::detach(*link);
    }
  }
  // Copies of the mount in other mount namespaces must not keep the pins.
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    fs::remove(entry.path(), error);
  }
  if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
      errno != ENOENT) {
    return system_error("taking the mount off " + directory, errno);
  }
  fs::remove_all(directory, error);
  if (error || fs::exists(directory, error)) {
    return system_error("removing " + directory, error ? error.value() : EPERM);
  }
  return {};
}

Standing standing(const PolicyState& policy, const Paths& paths) {
  if (policy.settled) return Standing::settled;
  std::error_code error;
  if (fs::exists(paths.pins(policy.name) + "/program_0", error)) return Standing::settled;
  // Guards talk to their own user only; to others the clock has to do.
  const bool guarded = ::geteuid() == 0 ? guard_of(policy.name, paths).has_value()
                                        : policy.confirm_by > boot_milliseconds();
  return guarded ? Standing::waiting : Standing::leftover;
}

Status check_changeable(const PolicyState& policy, const Paths& paths) {
  if (policy.locked) {
    return input_error("policy '" + policy.name +
                       "' is locked: its maps are frozen, and no force changes them; release it "
                       "and apply it anew");
  }
  switch (standing(policy, paths)) {
    case Standing::settled:
      return {};
    case Standing::waiting:
      return input_error("policy '" + policy.name + "' waits for confirmation: confirm it first");
    case Standing::leftover:
      return input_error("policy '" + policy.name + "' is no more");
  }
  throw InvariantError("standing out of range");
}

void tidy(const Paths& paths) {
  for (const std::string& name : policy_names(paths)) {
    auto policy = load_policy(name, paths);
    if (!policy) continue;
    if (standing(*policy, paths) == Standing::leftover) {
      remove_leftover(*policy, paths);
    } else {
      // Where that fails, one side or the other is in force all the same, and status tells.
      [[maybe_unused]] const Status settled = settle_exchange(*policy, paths);
    }
  }
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(paths.pins(), error)) {
    if (!entry.path().string().ends_with('+')) continue;
    [[maybe_unused]] const Status removed = remove_pins(entry.path().string());
  }
}

std::vector<std::string> standing_names(const Paths& paths) {
  std::vector<std::string> out;
  for (const std::string& name : policy_names(paths)) {
    const auto policy = load_policy(name, paths);
    if (policy && standing(*policy, paths) == Standing::leftover) continue;
    out.push_back(name);
  }
  return out;
}

}  // namespace weir::service
