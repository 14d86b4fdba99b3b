// SPDX-License-Identifier: BSD-2-Clause
//
// What the log statements of an installed policy record, for who follows it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "kernel/kernel.h"
#include "kernel/ring.h"
#include "service/counters.h"
#include "service/policy_files.h"
#include "service/rule_state.h"
#include "service/state.h"

namespace weir::service {

struct LoggedPacket {
  std::string policy;
  RuleName rule;
  LogUse::Statement statement;
  std::uint64_t time_ns = 0;  // since 1970
  std::uint32_t iif = 0;      // 0: none is known
  std::uint32_t oif = 0;
  std::uint32_t mark = 0;
  std::uint32_t network_offset = 0;  // 0: there is no link-layer header
  std::uint32_t length = 0;          // of the packet; `bytes` are its first ones
  Bytes bytes;
};

// Whether a rule of the policy logs.
[[nodiscard]] bool logs(const PolicyState& policy);

// Follows one policy, whose programs may be exchanged meanwhile. Each record goes to one reader.
class PacketLog {
 public:
  PacketLog(PacketLog&&) = default;
  PacketLog& operator=(PacketLog&&) = default;
  // An input error where no rule of the policy logs.
  [[nodiscard]] static Result<PacketLog> open(const std::string& policy, const Paths& paths);

  // What was logged since the last call, oldest first, after a wait of at most so long.
  [[nodiscard]] Result<std::vector<LoggedPacket>> wait(std::chrono::milliseconds most);
  // How many more were not recorded, nobody having read what was; at first, since the policy's
  // programs are there.
  [[nodiscard]] Result<std::uint64_t> lost();
  // False once the policy is gone, or logs no more.
  [[nodiscard]] bool follows() const { return ring_.has_value(); }

 private:
  PacketLog(PolicyState policy, const Paths& paths) : policy_(std::move(policy)), paths_(paths) {}
  Status open_ring();
  void find_loggers();
  // Changes to what the policy is by now.
  Status renew();
  void add(const std::vector<Bytes>& records, std::vector<LoggedPacket>& out) const;

  struct Logger {
    const ChainState* chain = nullptr;
    const RuleState* rule = nullptr;
  };

  PolicyState policy_;
  std::unordered_map<std::uint32_t, Logger> loggers_;  // of it, by the numbers that records have
  Paths paths_;
  PolicyFiles files_;        // as `policy_` was read from them
  bool exchanging_ = false;  // its programs were being exchanged then
  std::optional<kernel::Ring> ring_;
  std::uint64_t lost_ = 0;  // of its records, so far
  std::uint32_t ring_id_ = 0;
};

}  // namespace weir::service
