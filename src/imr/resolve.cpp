// SPDX-License-Identifier: BSD-2-Clause
#include "imr/resolve.h"

#include <algorithm>
#include <utility>

#include "imr/lexer.h"
#include "imr/visit.h"

namespace weir::imr {
namespace {

[[noreturn]] void fail(std::string message, const SourceLocation& location) {
  throw TextError{input_error(std::move(message), location).error()};
}

// Gives each draft with a number that number and the others the lowest free ones, in order. Drafts
// may share a number where `shared`.
template <typename IdType, typename DraftType>
std::vector<IdType> number_all(const std::vector<DraftType>& drafts, bool shared,
                               const std::string& what) {
  std::vector<bool> taken(drafts.size());
  std::vector<IdType> ids(drafts.size());
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    if (!drafts[i].number) continue;
    const std::size_t number = *drafts[i].number;
    const std::string name = what + " #" + std::to_string(number);
    if (number >= drafts.size()) {
      fail(name + " leaves a gap, expected numbers from 0 on", drafts[i].location);
    }
    if (taken[number] && !shared) fail("second " + name, drafts[i].location);
    taken[number] = true;
    ids[i] = IdType(number);
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    if (drafts[i].number) continue;
    while (taken[next]) ++next;
    taken[next] = true;
    ids[i] = IdType(next);
  }
  return ids;
}

}  // namespace

RuleDraft& Draft::add_rule(ChainId chain, SourceLocation location) {
  RuleDraft& draft = rules_.emplace_back();
  draft.location = std::move(location);
  draft.index = rules_.size() - 1;
  draft.listed_in = chain;
  return draft;
}

CounterId Draft::add_counter(CounterDraft counter) {
  counters_.push_back(std::move(counter));
  return CounterId(counters_.size() - 1);
}

MeterId Draft::add_meter(MeterDraft meter) {
  meters_.push_back(std::move(meter));
  return MeterId(meters_.size() - 1);
}

Draft::Name Draft::qualify(TableId table, std::string name, SourceLocation location) const {
  return {.family = ruleset[table].family,
          .table = ruleset[table].name,
          .name = std::move(name),
          .location = std::move(location)};
}

ChainId Draft::chain_named(TableId table, std::string name, SourceLocation location) {
  chain_names_.push_back(qualify(table, std::move(name), std::move(location)));
  return ChainId(chain_names_.size() - 1);
}

SetId Draft::set_named(TableId table, std::string name, SourceLocation location) {
  set_names_.push_back(qualify(table, std::move(name), std::move(location)));
  return SetId(set_names_.size() - 1);
}

void Draft::root(Family family, std::string table, std::string chain, SourceLocation location,
                 std::vector<ChainId>& roots) {
  chain_names_.push_back({.family = family,
                          .table = std::move(table),
                          .name = std::move(chain),
                          .location = std::move(location)});
  roots.emplace_back(chain_names_.size() - 1);
}

ChainId Draft::final_chain(ChainId provisional) const {
  const Name& wanted = chain_names_.at(provisional.index());
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    const Chain& chain = ruleset.chains[i];
    const Table& table = ruleset[chain.table];
    if (chain.name == wanted.name && table.name == wanted.table && table.family == wanted.family) {
      return ChainId(i);
    }
  }
  fail("unknown chain '" + wanted.name + "', expected one of table " +
           std::string(to_string(wanted.family)) + " " + wanted.table,
       wanted.location);
}

SetId Draft::final_set(SetId provisional) const {
  const Name& wanted = set_names_.at(provisional.index());
  for (std::size_t i = 0; i < ruleset.sets.size(); ++i) {
    const Set& set = ruleset.sets[i];
    const Table& table = ruleset[set.table];
    if (set.name == wanted.name && table.name == wanted.table && table.family == wanted.family) {
      return SetId(i);
    }
  }
  fail("unknown set '" + wanted.name + "', expected one of table " +
           std::string(to_string(wanted.family)) + " " + wanted.table,
       wanted.location);
}

std::vector<RuleId> Draft::number_rules() const {
  return number_all<RuleId>(rules_, false, "rule");
}

