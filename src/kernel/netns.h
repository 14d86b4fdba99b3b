// SPDX-License-Identifier: BSD-2-Clause
//
// Network namespaces that last, and commands that run in them. One lives as long as its Netns; no
// name of it shows in the file system.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernel/kernel.h"

namespace weir::kernel {

class Netns {
 public:
  // A new one; the caller stays where it is.
  [[nodiscard]] static Result<Netns> create();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Netns(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// The calling thread is in the namespace for as long as this lives, and then back where it was.
class Inside {
 public:
  [[nodiscard]] static Result<Inside> enter(const Netns& netns);
  Inside(Inside&&) = default;
  Inside(const Inside&) = delete;
  Inside& operator=(Inside&&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside();

 private:
  explicit Inside(Fd before) : before_(std::move(before)) {}
  Fd before_;
};

// Whether the calling thread's namespace is of the initial user namespace, where user and group ids
// are those of the kernel.
[[nodiscard]] bool has_initial_users();

// Runs a command in the calling thread's namespace; its output, or its error output as an error.
[[nodiscard]] Result<std::string> run_command(const std::vector<std::string>& arguments,
                                              std::string_view input = {});

}  // namespace weir::kernel
