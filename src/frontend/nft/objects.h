// SPDX-License-Identifier: BSD-2-Clause
//
// Named limits, quotas and counters (net/netfilter/nft_limit.c, nft_quota.c, nft_counter.c).
#pragma once

#include <cstdint>
#include <optional>

#include "frontend/nft/netlink.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

// The attributes of a limit or a quota as libnftnl gives them, of an expression or of an object.
struct LimitAttributes {
  std::uint64_t rate = 0;
  std::uint64_t unit = 0;
  std::uint32_t burst = 0;
  std::uint32_t type = 0;   // enum nft_limit_type
  std::uint32_t flags = 0;  // enum nft_limit_flags
};
[[nodiscard]] imr::MeterState meter_of(const LimitAttributes& limit);
[[nodiscard]] imr::MeterState quota_of(std::uint64_t bytes, std::uint64_t used,
                                       std::uint32_t flags);

// No value where the object is neither.
[[nodiscard]] std::optional<imr::MeterState> meter_of(const nftnl_obj* object);
// No value where it is no counter. Without the rule that a counter is of.
[[nodiscard]] std::optional<imr::CounterState> counter_of(const nftnl_obj* object);

}  // namespace weir::frontend::nft
