// SPDX-License-Identifier: BSD-2-Clause
#include "imr/meters.h"

#include <algorithm>
#include <limits>

namespace weir::imr {
namespace {

constexpr std::uint64_t nanoseconds = 1'000'000'000;
// Programs keep when a bucket was empty beside the time in one word (backend/meters.h): both fit
// while buckets hold less than 146 years.
constexpr std::uint64_t most_tokens = std::uint64_t{1} << 62;
constexpr std::uint64_t most_quota = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t longest_packet = 1U << 20;  // bytes; more than any kernel lets grow

bool is_limit(const MeterState& meter) {
  return meter.kind == MeterState::Kind::packet_rate || meter.kind == MeterState::Kind::byte_rate;
}

bool product_overflows(std::uint64_t a, std::uint64_t b) {
  return a != 0 && b > std::numeric_limits<std::uint64_t>::max() / a;
}

}  // namespace

LimitScale scale_of(const MeterState& limit) {
  invariant(is_limit(limit) && limit.amount != 0, "the scale of what is no limit");
  LimitScale scale{.unit = limit.unit * nanoseconds};
  if (limit.kind == MeterState::Kind::packet_rate) {
    scale.packet_cost = scale.unit / limit.amount;
    scale.most = scale.packet_cost * limit.burst;
  } else {
    scale.most = scale.unit * (limit.amount + limit.burst) / limit.amount;
  }
  return scale;
}

std::string why_no_meter(const MeterState& meter) {
  if (meter.kind == MeterState::Kind::sequence) {
    return meter.amount == 0 || meter.amount > 0xffffffff ? "a sequence of no numbers" : "";
  }
  if (meter.kind == MeterState::Kind::quota) {
    return meter.amount > most_quota ? "a quota beyond 63 bits" : "";
  }
  if (meter.amount == 0) return "a limit of nothing";
  if (product_overflows(meter.unit, nanoseconds)) return "a limit's unit beyond 64 bits";
  const std::uint64_t unit = meter.unit * nanoseconds;
  const bool bytes = meter.kind == MeterState::Kind::byte_rate;
  if (bytes && (meter.amount > std::numeric_limits<std::uint64_t>::max() - meter.burst ||
                product_overflows(unit, meter.amount + meter.burst))) {
    return "a limit's burst beyond 64 bits";
  }
  if (!bytes && product_overflows(unit / meter.amount, meter.burst)) {
    return "a limit's burst beyond 64 bits";
  }
  if (scale_of(meter).most >= most_tokens) return "a limit's burst of more than 146 years";
  // Costs of 63 bits wrap around in the kernel, which then takes them for something left.
  if (bytes && meter.amount == 1 && product_overflows(unit, longest_packet)) {
    return "a limit of one byte over so long a time";
  }
  return "";
}

MeterCell new_cell(const MeterState& meter, std::uint64_t now) {
  MeterCell cell{.last = now};
  if (is_limit(meter)) cell.tokens = scale_of(meter).most;
  if (meter.kind == MeterState::Kind::quota) cell.count = meter.used;
  if (meter.kind == MeterState::Kind::sequence) cell.count = meter.amount - 1;
  return cell;
}

MeterMemory::MeterMemory(const Ruleset& ruleset, std::uint64_t now) {
  for (const MeterState& meter : ruleset.meters) cells_.push_back(new_cell(meter, now));
}

bool MeterMemory::take(const Ruleset& ruleset, MeterId id, std::uint64_t now, std::uint64_t bytes) {
  return imr::take(ruleset.meters.at(id.index()), cells_.at(id.index()), now, bytes);
}

// nft_limit_eval(), nft_overquota()
bool take(const MeterState& meter, MeterCell& cell, std::uint64_t now, std::uint64_t bytes) {
  if (meter.kind == MeterState::Kind::quota) {
    cell.count += bytes;
    return cell.count <= meter.amount;
  }
  const LimitScale scale = scale_of(meter);
  const std::uint64_t cost = meter.kind == MeterState::Kind::packet_rate
                                 ? scale.packet_cost
                                 : scale.unit * bytes / meter.amount;
  cell.tokens = std::min(cell.tokens + now - cell.last, scale.most);
  cell.last = now;
  if (static_cast<std::int64_t>(cell.tokens - cost) < 0) return false;
  cell.tokens -= cost;
  return true;
}

// nft_ng_inc_gen()
std::uint32_t MeterMemory::next(const Ruleset& ruleset, MeterId id) {
  const std::uint64_t modulus = ruleset.meters.at(id.index()).amount;
  std::uint64_t& last = cells_.at(id.index()).count;
  last = last + 1 < modulus ? last + 1 : 0;
  return static_cast<std::uint32_t>(last);
}

}  // namespace weir::imr
