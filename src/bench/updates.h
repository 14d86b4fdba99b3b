// SPDX-License-Identifier: BSD-2-Clause
//
// How long it takes until one rule more is in force, from the request on.
#pragma once

#include <optional>
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
// first chain, as `weir rule insert` puts them there; `count`, or as many as five seconds take.
// None where the chain is of a family whose rules know no addresses.
[[nodiscard]] Result<std::vector<double>> time_weir(const Script& script, const Hook& hook,
                                                    int count);

}  // namespace weir::bench
