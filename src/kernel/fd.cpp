// SPDX-License-Identifier: BSD-2-Clause
//
// File descriptors with one owner.
#include <unistd.h>

#include <utility>

#include "kernel/kernel.h"

namespace weir::kernel {

Fd::Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() {
  reset();
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace weir::kernel
