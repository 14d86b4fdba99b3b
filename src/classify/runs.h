// SPDX-License-Identifier: BSD-2-Clause
//
// Runs: rules that follow one another in a chain, and are tests of values by ranges, counters,
// marks for packets, and what they lead to: an end, the next rule, or another chain of such rules,
// which is then part of the run. Which of them a packet meets can be searched for at once. Behind
// its tests a rule may have a tail (classify/tails.h), which is run for the packets that meet it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "classify/rule_list.h"
#include "classify/tails.h"
#include "imr/imr.h"

namespace weir::classify {

// A field of the key: up to 8 bytes of the value of an expression, most significant first, or
// whether a set has the value, 1 or 0. Where the packet may have no such value, there is one bit
// more, and the number that has it alone stands for none.
struct RunField {
  imr::ExprId expr;
  std::uint8_t offset = 0;  // bytes: 8 in the second field of a wide value
  std::uint8_t size = 0;    // bytes
  bool may_be_absent = false;
  imr::SetId set = {};  // valid: whether it has the value
  [[nodiscard]] std::uint8_t value_bits() const {
    return static_cast<std::uint8_t>(set.valid() ? 1U : 8U * size);
  }
  [[nodiscard]] std::uint8_t bits() const {
    return static_cast<std::uint8_t>(value_bits() + (may_be_absent ? 1U : 0U));
  }
};

// What becomes of a packet that meets a rule of the list.
struct RunAction {
  enum class End : std::uint8_t {
    accept,  // of the base chain
    drop,
    leave,  // to the end of the chain that the run stands in
    on,     // to the rule of the list that `resume` says, or behind the run where it has no more
  };
  imr::RuleId rule;
  imr::CounterId counter;                  // not valid: it counts nothing
  bool matched = false;                    // the rule counts as matched, and somebody asks
  std::optional<std::uint32_t> mark = {};  // the packet gets it, in host order
  End end = End::on;
  std::uint32_t resume = 0;
  // Behind counter and mark; a packet that it does not let through goes on to the rule of the list
  // that `otherwise` says.
  std::optional<Tail> tail = {};
  std::uint32_t code = 0;  // of Run::tails
  bool may_fail = false;
  std::uint32_t otherwise = 0;
  // Whether more rules may be searched for behind it.
  [[nodiscard]] bool may_go_on() const { return end == End::on || may_fail; }
  friend bool operator==(const RunAction&, const RunAction&) = default;
};

// A value that rules of a run look at, and the first of the fields that have its bytes.
struct RunSource {
  imr::ExprId expr;
  std::size_t size = 0;  // bytes
  imr::SetId set = {};   // as TestedValue::set
  std::size_t first_field = 0;
  // Bit n: whatever is asked of it is asked of the bytes before byte n and of the others apart.
  std::uint32_t cuts = ~0U;
  // The sources that have its bytes, if others do: it has no fields of its own then.
  std::vector<std::size_t> parts = {};
};

struct Run {
  std::vector<RunField> fields;
  std::vector<RunSource> sources;
  // A rule of the ruleset may need several rules here, and may need none where nothing would be
  // done for it.
  RuleList list;
  std::vector<std::uint32_t> action;  // of each in the list, into `actions`
  std::vector<RunAction> actions;
  std::vector<imr::RuleId> rules;  // of the ruleset, those of other chains included
  std::vector<Tail> tails;         // one of each code
};
// Code for more tails than that is not one for many rules.
constexpr std::size_t most_tails = 16;

// Nothing of a rule all of whose statements can be searched for.
[[nodiscard]] std::optional<Tail> tail_of(const imr::Unit& unit, imr::RuleId rule);

// Which rules can be part of a run.
class Suitability {
 public:
  struct Scope {
    bool other_chains = false;  // also those that jump to chains of nothing but rules that can
    bool whole_sets = true;     // and those that ask whether a set has a value
  };
  Suitability(const imr::Unit& unit, Scope scope) : unit_(unit), scope_(scope) {}

  [[nodiscard]] bool suits(imr::RuleId rule);
  // Of a rule that suits. Nothing where it has none.
  [[nodiscard]] std::optional<Tail> tail(imr::RuleId rule) const;
  // No rule that leads to one of these chains does.
  void bar(const std::set<imr::ChainId>& chains);

 private:
  [[nodiscard]] bool suits(const imr::Verdict& verdict);
  [[nodiscard]] bool suits(const Tail& tail);

  const imr::Unit& unit_;
  Scope scope_;
  std::set<imr::ChainId> barred_;
  std::map<imr::ChainId, bool> known_;
  std::map<imr::RuleId, std::size_t> tails_;
};

// Which rules can be part of one run. Those that give packets a fact and those that test it cannot:
// the key is made before any of them.
class Company {
 public:
  // Whether the rule may stand behind those it said so of before.
  [[nodiscard]] bool takes(const imr::Ruleset& ruleset, imr::RuleId rule,
                           const std::optional<Tail>& tail);

 private:
  std::set<imr::MetaKey> read_;
  std::set<imr::MetaKey> written_;
  std::vector<Tail> tails_;
};

// The chains that these rules lead to, directly or not.
[[nodiscard]] std::set<imr::ChainId> chains_behind(const imr::Ruleset& ruleset,
                                                   std::span<const imr::RuleId> rules);

// Of rules that suit, in order. Where nobody asks which rules were `matched`, those that do nothing
// else have no place in the list. Nothing where they look at too much, or need too many of a list.
[[nodiscard]] std::optional<Run> make_run(const imr::Unit& unit, std::span<const imr::RuleId> rules,
                                          bool matched);
// For the key of another run, whose expressions are those of the unit. Nothing where they do not
// tell all that the rules ask for.
[[nodiscard]] std::optional<Run> make_run_like(const Run& other, const imr::Unit& unit,
                                               std::span<const imr::RuleId> rules, bool matched);

}  // namespace weir::classify
