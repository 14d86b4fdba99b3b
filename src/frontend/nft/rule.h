// SPDX-License-Identifier: BSD-2-Clause
//
// The expressions of one nf_tables rule to the statements of an imr::Rule, by walking them with
// symbolic registers. Where an expression cannot be translated exactly, it and all behind it become
// one native statement.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "frontend/nft/dynamic_sets.h"
#include "frontend/nft/expressions.h"
#include "frontend/nft/netlink.h"
#include "frontend/nft/sets.h"
#include "imr/imr.h"

namespace weir::frontend::nft {

struct RuleScope {
  imr::Ruleset* ruleset = nullptr;
  ExpressionPool* expressions = nullptr;                   // of the ruleset
  FindChain find_chain;                                    // of the rule's table
  std::function<imr::SetId(const std::string&)> find_set;  // the same
  std::string native_reason;   // not empty: nothing of the chain is translated
  Family family = Family::ip;  // of the rule's table
  // A named limit or quota (enum nft_object) of the table; not valid where it is none that programs
  // take from. Without it no rule refers to one.
  std::function<imr::MeterId(std::uint32_t type, const std::string& name)> find_meter = {};
  // The same of a named counter, for a rule.
  std::function<imr::CounterId(const std::string& name, imr::RuleId rule)> find_counter = {};
  // The objects of a type (enum nft_object) in the table that a map may have places of, for a rule.
  // Without it no rule chooses one.
  std::function<imr::Choice(std::uint32_t type, imr::RuleId rule)> objects_of = {};
  // The limit of all answers that go through the kernel's routes. Without it no rule has one.
  std::function<imr::MeterId()> limit_of_answers = {};
  // Without it no rule changes a set.
  DynamicSets* dynamic_sets = nullptr;
  // From dynamic sets of ranges (imr::Dynamics) to the maps that lead to their keys. Without it no
  // rule looks into one.
  const std::map<imr::SetId, imr::SetId>* ranges = nullptr;
};

// Fills in statements and total_statements, and the text of a rule that has none (nft lists the
// rules of "jump { ... }" without handles). `id` is the one that the rule will have.
void translate_expressions(const nftnl_rule* source, const RuleScope& scope, imr::RuleId id,
                           imr::Rule& rule);

// What the user wrote behind `comment`.
[[nodiscard]] std::string comment_of(const nftnl_rule* rule);

}  // namespace weir::frontend::nft
