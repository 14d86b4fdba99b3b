// SPDX-License-Identifier: BSD-2-Clause
//
// The search for the first rule of a run that a packet meets: one loop over hash tables and their
// entries (backend/run_tables.h).
#pragma once

#include <span>
#include <vector>

#include "backend/builder.h"
#include "backend/run_tables.h"

namespace weir::backend {

struct RunSearch {
  const classify::Run& run;
  const classify::TupleTables& tables;
  const RunLayout& layout;
  isa::MapIndex map;
};

// Emits the search from the cursor on; the registers are the fields of the key. Goes to `miss`
// where no rule is met; else on at the cursor, and gives the address of the rule's action.
[[nodiscard]] flow::Reg search_run(Builder& out, const RunSearch& search,
                                   std::span<const flow::Reg> key, flow::Reg opaque,
                                   flow::BlockId miss);

}  // namespace weir::backend
