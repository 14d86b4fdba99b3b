// SPDX-License-Identifier: BSD-2-Clause
//
// Time that a measurement counts by.
#pragma once

namespace weir::bench {

// CPU time of the calling thread, in ns: that of others on the same CPU is none of it.
[[nodiscard]] double thread_time();
// Time as it passes, in ns.
[[nodiscard]] double wall_time();

}  // namespace weir::bench
