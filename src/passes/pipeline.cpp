// SPDX-License-Identifier: BSD-2-Clause
#include "passes/pipeline.h"

#include <array>

#include "passes/flow_common_loads.h"
#include "passes/flow_dead_code.h"
#include "passes/flow_fold.h"
#include "passes/flow_merge_windows.h"
#include "passes/flow_preset.h"
#include "passes/flow_show_values.h"
#include "passes/flow_thread_branches.h"
#include "passes/flow_thread_values.h"
#include "passes/imr_dead_rules.h"
#include "passes/imr_find_runs.h"
#include "passes/imr_fold_constants.h"
#include "passes/imr_inline_chains.h"
#include "passes/imr_merge_loads.h"
#include "passes/imr_resolve_fields.h"
#include "passes/imr_share_guards.h"

namespace weir::passes {
namespace {

constexpr std::array imr_table = {
    ImrPass{"resolve-fields", imr_resolve_fields, true},
    ImrPass{"fold-constants", imr_fold_constants},
    ImrPass{"dead-rules", imr_dead_rules},
    ImrPass{"inline-chains", imr_inline_chains},
    ImrPass{find_runs, [](imr::Unit& unit) { imr_find_runs(unit); }},
    ImrPass{"share-guards", imr_share_guards},
    ImrPass{"merge-loads", imr_merge_loads},
};

constexpr std::array flow_table = {
    FlowPass{"thread-branches", flow_thread_branches},
    FlowPass{"merge-windows", flow_merge_windows},
    FlowPass{"common-loads", flow_common_loads},
    FlowPass{"show-values", flow_show_values},
    FlowPass{"fold", flow_fold},
    FlowPass{"dead-code", flow_dead_code},
    FlowPass{"thread-values", flow_thread_values},
    FlowPass{"preset", flow_preset},
    FlowPass{"thread-branches", flow_thread_branches},  // what the others have emptied
};

}  // namespace

std::span<const ImrPass> imr_passes() {
  return imr_table;
}
std::span<const FlowPass> flow_passes() {
  return flow_table;
}

}  // namespace weir::passes
