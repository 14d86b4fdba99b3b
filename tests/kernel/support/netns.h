// SPDX-License-Identifier: BSD-2-Clause
//
// Network namespaces for tests. One lives as long as its Netns; no name of it shows in the file
// system, and the machine's own namespace is never configured.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernel/kernel.h"

namespace weir::test {

// A failure of the test's own machinery; tests do not go on from it.
[[noreturn]] void give_up(const std::string& what, int error_number = 0);
// The value, or give_up() with the error's text.
template <typename T>
T expect(Result<T> result) {
  if (!result) give_up(result.error().text());
  return std::move(*result);
}
inline void expect(const Status& status) {
  if (!status) give_up(status.error().text());
}

class Netns {
 public:
  [[nodiscard]] static Netns create();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Netns(kernel::Fd fd) : fd_(std::move(fd)) {}
  kernel::Fd fd_;
};

// The calling thread is in the namespace for as long as this lives, and then back where it was.
class Inside {
 public:
  explicit Inside(const Netns& netns);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  kernel::Fd before_;
};

// Runs a command in the calling thread's namespace; its output, or its error output as an error.
[[nodiscard]] Result<std::string> run_command(const std::vector<std::string>& arguments,
                                              std::string_view input = {});
// Writes /proc/sys/net/`name` of the calling thread's namespace. False when there is none such.
bool set_sysctl(const std::string& name, std::string_view value);
// The interface's index in the calling thread's namespace.
[[nodiscard]] std::uint32_t interface_index(const std::string& name);

}  // namespace weir::test
