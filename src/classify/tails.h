// SPDX-License-Identifier: BSD-2-Clause
//
// Tails: what rules of a run (classify/runs.h) still ask and do when all is told that can be
// searched for. A limit, a log, a lookup in a dynamic set; statements of which a program has code,
// which many rules share that differ in nothing but their numbers.
#pragma once

#include <cstddef>
#include <span>

#include "imr/imr.h"

namespace weir::classify {

// The statements of a rule from one on, up to its verdict.
struct Tail {
  imr::RuleId rule;
  std::size_t from = 0;
  friend bool operator==(const Tail&, const Tail&) = default;
};

[[nodiscard]] std::span<const imr::Statement> statements_of(const imr::Ruleset& ruleset,
                                                            const Tail& tail);
// Whether code of a tail can stand behind a search, and be left for it.
[[nodiscard]] bool can_be_tail(const imr::Statement& statement);
// Whether a packet may leave it before its end: the rules behind are searched then.
[[nodiscard]] bool may_fail(const imr::Ruleset& ruleset, const Tail& tail);
// What is told to the code of a tail: its rule's number where it logs, and its first meter and
// first counter. Not valid: it has none.
[[nodiscard]] imr::MeterId meter_of(const imr::Ruleset& ruleset, const Tail& tail);
[[nodiscard]] imr::CounterId counter_of(const imr::Ruleset& ruleset, const Tail& tail);
// The answer that it ends in; none where it does not.
[[nodiscard]] const imr::Answer* answer_of(const imr::Ruleset& ruleset, const Tail& tail);
// Whether it ends in sending the packet out.
[[nodiscard]] bool forwards(const imr::Ruleset& ruleset, const Tail& tail);
// Whether they do the same but for these numbers.
[[nodiscard]] bool same_code(const imr::Ruleset& ruleset, const Tail& a, const Tail& b);

}  // namespace weir::classify
