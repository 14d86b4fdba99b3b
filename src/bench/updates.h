// SPDX-License-Identifier: BSD-2-Clause
//
// How long it takes until one rule more is in force, from the request on.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/hook.h"
#include "bench/task.h"
#include "bench/wire.h"

namespace weir::bench {

// Seconds each. Of nft: commands, one after another.
[[nodiscard]] Result<std::vector<double>> time_nft(const Wire& wire,
                                                   const std::vector<std::string>& commands);
// Of iptables: rules in front of chain PREROUTING of table raw.
[[nodiscard]] Result<std::vector<double>> time_iptables(const Wire& wire, int count);
// Of weir: the script as an installed policy, in a namespace of its own, and rules in front of its
// first chain. None where the chain is of a family whose rules know no addresses.
struct WeirTimes {
  std::vector<double> running;  // as a running process of `weir rule -` puts them there
  std::vector<double> swapped;  // as `weir rule insert` does: all is compiled again
  std::size_t in_place = 0;     // of `running`: how many were no swap
};
// `count` of each, or as many as five seconds take.
[[nodiscard]] Result<WeirTimes> time_weir(const Script& script, const Hook& hook, int count);

}  // namespace weir::bench
