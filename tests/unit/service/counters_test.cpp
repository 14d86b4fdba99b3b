// SPDX-License-Identifier: BSD-2-Clause
//
// Which elements of the map of counters rules have, when the rules around them change.
#include "service/counters.h"

#include <gtest/gtest.h>

namespace weir::service {
namespace {

// A chain of rules with these handles, each with one counter, or with none where it is negative.
imr::Ruleset ruleset_of(const std::vector<int>& handles) {
  imr::Ruleset ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::ip, .name = "t"});
  const auto chain = ruleset.add(imr::Chain{.table = table, .name = "c", .base = imr::BaseChain{}});
  for (const int handle : handles) {
    imr::Rule rule{.chain = chain,
                   .origin = {.handle = static_cast<std::uint64_t>(std::abs(handle))},
                   .statements = {},
                   .total_statements = 0};
    if (handle > 0) {
      const auto counter =
          ruleset.add(imr::CounterState{.rule = imr::RuleId(ruleset.rules.size()), .packets = 5});
      rule.statements.emplace_back(imr::Counter{counter});
    }
    ruleset.add(std::move(rule));
  }
  return ruleset;
}

std::vector<std::uint32_t> elements_of(const imr::Ruleset& ruleset) {
  std::vector<std::uint32_t> out;
  for (const imr::Rule& rule : ruleset.rules) {
    for (const imr::Statement& statement : rule.statements) {
      const auto counter = std::get<imr::Counter>(statement).counter;
      EXPECT_LT(counter.index(), ruleset.counters.size());
      EXPECT_EQ(ruleset[ruleset.counters.at(counter.index()).rule].origin.handle,
                rule.origin.handle);
      out.push_back(counter.value);
    }
  }
  return out;
}

// A policy of rules with these handles, of which rule i counts in element `elements[i]`.
PolicyState policy_of(const std::vector<std::uint64_t>& handles,
                      const std::vector<std::uint32_t>& elements, std::uint32_t room) {
  PolicyState policy;
  policy.has_counters = true;
  policy.counter_room = room;
  policy.maps = {{.name = "counters", .pin = "map_counters"}};
  ChainState chain = {.family = Family::ip, .table = "t", .name = "c", .base = {}, .rules = {}};
  for (std::size_t i = 0; i < handles.size(); ++i) {
    chain.rules.push_back({.handle = handles[i],
                           .line = static_cast<std::uint32_t>(10 * handles[i]),
                           .text = "",
                           .counters = {{.index = elements[i], .packets = 70 + i}}});
  }
  policy.chains.push_back(chain);
  return policy;
}

using Elements = std::vector<std::uint32_t>;

TEST(Counters, StayWhereTheyAre) {
  const PolicyState policy = policy_of({1, 2, 3}, {4, 0, 2}, 6);
  imr::Ruleset ruleset = ruleset_of({3, 9, 1, -8, 2});
  const CounterPlan plan = keep_counters(policy, std::nullopt, ruleset);
  EXPECT_TRUE(plan.shared);
  EXPECT_EQ(elements_of(ruleset), (Elements{2, 1, 4, 0}));
  EXPECT_EQ(plan.fresh, Elements{1});
  EXPECT_EQ(ruleset.counters.size(), 6U) << "the map stays as it is";
  EXPECT_EQ(ruleset.counters[4].packets, 70U) << "what it counts from";
  EXPECT_EQ(ruleset.counters[1].packets, 5U) << "as it is written";
}

TEST(Counters, OfRulesThatGoAreNotGivenAwayInTheSameChange) {
  const PolicyState policy = policy_of({1, 2}, {0, 1}, 3);
  imr::Ruleset ruleset = ruleset_of({2, 7});
  const CounterPlan plan = keep_counters(policy, std::nullopt, ruleset);
  EXPECT_TRUE(plan.shared);
  EXPECT_EQ(elements_of(ruleset), (Elements{1, 2})) << "programs still count in 0 for rule 1";
}

TEST(Counters, OfAReplacedRuleBeginAnew) {
  const PolicyState policy = policy_of({1, 2}, {0, 1}, 4);
  const RuleName replaced = {Family::ip, "t", "c", 2};
  imr::Ruleset ruleset = ruleset_of({1, 2});
  const CounterPlan plan = keep_counters(policy, replaced, ruleset);
  EXPECT_EQ(elements_of(ruleset), (Elements{0, 2}));
  EXPECT_EQ(ruleset.counters[2].packets, 5U);
  PolicyState next = policy_of({1, 2}, {0, 2}, 4);
  carry_rules(policy, replaced, plan.shared, next);
  EXPECT_EQ(next.chains[0].rules[0].line, 10U);
  EXPECT_EQ(next.chains[0].rules[1].line, 0U);
  EXPECT_EQ(next.old_counters, "");
}

TEST(Counters, MoveWhereThereIsNoRoom) {
  const PolicyState policy = policy_of({1, 2}, {1, 0}, 2);
  imr::Ruleset ruleset = ruleset_of({1, 7, 2});
  const CounterPlan plan = keep_counters(policy, std::nullopt, ruleset);
  EXPECT_FALSE(plan.shared);
  EXPECT_EQ(elements_of(ruleset), (Elements{0, 1, 2}));
  EXPECT_GT(ruleset.counters.size(), 3U) << "with room for more";
  PolicyState next = policy_of({1, 7, 2}, {0, 1, 2}, 67);
  carry_rules(policy, std::nullopt, plan.shared, next);
  EXPECT_EQ(next.old_counters, "map_counters");
  EXPECT_EQ(next.chains[0].rules[0].counters[0].carried, 1U);
  EXPECT_EQ(next.chains[0].rules[1].counters[0].carried, std::nullopt);
  EXPECT_EQ(next.chains[0].rules[2].counters[0].carried, 0U);
}

TEST(Counters, ComeToPoliciesThatHadNone) {
  PolicyState policy = policy_of({}, {}, 0);
  policy.has_counters = false;
  policy.maps.clear();
  imr::Ruleset none = ruleset_of({-1, -2});
  EXPECT_FALSE(keep_counters(policy, std::nullopt, none).shared);
  EXPECT_TRUE(none.counters.empty());
  imr::Ruleset ruleset = ruleset_of({-1, 2});
  EXPECT_FALSE(keep_counters(policy, std::nullopt, ruleset).shared);
  EXPECT_EQ(elements_of(ruleset), Elements{0});
  PolicyState next = policy_of({2}, {0}, 65);
  carry_rules(policy, std::nullopt, false, next);
  EXPECT_EQ(next.old_counters, "");
}

TEST(Counters, AreReserved) {
  imr::Ruleset none;
  reserve_counters(none);
  EXPECT_TRUE(none.counters.empty());
  imr::Ruleset ruleset = ruleset_of({1, 2});
  reserve_counters(ruleset);
  EXPECT_GT(ruleset.counters.size(), 60U);
  EXPECT_EQ(elements_of(ruleset), (Elements{0, 1}));
}

}  // namespace
}  // namespace weir::service
