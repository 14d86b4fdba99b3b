// SPDX-License-Identifier: BSD-2-Clause
//
// The comments that the printer puts behind statements: names of the header fields that they read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/hook.h"
#include "imr/imr.h"

namespace weir::imr {

// What is known of a packet at some statement of a rule, from the table's family and the statements
// before it.
class Annotator {
 public:
  // `ethertype` of the packets that the rule sees, if it is one.
  explicit Annotator(std::optional<std::uint16_t> ethertype) : ethertype_(ethertype) {}

  // "tcp dport", "tcp", or nothing where that is not certain. Takes note of what the statement
  // makes known for those behind it.
  [[nodiscard]] std::string annotate(const Ruleset& ruleset, const Statement& statement);

 private:
  std::string name_of(const Ruleset& ruleset, ExprId expr) const;
  std::string field_at(const Payload& place, const Bytes* mask) const;
  std::string learn(MetaKey key, const Bytes& value);

  std::optional<std::uint16_t> ethertype_;
  std::optional<std::uint8_t> l4proto_;
};

}  // namespace weir::imr
