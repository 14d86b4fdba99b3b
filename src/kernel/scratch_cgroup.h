// SPDX-License-Identifier: BSD-2-Clause
//
// A cgroup for a moment, in which things are tried that must not touch a real one.
#pragma once

#include <string>

#include "kernel/kernel.h"

namespace weir::kernel {

// A new cgroup of version 2, empty, whether that file system is mounted or not; gone with the
// object, unless processes are in it.
class ScratchCgroup {
 public:
  [[nodiscard]] static Result<ScratchCgroup> create(const std::string& name);
  ScratchCgroup(ScratchCgroup&&) = default;
  ScratchCgroup(const ScratchCgroup&) = delete;
  ScratchCgroup& operator=(ScratchCgroup&&) = delete;
  ScratchCgroup& operator=(const ScratchCgroup&) = delete;
  ~ScratchCgroup();

  // Good as long as this object is.
  [[nodiscard]] std::string path() const;
  // Moves the calling process into it, and back to where it was before enter(), or else the root.
  [[nodiscard]] Status enter();
  [[nodiscard]] Status leave() const;

 private:
  ScratchCgroup(Fd root, Fd directory, std::string name)
      : root_(std::move(root)), directory_(std::move(directory)), name_(std::move(name)) {}

  Fd root_;
  Fd directory_;
  Fd before_;  // where enter() found the process
  std::string name_;
};

}  // namespace weir::kernel
