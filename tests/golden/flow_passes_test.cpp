// SPDX-License-Identifier: BSD-2-Clause
//
// Goldens of the passes over flow: text in, text out, verified on both sides.
#include <gtest/gtest.h>

#include <stdexcept>

#include "flow/flow.h"
#include "golden/runner.h"
#include "passes/flow_common_loads.h"
#include "passes/flow_dead_code.h"
#include "passes/flow_fold.h"
#include "passes/flow_merge_windows.h"
#include "passes/flow_preset.h"
#include "passes/flow_show_values.h"
#include "passes/flow_thread_branches.h"
#include "passes/flow_thread_values.h"

namespace weir::test {
namespace {

using Pass = void (*)(flow::Function&);

Transform over_flow(Pass pass) {
  return [pass](const std::string& before) {
    Result<flow::Function> function = flow::parse(before, "before");
    if (!function) throw std::runtime_error(function.error().text());
    flow::verify(*function);
    pass(*function);
    flow::verify(*function);
    return flow::print(*function);
  };
}

Transforms transforms() {
  return {
      {"flow_common_loads", over_flow(passes::flow_common_loads)},
      {"flow_dead_code", over_flow(passes::flow_dead_code)},
      {"flow_fold", over_flow(passes::flow_fold)},
      {"flow_merge_windows", over_flow(passes::flow_merge_windows)},
      {"flow_preset", over_flow(passes::flow_preset)},
      {"flow_show_values", over_flow(passes::flow_show_values)},
      {"flow_thread_branches", over_flow(passes::flow_thread_branches)},
      {"flow_thread_values", over_flow(passes::flow_thread_values)},
  };
}

class FlowPasses : public testing::TestWithParam<std::string> {};

TEST_P(FlowPasses, MakeTheTextAfterOfTheTextBefore) {
  check_golden(GetParam(), transforms());
}

INSTANTIATE_TEST_SUITE_P(Golden, FlowPasses, testing::ValuesIn(golden_files("passes", "flow_")));

// Every pass has goldens.
TEST(FlowPassGoldens, AreThereForEachPass) {
  for (const auto& [name, transform] : transforms()) {
    EXPECT_FALSE(golden_files("passes", name + ".").empty()) << name;
  }
}

}  // namespace
}  // namespace weir::test
