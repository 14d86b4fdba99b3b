// SPDX-License-Identifier: BSD-2-Clause
#include "kernel/support/netns.h"

#include <fcntl.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace weir::test {

void give_up(const std::string& what, int error_number) {
  throw std::runtime_error(error_number == 0 ? what : what + ": " + std::strerror(error_number));
}

bool set_sysctl(const std::string& name, std::string_view value) {
  const kernel::Fd file(::open(("/proc/sys/net/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() &&
         ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

std::uint32_t interface_index(const std::string& name) {
  const auto index = ::if_nametoindex(name.c_str());
  if (index == 0) give_up("no interface " + name, errno);
  return index;
}

}  // namespace weir::test
