// SPDX-License-Identifier: BSD-2-Clause
//
// Single rules of an installed policy, changed in the maps of the programs that run: the rule is
// read by itself (frontend/nft/rule_reader.h), the compiler says which words of which maps change
// (driver/in_place.h), and one store among them is the change.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "driver/in_place.h"
#include "frontend/nft/rule_reader.h"
#include "imr/edit.h"
#include "imr/imr.h"
#include "kernel/kernel.h"
#include "kernel/mapped.h"
#include "service/journal.h"
#include "service/rule.h"
#include "service/rule_swap.h"
#include "service/state.h"
#include "service/steps.h"

namespace weir::service {

// What a process knows of the programs that run. Of each policy one process at a time has it right,
// the last that changed it: whoever calls this holds the lock and has made sure of that.
class RulesInPlace {
 public:
  // Nothing where what runs is not what was compiled, or none of it can be changed in place.
  [[nodiscard]] static Result<std::optional<RulesInPlace>> create(const PolicyState& policy,
                                                                  CompiledRules rules,
                                                                  const Paths& paths);

  struct Done {
    std::optional<std::uint64_t> handle;  // of the rule that came
  };
  // Nothing where it cannot be done in place, and then nothing has changed. tidy_up() comes before
  // the next one.
  [[nodiscard]] Result<std::optional<Done>> change(const RuleChange& change,
                                                   const StepHook& at_step);
  // False when this knows of a change that is not in force: it is good for nothing then.
  [[nodiscard]] bool is_true() const { return true_; }

  // What a change leaves behind is cleared away when no program that saw the rules before it runs
  // any more, which takes some milliseconds.
  void tidy_up(const StepHook& at_step);
  // Changes since create(): what the policy's journal has.
  [[nodiscard]] const std::optional<Journal>& journal() const { return journal_; }

 private:
  RulesInPlace() = default;
  // Whether the rule asks for nothing that the policy as a whole has to be prepared for.
  [[nodiscard]] bool fits(const imr::RuleEdit& edit) const;
  // The counters of a rule that came become elements that no rule has. None where there are too
  // few.
  [[nodiscard]] std::optional<std::vector<std::uint32_t>> place_counters(imr::RuleId rule);
  [[nodiscard]] RuleState describe(imr::RuleId rule, const driver::InPlaceChange& change) const;
  [[nodiscard]] JournalLine line_for(const imr::RuleEdit& edit, const driver::InPlaceChange& change,
                                     const std::string& command) const;
  [[nodiscard]] Status carry_out(const driver::InPlaceChange& change, const JournalLine& line,
                                 const StepHook& at_step);
  void store(const driver::MapStore& store);

  struct RunMap {
    kernel::MappedValue value;
    std::uint32_t id = 0;
    bool has_rules = false;               // rows of it are rules
    std::vector<std::uint32_t> programs;  // ids of those that search it
  };

  std::string policy_;  // its name
  Paths paths_;
  std::uint64_t edition_ = 0;
  bool connections_ = false;  // rules may read them
  std::vector<bool> listed_;  // chains that the policy lists, by ChainId
  imr::Ruleset ruleset_;
  std::vector<driver::Attachment> attachments_;
  std::optional<frontend::nft::RuleReader> reader_;
  std::optional<driver::InPlace> in_place_;
  std::map<std::uint32_t, RunMap> maps_;  // by their place in the policy's list
  kernel::Fd counter_map_;                // not valid where no program counts
  std::uint32_t counter_map_id_ = 0;
  std::vector<std::uint32_t> free_;  // elements that no rule counts in
  std::optional<Journal> journal_;
  bool true_ = true;
  // Of the last change.
  bool untidy_ = false;
  std::vector<driver::MapStore> after_;
  std::vector<std::uint32_t> freed_;
};

}  // namespace weir::service
