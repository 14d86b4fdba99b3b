// SPDX-License-Identifier: BSD-2-Clause
//
// Finds runs of rules that are searched together (classify/runs.h) where that is faster than to try
// one after another, and numbers their rules, those of chains included that only a run leads to.
// Passes behind it leave such rules as they are.
//
//   match payload network 12 4 == 0x0a000001; drop          rule run 1 ...
//   match payload network 12 4 == 0x0a000002; accept   ->   rule run 1 ...
//   ... hundreds more                                       ...
//
// Reads: rules. Writes: Rule::run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "classify/run_index.h"
#include "classify/structure.h"
#include "imr/imr.h"

namespace weir::passes {

struct RunSettings {
  bool all = false;     // for tests: of all lengths from one rule on, whatever they cost
  bool matched = true;  // somebody asks which rules a packet meets
  std::optional<classify::Kind> classifier = {};  // with this structure, not the fastest one
};

// The runs, ready to be searched, by their numbers.
std::map<std::uint32_t, classify::RunIndex> imr_find_runs(imr::Unit& unit,
                                                          const RunSettings& settings = {});

}  // namespace weir::passes
