// SPDX-License-Identifier: BSD-2-Clause
//
// Limits, quotas and sequences: what packets use up, as the kernel counts it. The arithmetic is
// that of net/netfilter/nft_limit.c, nft_quota.c and nft_numgen.c (Linux 6.18), modulo 2^64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imr/imr.h"

namespace weir::imr {

// The kernel's own units: a limit's bucket holds nanoseconds.
struct LimitScale {
  std::uint64_t unit = 0;         // nanoseconds in which `amount` flows in
  std::uint64_t most = 0;         // what the bucket holds when it is full
  std::uint64_t packet_cost = 0;  // of packet rates; bytes cost unit * bytes / amount
};
[[nodiscard]] LimitScale scale_of(const MeterState& limit);

// Why no program takes from such a meter; empty where programs do. The kernel refuses some itself.
[[nodiscard]] std::string why_no_meter(const MeterState& meter);

// What a meter holds.
struct MeterCell {
  std::uint64_t tokens = 0;
  std::uint64_t last = 0;   // when that was so
  std::uint64_t count = 0;  // bytes of a quota; the last number of a sequence
};
// As it begins at `now`, in nanoseconds of a clock that never goes back: buckets are full.
[[nodiscard]] MeterCell new_cell(const MeterState& meter, std::uint64_t now);
// Whether a packet of `bytes` is within the limit or quota, from which it takes.
bool take(const MeterState& meter, MeterCell& cell, std::uint64_t now, std::uint64_t bytes);

// What the meters of a ruleset hold, from packet to packet: what the evaluator goes by.
class MeterMemory {
 public:
  MeterMemory() = default;
  // All as they begin at `now`.
  MeterMemory(const Ruleset& ruleset, std::uint64_t now);

  // Whether a packet of `bytes` is within the limit or quota, from which it takes.
  bool take(const Ruleset& ruleset, MeterId id, std::uint64_t now, std::uint64_t bytes);
  std::uint32_t next(const Ruleset& ruleset, MeterId id);

 private:
  std::vector<MeterCell> cells_;
};

}  // namespace weir::imr
