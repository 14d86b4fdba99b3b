// SPDX-License-Identifier: BSD-2-Clause
//
// A Ruleset while its text is being read: chains and sets go by provisional ids that stand for
// names, rules and counters by the order of appearance. finish() puts the final ids in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "imr/imr.h"

namespace weir::imr {

struct RuleDraft {
  Rule rule;
  SourceLocation location;
  std::size_t index = 0;  // in order of appearance
  ChainId listed_in;      // final
  bool removed = false;   // its chain does not list it any more
  std::optional<std::uint32_t> number;
  std::optional<std::uint32_t> copy_of;
  std::optional<ChainId> written_in;  // provisional
};

struct CounterDraft {
  SourceLocation location;
  std::optional<std::size_t> rule;  // index of the RuleDraft that it stands in
  std::optional<std::uint32_t> number;
  std::optional<std::uint32_t> owner;  // number of the rule it belongs to, if another
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::string name = {};
};

struct MeterDraft {
  SourceLocation location;
  std::optional<std::uint32_t> number;
  MeterState state;
};

// All members but finish() only take down what they are told.
class Draft {
 public:
  Ruleset ruleset;  // its tables, chains, sets, interfaces and expressions; nothing else yet

  RuleDraft& add_rule(ChainId chain, SourceLocation location);
  CounterId add_counter(CounterDraft counter);  // provisional
  MeterId add_meter(MeterDraft meter);          // provisional
  ChainId chain_named(TableId table, std::string name, SourceLocation location);
  SetId set_named(TableId table, std::string name, SourceLocation location);
  // A root may stand before its table; its provisional id goes to the end of `roots`.
  void root(Family family, std::string table, std::string chain, SourceLocation location,
            std::vector<ChainId>& roots);

  // Throws TextError for a name that nothing has, and for numbers that do not fit together.
  Ruleset finish(std::vector<ChainId>& roots);

 private:
  struct Name {
    Family family = Family::inet;
    std::string table;
    std::string name;
    SourceLocation location;
  };

  Name qualify(TableId table, std::string name, SourceLocation location) const;
  std::vector<RuleId> number_rules() const;
  // Fills ruleset.counters; one final id for each CounterDraft.
  std::vector<CounterId> place_counters(const std::vector<RuleId>& rules);
  // Fills ruleset.meters; one final id for each MeterDraft.
  std::vector<MeterId> place_meters();
  void resolve_rules(const std::vector<RuleId>& rules);
  void resolve_statements(Rule& rule, const std::vector<CounterId>& counters,
                          const std::vector<MeterId>& meters) const;
  void resolve(Verdict& verdict) const;
  ChainId final_chain(ChainId provisional) const;
  SetId final_set(SetId provisional) const;

  std::vector<RuleDraft> rules_;
  std::vector<CounterDraft> counters_;
  std::vector<MeterDraft> meters_;
  std::vector<Name> chain_names_;
  std::vector<Name> set_names_;
};

}  // namespace weir::imr
