// SPDX-License-Identifier: BSD-2-Clause
#include "bench/spread.h"

#include <algorithm>

#include "base/error.h"

namespace weir::bench {

Spread spread_of(std::vector<double> samples) {
  invariant(!samples.empty(), "there are samples");
  std::ranges::sort(samples);
  const std::size_t last = samples.size() - 1;
  return {.lower_quartile = samples[last / 4],
          .median = samples[last / 2],
          .upper_quartile = samples[last - last / 4]};
}

}  // namespace weir::bench
