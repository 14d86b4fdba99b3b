// SPDX-License-Identifier: BSD-2-Clause
//
// What weir remembers of one rule of an installed policy.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace weir::service {

struct CounterState {
  std::uint32_t index = 0;    // element of the pinned map `counters`
  std::uint64_t packets = 0;  // what it counts from: as written, and what maps before this one had
  std::uint64_t bytes = 0;
  std::optional<std::uint32_t> carried = {};  // see PolicyState::old_counters
  std::string name = {};                      // within the table, of one that rules share
  friend bool operator==(const CounterState&, const CounterState&) = default;
};

// A limit, a quota or a sequence.
struct MeterUse {
  std::uint32_t index = 0;               // word of the pinned map `meters`
  std::optional<std::uint64_t> quota{};  // bytes, where it is one: the word says how many are used
  friend bool operator==(const MeterUse&, const MeterUse&) = default;
};

// What log statements of a rule say of its packets.
struct LogUse {
  struct Statement {
    std::string prefix;
    std::optional<std::uint16_t> group{};
    std::uint8_t level = 0;  // where there is no group
    friend bool operator==(const Statement&, const Statement&) = default;
  };
  std::uint32_t rule = 0;  // as records name it (backend/records.h)
  std::vector<Statement> statements;
  friend bool operator==(const LogUse&, const LogUse&) = default;
};

struct RuleState {
  std::uint64_t handle = 0;
  std::uint32_t line = 0;
  std::string text;
  std::vector<CounterState> counters;  // in the order of the rule's text
  // Ids of the programs that run the rule and of the maps that it uses; none of a rule that can
  // never match, which no program carries.
  std::vector<std::uint32_t> programs = {};
  std::vector<std::uint32_t> maps = {};
  std::vector<MeterUse> meters = {};  // in the order of the rule's text
  std::optional<LogUse> log = {};     // of a rule that logs
  friend bool operator==(const RuleState&, const RuleState&) = default;
};

[[nodiscard]] nlohmann::ordered_json to_json(const RuleState& rule);
// Throws nlohmann::json::exception for what is no such rule.
[[nodiscard]] RuleState rule_from_json(const nlohmann::ordered_json& json);

}  // namespace weir::service
