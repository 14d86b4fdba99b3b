// SPDX-License-Identifier: BSD-2-Clause
//
// Who is told of each step of an apply or confirm: tests, which end the process there and look at
// what is left, and whoever measures how long they take.
#pragma once

#include <functional>
#include <string_view>

namespace weir::service {

using StepHook = std::function<void(std::string_view step)>;

inline void reach(const StepHook& hook, std::string_view step) {
  if (hook) hook(step);
}

}  // namespace weir::service
