// SPDX-License-Identifier: BSD-2-Clause
//
// Where tests get a word in: they end the process at each step of an apply or confirm, and look at
// what is left.
#pragma once

#include <functional>
#include <string_view>

namespace weir::service {

using StepHook = std::function<void(std::string_view step)>;

inline void reach(const StepHook& hook, std::string_view step) {
  if (hook) hook(step);
}

}  // namespace weir::service
