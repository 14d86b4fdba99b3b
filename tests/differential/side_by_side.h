// SPDX-License-Identifier: BSD-2-Clause
//
// Drawn rules, compiled for a hook, and run by an engine and by the reference evaluator.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "driver/compile.h"
#include "driver/runner.h"

namespace weir::differential {

class SideBySide {
 public:
  // The rules as the text of the IMR. In small parts: the programs are split.
  [[nodiscard]] static Result<std::unique_ptr<SideBySide>> make(const std::string& rules,
                                                                const Hook& hook,
                                                                driver::EngineKind engine,
                                                                bool small_parts);
  [[nodiscard]] driver::Runner& engine() { return *engine_; }
  [[nodiscard]] driver::Runner& evaluator() { return *evaluator_; }

 private:
  // Where the runners find them.
  imr::Ruleset ruleset_;
  driver::Compilation compilation_;
  std::optional<driver::Runner> engine_;
  std::optional<driver::Runner> evaluator_;
};

}  // namespace weir::differential
