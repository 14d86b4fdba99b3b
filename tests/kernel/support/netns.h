// SPDX-License-Identifier: BSD-2-Clause
//
// Network namespaces for tests (kernel/netns.h), where what goes wrong with them ends the test. The
// machine's own namespace is never configured.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "kernel/netns.h"

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
  [[nodiscard]] static Netns create() { return Netns(expect(kernel::Netns::create())); }
  [[nodiscard]] int fd() const { return netns_.fd(); }
  [[nodiscard]] const kernel::Netns& get() const { return netns_; }

 private:
  explicit Netns(kernel::Netns netns) : netns_(std::move(netns)) {}
  kernel::Netns netns_;
};

// The calling thread is in the namespace for as long as this lives, and then back where it was.
class Inside {
 public:
  explicit Inside(const Netns& netns) : inside_(expect(kernel::Inside::enter(netns.get()))) {}

 private:
  kernel::Inside inside_;
};

using kernel::run_command;

// Writes /proc/sys/net/`name` of the calling thread's namespace. False when there is none such.
bool set_sysctl(const std::string& name, std::string_view value);
// The interface's index in the calling thread's namespace.
[[nodiscard]] std::uint32_t interface_index(const std::string& name);

}  // namespace weir::test
