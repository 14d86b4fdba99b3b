// SPDX-License-Identifier: BSD-2-Clause
//
// Making a failing case smaller: what all judges do with rules, lines and packets alike.
#pragma once

#include <algorithm>
#include <cstddef>

namespace weir::differential {

// Asks `drop(from, to)` to leave out a run of the `size()` things there are, which it does only if
// the rest still fails, and says whether it did. Runs go from halves down to single things, and
// these are gone through until none can be missed.
template <typename Size, typename Drop>
void drop_runs(const Size& size, const Drop& drop) {
  for (std::size_t run = std::max<std::size_t>(1, size() / 2);;) {
    bool shrunk = false;
    for (std::size_t from = 0; from < size();) {
      if (drop(from, std::min(from + run, size()))) {
        shrunk = true;
      } else {
        from += run;
      }
    }
    if (run == 1 && !shrunk) return;
    run = std::max<std::size_t>(1, run / 2);
  }
}

}  // namespace weir::differential
