// SPDX-License-Identifier: BSD-2-Clause
#include "classify/tails.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "imr/identity.h"
#include "imr/log.h"
#include "imr/visit.h"

namespace weir::classify {
namespace {

using imr::Statement;

bool same_meter(const imr::Ruleset& ruleset, imr::MeterId a, imr::MeterId b) {
  imr::MeterState left = ruleset.meters.at(a.index());
  const imr::MeterState& right = ruleset.meters.at(b.index());
  left.used = right.used;
  return left == right;
}

// Statements of tails, those beside them in the other one having stood alike so far.
class Comparison {
 public:
  explicit Comparison(const imr::Ruleset& ruleset) : ruleset_(ruleset) {}

  bool same(const Statement& a, const Statement& b) {
    if (a.index() != b.index()) return false;
    return imr::match_on(
        a, [&](const auto& one) { return alike(one, std::get<std::decay_t<decltype(one)>>(b)); });
  }

 private:
  bool same_expr(imr::ExprId a, imr::ExprId b) { return imr::same_expr(ruleset_, a, b); }

  bool alike(const imr::Match& a, const imr::Match& b) { return imr::same_match(ruleset_, a, b); }
  bool alike(const imr::MatchRange& a, const imr::MatchRange& b) {
    return a.from == b.from && a.to == b.to && a.inverted == b.inverted && same_expr(a.lhs, b.lhs);
  }
  bool alike(const imr::MatchSet& a, const imr::MatchSet& b) {
    return a.set == b.set && a.inverted == b.inverted && same_expr(a.key, b.key);
  }
  bool alike(const imr::Counter& a, const imr::Counter& b) {
    return !std::exchange(counted_, true) || a == b;
  }
  bool alike(const imr::Meter& a, const imr::Meter& b) {
    return std::exchange(metered_, true) ? a == b : same_meter(ruleset_, a.meter, b.meter);
  }
  bool alike(const imr::Choice& a, const imr::Choice& b) {
    return a.counters == b.counters && a.meters == b.meters && same_expr(a.place, b.place);
  }
  bool alike(const imr::MetaWrite& a, const imr::MetaWrite& b) {
    return a.key == b.key && same_expr(a.value, b.value);
  }
  static bool alike(const imr::Answer& a, const imr::Answer& b) { return a == b; }
  bool alike(const imr::Forward& a, const imr::Forward& b) { return same_expr(a.device, b.device); }
  bool alike(const imr::Duplicate& a, const imr::Duplicate& b) {
    return same_expr(a.device, b.device);
  }
  static bool alike(const imr::Log& a, const imr::Log& b) {
    return imr::logged_bytes(a) == imr::logged_bytes(b);
  }
  bool alike(const imr::DynamicSet& a, const imr::DynamicSet& b) {
    if (a.data.has_value() != b.data.has_value()) return false;
    return a.op == b.op && a.set == b.set && a.timeout == b.timeout && a.inverted == b.inverted &&
           same_expr(a.key, b.key) && (!a.data || same_expr(*a.data, *b.data));
  }
  // Of what is never part of a tail.
  static bool alike(const auto& /*a*/, const auto& /*b*/) { return false; }

  const imr::Ruleset& ruleset_;
  bool metered_ = false;
  bool counted_ = false;
};

template <typename One>
const One* first(const imr::Ruleset& ruleset, const Tail& tail) {
  for (const Statement& statement : statements_of(ruleset, tail)) {
    if (const auto* one = std::get_if<One>(&statement)) return one;
  }
  return nullptr;
}

}  // namespace

std::span<const Statement> statements_of(const imr::Ruleset& ruleset, const Tail& tail) {
  const auto all = std::span<const Statement>(ruleset[tail.rule].statements).subspan(tail.from);
  const auto end = std::ranges::find_if(all, [](const Statement& statement) {
    return std::holds_alternative<imr::VerdictStatement>(statement);
  });
  return {all.begin(), end};
}

bool can_be_tail(const Statement& statement) {
  return imr::match_on(
      statement, [](const imr::Match&) { return true; },
      [](const imr::MatchRange&) { return true; }, [](const imr::MatchSet&) { return true; },
      [](const imr::Counter&) { return true; }, [](const imr::Meter&) { return true; },
      [](const imr::Choice&) { return true; }, [](const imr::MetaWrite&) { return true; },
      [](const imr::Log&) { return true; }, [](const imr::DynamicSet&) { return true; },
      [](const imr::Answer&) { return true; }, [](const imr::Forward&) { return true; },
      [](const imr::Duplicate&) { return true; },
      // Verdicts are told by the search. Behind what is written to packets, what a key was made of
      // is not there any more.
      [](const auto&) { return false; });
}

bool may_fail(const imr::Ruleset& ruleset, const Tail& tail) {
  const auto is_immediate = [&](imr::ExprId expr) {
    return std::holds_alternative<imr::Immediate>(ruleset[expr]);
  };
  return std::ranges::any_of(statements_of(ruleset, tail), [&](const Statement& statement) {
    return imr::match_on(
        statement, [](const imr::Counter&) { return false; }, [](const imr::Log&) { return false; },
        [](const imr::Answer&) { return false; },
        [&](const imr::MetaWrite& write) { return !is_immediate(write.value); },
        [&](const imr::Forward& forward) { return !is_immediate(forward.device); },
        [&](const imr::Duplicate& duplicate) { return !is_immediate(duplicate.device); },
        [](const auto&) { return true; });
  });
}

imr::MeterId meter_of(const imr::Ruleset& ruleset, const Tail& tail) {
  const auto* meter = first<imr::Meter>(ruleset, tail);
  return meter == nullptr ? imr::MeterId() : meter->meter;
}

imr::CounterId counter_of(const imr::Ruleset& ruleset, const Tail& tail) {
  const auto* counter = first<imr::Counter>(ruleset, tail);
  return counter == nullptr ? imr::CounterId() : counter->counter;
}

const imr::Answer* answer_of(const imr::Ruleset& ruleset, const Tail& tail) {
  return first<imr::Answer>(ruleset, tail);
}

bool forwards(const imr::Ruleset& ruleset, const Tail& tail) {
  return first<imr::Forward>(ruleset, tail) != nullptr;
}

bool same_code(const imr::Ruleset& ruleset, const Tail& a, const Tail& b) {
  const auto left = statements_of(ruleset, a);
  const auto right = statements_of(ruleset, b);
  Comparison comparison(ruleset);
  return std::ranges::equal(
      left, right, [&](const Statement& x, const Statement& y) { return comparison.same(x, y); });
}

}  // namespace weir::classify
