// SPDX-License-Identifier: BSD-2-Clause
#include "service/packet_log.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "backend/records.h"
#include "service/exchange.h"
#include "service/listing.h"

namespace weir::service {
namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

const MapState* map_named(const PolicyState& policy, const char* name) {
  const auto found = std::ranges::find(policy.maps, name, &MapState::name);
  return found == policy.maps.end() ? nullptr : &*found;
}

const MapState* ring_of(const PolicyState& policy) {
  return map_named(policy, backend::record_ring_name);
}

}  // namespace

bool logs(const PolicyState& policy) {
  return ring_of(policy) != nullptr;
}

Result<PacketLog> PacketLog::open(const std::string& name, const Paths& paths) {
  const PolicyFiles files = look_at(name, paths);
  WEIR_TRY(policy, load_policy(name, paths));
  const bool exchanging = !policy.next.empty();
  view_exchange(policy, paths);
  if (!logs(policy)) return input_error("no rule of policy " + name + " logs packets");
  PacketLog out(std::move(policy), paths);
  out.files_ = files;
  out.exchanging_ = exchanging;
  out.find_loggers();
  WEIR_CHECK(out.open_ring());
  return out;
}

Status PacketLog::open_ring() {
  const MapState* state = ring_of(policy_);
  invariant(state != nullptr, "the ring of a policy that logs nothing");
  WEIR_TRY(map, open_map(policy_, *state, paths_));
  WEIR_TRY(ring, kernel::Ring::open(map));
  ring_.emplace(std::move(ring));
  ring_id_ = state->id;
  lost_ = 0;
  return {};
}

// What they point to stays where it is when this object moves.
void PacketLog::find_loggers() {
  loggers_.clear();
  for (const ChainState& chain : policy_.chains) {
    for (const RuleState& rule : chain.rules) {
      if (rule.log) loggers_.emplace(rule.log->rule, Logger{.chain = &chain, .rule = &rule});
    }
  }
}

// The old ring was emptied just before; programs that were running then may leave a record in it
// that nobody sees.
Status PacketLog::renew() {
  // Which side of an exchange is in force is not said by a file.
  const PolicyFiles files = look_at(policy_.name, paths_);
  if (!exchanging_ && files == files_) return {};
  files_ = files;
  auto policy = load_policy(policy_.name, paths_);
  if (!policy || !logs(*policy)) {
    ring_.reset();
    return {};
  }
  exchanging_ = !policy->next.empty();
  view_exchange(*policy, paths_);
  policy_ = std::move(*policy);
  find_loggers();
  const MapState* state = ring_of(policy_);
  if (state != nullptr && state->id == ring_id_) return {};
  return open_ring();
}

Result<std::vector<LoggedPacket>> PacketLog::wait(std::chrono::milliseconds most) {
  std::vector<LoggedPacket> out;
  if (!ring_) return out;
  WEIR_TRY(records, ring_->wait(most));
  add(records, out);
  // Rules are as they were read last: what was logged belongs to them.
  if (records.empty()) WEIR_CHECK(renew());
  return out;
}

Result<std::uint64_t> PacketLog::lost() {
  const MapState* state = map_named(policy_, backend::lost_records_name);
  if (!ring_ || state == nullptr) return std::uint64_t{0};
  WEIR_TRY(map, open_map(policy_, *state, paths_));
  WEIR_TRY(value, kernel::read_element(map, native_bytes(0, 4), state->value_size, false));
  return load_native(value) - std::exchange(lost_, load_native(value));
}

void PacketLog::add(const std::vector<Bytes>& records, std::vector<LoggedPacket>& out) const {
  const std::int64_t to_wall = read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC);
  for (const Bytes& bytes : records) {
    const auto record = backend::decode_record(bytes);
    if (!record) continue;
    const auto& header = record->header;
    LoggedPacket& packet =
        out.emplace_back(LoggedPacket{.policy = policy_.name,
                                      .rule = {},
                                      .statement = {},
                                      .time_ns = header.time + static_cast<std::uint64_t>(to_wall),
                                      .iif = header.iif,
                                      .oif = header.oif,
                                      .mark = header.mark,
                                      .network_offset = header.network_offset,
                                      .length = header.length,
                                      .bytes = Bytes(record->bytes.begin(), record->bytes.end())});
    const auto found = loggers_.find(header.rule);
    if (found == loggers_.end()) continue;
    const auto& [chain, rule] = found->second;
    packet.rule = {chain->family, chain->table, chain->name, rule->handle};
    if (header.number >= rule->log->statements.size()) continue;
    packet.statement = rule->log->statements[header.number];
  }
}

}  // namespace weir::service
