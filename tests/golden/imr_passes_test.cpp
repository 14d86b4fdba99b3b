// SPDX-License-Identifier: BSD-2-Clause
//
// Goldens of the passes over the IMR: a unit in, the unit out, verified on both sides.
#include <gtest/gtest.h>

#include <stdexcept>

#include "golden/runner.h"
#include "imr/parse.h"
#include "imr/print.h"
#include "imr/verify.h"
#include "passes/imr_break.h"
#include "passes/imr_dead_rules.h"
#include "passes/imr_find_runs.h"
#include "passes/imr_fold_constants.h"
#include "passes/imr_inline_chains.h"
#include "passes/imr_merge_loads.h"
#include "passes/imr_resolve_fields.h"
#include "passes/imr_share_guards.h"

namespace weir::test {
namespace {

using Pass = void (*)(imr::Unit&);

Transform over_units(Pass pass) {
  return [pass](const std::string& before) {
    Result<imr::Unit> unit = imr::parse_unit(before, "before");
    if (!unit) throw std::runtime_error(unit.error().text());
    imr::verify(*unit);
    pass(*unit);
    imr::verify(*unit);
    return imr::print(*unit);
  };
}

Transforms transforms() {
  return {
      {"imr_break", over_units(passes::imr_break)},
      {"imr_dead_rules", over_units(passes::imr_dead_rules)},
      // Of all lengths: those that pay would fill pages.
      {"imr_find_runs",
       over_units([](imr::Unit& unit) { passes::imr_find_runs(unit, {.all = true}); })},
      {"imr_fold_constants", over_units(passes::imr_fold_constants)},
      {"imr_inline_chains", over_units(passes::imr_inline_chains)},
      {"imr_merge_loads", over_units(passes::imr_merge_loads)},
      {"imr_resolve_fields", over_units(passes::imr_resolve_fields)},
      {"imr_share_guards", over_units(passes::imr_share_guards)},
  };
}

class ImrPasses : public testing::TestWithParam<std::string> {};

TEST_P(ImrPasses, MakeTheTextAfterOfTheTextBefore) {
  check_golden(GetParam(), transforms());
}

INSTANTIATE_TEST_SUITE_P(Golden, ImrPasses, testing::ValuesIn(golden_files("passes", "imr_")));

// Every pass has goldens.
TEST(ImrPassGoldens, AreThereForEachPass) {
  for (const auto& [name, transform] : transforms()) {
    EXPECT_FALSE(golden_files("passes", name + ".").empty()) << name;
  }
}

}  // namespace
}  // namespace weir::test
