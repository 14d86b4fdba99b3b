// SPDX-License-Identifier: BSD-2-Clause
//
// All passes, in the order in which they run.
#pragma once

#include <span>
#include <string_view>

#include "flow/flow.h"
#include "imr/imr.h"

namespace weir::passes {

struct ImrPass {
  std::string_view name;
  void (*run)(imr::Unit&) = nullptr;
  bool required = false;  // lowering relies on it: it cannot be switched off
};

// The one that takes settings (passes/imr_find_runs.h); in the table it has none.
constexpr std::string_view find_runs = "find-runs";

struct FlowPass {
  std::string_view name;
  void (*run)(flow::Function&) = nullptr;
};

[[nodiscard]] std::span<const ImrPass> imr_passes();
[[nodiscard]] std::span<const FlowPass> flow_passes();

}  // namespace weir::passes
