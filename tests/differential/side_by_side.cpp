// SPDX-License-Identifier: BSD-2-Clause
#include "differential/side_by_side.h"

#include <utility>

#include "imr/parse.h"

namespace weir::differential {

Result<std::unique_ptr<SideBySide>> SideBySide::make(const std::string& rules, const Hook& hook,
                                                     driver::EngineKind engine, bool small_parts) {
  auto out = std::make_unique<SideBySide>();
  WEIR_TRY(ruleset, imr::parse_ruleset(rules, "drawn"));
  out->ruleset_ = std::move(ruleset);
  WEIR_TRY(attachments, driver::plan(out->ruleset_, hook, {}));
  driver::Options options{.trace = true};
  options.small_parts = small_parts;
  WEIR_TRY(compilation, driver::compile(out->ruleset_, attachments, options));
  out->compilation_ = std::move(compilation);
  WEIR_TRY(judged, driver::Runner::create(engine, out->ruleset_, out->compilation_));
  out->engine_.emplace(std::move(judged));
  WEIR_TRY(evaluator,
           driver::Runner::create(driver::EngineKind::evaluator, out->ruleset_, out->compilation_));
  out->evaluator_.emplace(std::move(evaluator));
  return out;
}

}  // namespace weir::differential
