// SPDX-License-Identifier: BSD-2-Clause
//
// Rows of a contest for people and for programs.
#pragma once

#include <string>

#include "bench/contest.h"

namespace weir::bench {

// A row a line, lists apart, and below it where the time to load weir's went.
[[nodiscard]] std::string table_of(const Outcome& outcome);
// {"results":[{"engine","hook","rules","ns","floor_ns","net_ns","load_s","update_ms","swap_ms",
// "memory_bytes",...}],"notes":[...]}: null where nothing is known. On one line.
[[nodiscard]] std::string json_of(const Outcome& outcome);

}  // namespace weir::bench
