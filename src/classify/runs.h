// SPDX-License-Identifier: BSD-2-Clause
//
// Runs: rules that follow one another in a chain, and are nothing but tests of values by ranges, at
// most a counter, and a verdict that ends the chain. Which of them a packet meets can be searched
// for at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "classify/rule_list.h"
#include "imr/imr.h"

namespace weir::classify {

// A field of the key: up to 8 bytes of the value of an expression, most significant first. Where
// the packet may have no such value, there is one bit more, and the number that has it alone stands
// for none.
struct RunField {
  imr::ExprId expr;
  std::uint8_t offset = 0;  // bytes: 8 in the second field of a wide value
  std::uint8_t size = 0;    // bytes
  bool may_be_absent = false;
  [[nodiscard]] std::uint8_t bits() const {
    return static_cast<std::uint8_t>(8U * size + (may_be_absent ? 1U : 0U));
  }
};

struct RunRule {
  imr::RuleId rule;
  imr::CounterId counter;                                   // not valid: it counts nothing
  imr::Verdict::Kind verdict = imr::Verdict::Kind::accept;  // or drop, or return_
};

struct Run {
  std::vector<RunField> fields;
  RuleList list;                     // a rule may need several of it: each is all of one
  std::vector<std::uint32_t> owner;  // of each in the list, into `rules`
  std::vector<RunRule> rules;
};

// Whether the rule can be part of a run.
[[nodiscard]] bool suits(const imr::Unit& unit, imr::RuleId rule);

// Of rules that suit, in order. Nothing where they look at too much, or need too many of a list.
[[nodiscard]] std::optional<Run> make_run(const imr::Unit& unit,
                                          std::span<const imr::RuleId> rules);

}  // namespace weir::classify
