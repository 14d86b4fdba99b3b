// SPDX-License-Identifier: BSD-2-Clause
//
// The places where installed policies live: their pins, which come into being all at once, and what
// a process that was killed half way has left there.
#pragma once

#include <string>

#include "base/error.h"
#include "kernel/kernel.h"
#include "service/state.h"

namespace weir::service {

// One change at a time: of two that apply one name at once, the one that fails would clean up what
// the other installed. Held as long as the descriptor lives.
[[nodiscard]] Result<kernel::Fd> lock(const Paths& paths);
// Not valid when somebody else holds it, or when this user may not.
[[nodiscard]] kernel::Fd try_lock(const Paths& paths);

// Mounts the BPF file system where it is not. Refuses to do so in a mount namespace other than the
// machine's, with which every pin would vanish.
[[nodiscard]] Status ensure_pins(const Paths& paths);
// False also where that cannot be found out.
[[nodiscard]] bool in_own_mount_namespace();

// Pins that come into being all at once. They are made in a BPF file system that is mounted nowhere
// and dies with its descriptor, that is with the process; publish() moves the mount to its place,
// which is one system call. In a mount namespace other than the machine's such a mount would be
// lost, so there pins are made in a directory "NAME+" that publish() renames: a process that is
// killed while it makes them leaves some of them in force until the next weir cleans up.
class Staging {
 public:
  [[nodiscard]] static Result<Staging> create(const std::string& policy, const Paths& paths);
  // To pin in, before publish(). Good in this process and its children.
  [[nodiscard]] std::string directory() const;
  [[nodiscard]] Status publish(const Paths& paths);

 private:
  std::string policy_;
  kernel::Fd mount_;
  std::string plain_;  // the directory, where there is no mount
};

// Takes the links in the directory off their hooks (dropping the last reference to one does so only
// later), and removes it. Success when there is none.
[[nodiscard]] Status remove_pins(const std::string& directory);

enum class Standing : std::uint8_t {
  settled,   // pinned
  waiting,   // a guard holds it, until it is confirmed or its time is up
  leftover,  // whoever was to make or to guard it was killed; nothing of it is in force
};
[[nodiscard]] Standing standing(const PolicyState& policy, const Paths& paths);

// Whether the policy is one that can be changed where it is: input errors of those that are locked,
// that wait for confirmation or that are leftovers.
[[nodiscard]] Status check_changeable(const PolicyState& policy, const Paths& paths);

// Removes leftovers, and settles exchanges that were broken off. The caller holds the lock.
void tidy(const Paths& paths);

// Names of the policies that are not leftovers; sorted.
[[nodiscard]] std::vector<std::string> standing_names(const Paths& paths);

}  // namespace weir::service
