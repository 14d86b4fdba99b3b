// SPDX-License-Identifier: BSD-2-Clause
//
// What samples of one quantity say together.
#pragma once

#include <vector>

namespace weir::bench {

// Over all rounds.
struct Spread {
  double lower_quartile = 0;
  double median = 0;
  double upper_quartile = 0;
};
// Of at least one sample.
[[nodiscard]] Spread spread_of(std::vector<double> samples);

}  // namespace weir::bench
