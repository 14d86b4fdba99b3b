// SPDX-License-Identifier: BSD-2-Clause
#include "bench/clock.h"

#include <ctime>

namespace weir::bench {
namespace {

double read(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

double thread_time() {
  return read(CLOCK_THREAD_CPUTIME_ID);
}

double wall_time() {
  return read(CLOCK_MONOTONIC);
}

}  // namespace weir::bench