std::vector<CounterId> Draft::place_counters(const std::vector<RuleId>& rules) {
  // A counter that several rules name is one counter: it counts once towards the numbers there are.
  std::vector<CounterId> ids = number_all<CounterId>(counters_, true, "counter");
  std::vector<std::optional<CounterState>> states(counters_.size());
  std::size_t used = 0;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const CounterDraft& draft = counters_[i];
    const std::string name = "counter #" + std::to_string(ids[i].value);
    if (draft.owner && *draft.owner >= rules_.size()) {
      fail(name + " belongs to rule #" + std::to_string(*draft.owner) + ", which is not there",
           draft.location);
    }
    const RuleId owner = draft.owner ? RuleId(*draft.owner) : rules[*draft.rule];
    std::optional<CounterState>& state = states[ids[i].index()];
    if (!state) {
      state = CounterState{
          .rule = owner, .packets = draft.packets, .bytes = draft.bytes, .name = draft.name};
      used = std::max(used, ids[i].index() + 1);
    } else if (state->rule != owner || state->packets != draft.packets ||
               state->bytes != draft.bytes || state->name != draft.name) {
      fail(name + " differs from the same counter above, expected the same numbers, name and rule",
           draft.location);
    }
  }
  for (std::size_t i = 0; i < used; ++i) {
    if (!states[i]) fail("counter #" + std::to_string(i) + " is missing", counters_[0].location);
    ruleset.add(*states[i]);
  }
  return ids;
}

std::vector<MeterId> Draft::place_meters() {
  std::vector<MeterId> ids = number_all<MeterId>(meters_, true, "meter");
  std::vector<std::optional<MeterState>> states(meters_.size());
  std::size_t used = 0;
  for (std::size_t i = 0; i < meters_.size(); ++i) {
    std::optional<MeterState>& state = states[ids[i].index()];
    if (!state) state = meters_[i].state;
    used = std::max(used, ids[i].index() + 1);
    if (*state != meters_[i].state) {
      fail("meter #" + std::to_string(ids[i].value) +
               " differs from the same meter above, expected the same numbers",
           meters_[i].location);
    }
  }
  for (std::size_t i = 0; i < used; ++i) {
    if (!states[i]) fail("meter #" + std::to_string(i) + " is missing", meters_[0].location);
    ruleset.add(*states[i]);
  }
  return ids;
}

void Draft::resolve(Verdict& verdict) const {
  if (verdict.kind == Verdict::Kind::jump || verdict.kind == Verdict::Kind::go_to) {
    verdict.chain = final_chain(verdict.chain);
  }
}

void Draft::resolve_statements(Rule& rule, const std::vector<CounterId>& counters,
                               const std::vector<MeterId>& meters) const {
  for (Statement& statement : rule.statements.edit()) {
    match_on(
        statement, [](Match&) {}, [](MatchRange&) {},
        [&](MatchSet& s) { s.set = final_set(s.set); },
        [&](VerdictMap& s) { s.map = final_set(s.map); },
        [&](VerdictStatement& s) { resolve(s.verdict); },
        [&](Counter& s) { s.counter = counters[s.counter.index()]; },
        [&](Meter& s) { s.meter = meters[s.meter.index()]; },
        [&](Choice& s) {
          for (CounterId& id : s.counters.edit()) id = counters[id.index()];
          for (MeterId& id : s.meters.edit()) id = meters[id.index()];
        },
        [](MetaWrite&) {}, [](PayloadWrite&) {}, [](OptionWrite&) {}, [](OptionStrip&) {},
        [&](Answer& s) {
          if (s.limit) s.limit = meters[s.limit->index()];
        },
        [](Forward&) {}, [](Duplicate&) {}, [&](DynamicSet& s) { s.set = final_set(s.set); },
        [](Log&) {}, [](Native&) {});
  }
}

void Draft::resolve_rules(const std::vector<RuleId>& rules) {
  const std::vector<CounterId> counters = place_counters(rules);
  const std::vector<MeterId> meters = place_meters();
  for (Expr& expr : ruleset.exprs) {
    if (auto* numgen = std::get_if<Numgen>(&expr)) numgen->meter = meters[numgen->meter.index()];
  }
  ruleset.rules.edit().resize(rules_.size());
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    RuleDraft& draft = rules_[i];
    Rule& rule = draft.rule;
    rule.chain = draft.written_in ? final_chain(*draft.written_in) : draft.listed_in;
    if (draft.copy_of) {
      if (*draft.copy_of >= rules_.size()) {
        fail("copy of rule #" + std::to_string(*draft.copy_of) + ", which is not there",
             draft.location);
      }
      rule.copy_of = RuleId(*draft.copy_of);
    }
    resolve_statements(rule, counters, meters);
    if (!draft.removed) ruleset[draft.listed_in].rules.push_back(rules[i]);
    ruleset[rules[i]] = std::move(rule);
  }
}

Ruleset Draft::finish(std::vector<ChainId>& roots) {
  for (ChainId& root : roots) root = final_chain(root);
  for (Expr& expr : ruleset.exprs) {
    if (auto* lookup = std::get_if<MapLookup>(&expr)) lookup->map = final_set(lookup->map);
  }
  for (Set& set : ruleset.sets) {
    if (set.is_verdict_map) {
      for (Element& element : set.elements.edit()) resolve(*element.verdict);
    }
    if (set.catch_all && set.catch_all->verdict) resolve(*set.catch_all->verdict);
  }
  resolve_rules(number_rules());
  return std::move(ruleset);
}

}  // namespace weir::imr
