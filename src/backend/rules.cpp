// SPDX-License-Identifier: BSD-2-Clause
#include "backend/rules.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <variant>

#include "backend/answers.h"
#include "backend/records.h"
#include "backend/sets.h"
#include "imr/identity.h"
#include "imr/visit.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

bool goes_elsewhere(const imr::Verdict& verdict) {
  return verdict.kind == imr::Verdict::Kind::jump || verdict.kind == imr::Verdict::Kind::go_to;
}

// Calls `visit` for each place in a rule from which another chain can be entered. What stands
// behind a verdict is never reached, nor what stands behind a map without `continue`. The chains
// that a run leads to are part of its search.
void for_each_site(const imr::Ruleset& ruleset, const SetMaps& sets, const imr::Rule& rule,
                   const std::function<void(imr::ChainId)>& visit) {
  if (rule.run != 0) return;
  for (const imr::Statement& statement : rule.statements) {
    if (const auto* verdict = std::get_if<imr::VerdictStatement>(&statement)) {
      if (goes_elsewhere(verdict->verdict)) visit(verdict->verdict.chain);
      if (verdict->verdict.kind != imr::Verdict::Kind::continue_) return;
    } else if (const auto* map = std::get_if<imr::VerdictMap>(&statement)) {
      bool goes_on = false;
      for (const imr::Verdict& entry : sets.verdicts(ruleset[map->map])) {
        if (goes_elsewhere(entry)) visit(entry.chain);
        goes_on = goes_on || entry.kind == imr::Verdict::Kind::continue_;
      }
      if (!goes_on) return;
    }
  }
}

void merge(Demand& into, const Demand& from) {
  for (const auto& [leaf, times] : from) into[leaf] += times;
}

// What the rules of a chain need, each in itself.
Demand own_demand(const imr::Unit& unit, const SharedMaps& maps,
                  std::span<const imr::RuleId> rules) {
  Demand demand;
  while (!rules.empty()) {
    const std::span<const imr::RuleId> together = run_at(unit.ruleset, rules);
    rules = rules.subspan(together.size());
    const imr::Rule& rule = unit.ruleset[together.front()];
    if (rule.run == 0) {
      add_demand(unit.ruleset, rule.statements, demand);
      continue;
    }
    // As of two rules: the fields of a key are read at the same time.
    const classify::Run& run = maps.runs->place(unit, rule.run).index.run;
    for (const classify::RunField& field : run.fields) {
      add_demand(unit.ruleset, field.expr, demand);
      add_demand(unit.ruleset, field.expr, demand);
    }
    for (const classify::Tail& tail : run.tails) {
      add_demand(unit.ruleset, classify::statements_of(unit.ruleset, tail), demand);
    }
  }
  return demand;
}

// What a root's rules need together, each chain counted once.
Demand root_demand(const imr::Unit& unit, const SharedMaps& maps, imr::ChainId root) {
  Demand demand;
  std::set<imr::ChainId> seen = {root};
  std::vector<imr::ChainId> pending = {root};
  while (!pending.empty()) {
    const imr::ChainId chain = pending.back();
    pending.pop_back();
    merge(demand, own_demand(unit, maps, unit.ruleset[chain].rules));
    for (const imr::RuleId rule : unit.ruleset[chain].rules) {
      for_each_site(unit.ruleset, *maps.sets, unit.ruleset[rule], [&](imr::ChainId target) {
        if (seen.insert(target).second) pending.push_back(target);
      });
    }
  }
  return demand;
}

}  // namespace

RootLowering::RootLowering(Builder& out, const imr::Unit& unit, imr::ChainId root,
                           const Profile& profile, const SharedMaps& shared, Headers headers,
                           const Start& start, BlockId passed, const LowerOptions& options)
    : out_(out),
      unit_(unit),
      ruleset_(unit.ruleset),
      root_(root),
      profile_(profile),
      maps_(shared),
      start_(start),
      passed_(passed),
      network_(headers.network),
      direct_returns_(options.direct_returns),
      direct_rounds_(options.direct_rounds),
      demand_(root_demand(unit, shared, root)),
      values_(out, unit, profile, demand_, *shared.sets, *shared.dynamic_sets, shared.meters,
              headers, start, options.shared_words) {}

void RootLowering::run() {
  count_sites();
  collect_needs();
  out_.set_rule(-1);
  find_levels();
  if (!shared_.empty() && !dispatches_) impossible_ = out_.block();
  std::set<Reg> cleared;
  for (auto& [chain, shared] : shared_) {
    if (cleared.insert(shared.came_from).second) out_.assign_constant(shared.came_from, no_site);
  }
  const BlockId policy = out_.block();
  chain_rules(root_, policy);
  shared_chains();
  out_.set_rule(-1);
  out_.at(policy);
  trace(trace_policy);
  if (ruleset_[root_].base->drop_by_policy) {
    out_.ret(false);
  } else {
    out_.jump(passed_);
  }
  if (!answers_.valid()) return;
  out_.at(answers_);
  backend::answer(out_, maps_.answers, unit_, told_, network_);
}

void RootLowering::count_sites() {
  std::vector<imr::ChainId> pending = {root_};
  while (!pending.empty()) {
    const imr::ChainId chain = pending.back();
    pending.pop_back();
    for (const imr::RuleId rule : ruleset_[chain].rules) {
      for_each_site(ruleset_, *maps_.sets, ruleset_[rule], [&](imr::ChainId target) {
        if (++site_count_[target] == 1) pending.push_back(target);
      });
    }
  }
  unsigned returns = 0;
  for (const auto& [chain, count] : site_count_) {
    if (count < 2) continue;
    shared_[chain] = {.entry = out_.block(), .end = out_.block()};
    returns += count;
  }
  dispatches_ = returns > direct_returns_;
}

// How many shared chains stand on the longest way to each, and the registers that follow from it.
void RootLowering::find_levels() {
  std::map<imr::ChainId, std::size_t> level = {{root_, 0}};
  // Callers first: a chain comes when all sites that enter it have been seen.
  std::map<imr::ChainId, unsigned> unseen = site_count_;
  std::vector<imr::ChainId> ready = {root_};
  while (!ready.empty()) {
    const imr::ChainId chain = ready.back();
    ready.pop_back();
    const std::size_t below = level[chain] + (shared_.contains(chain) ? 1 : 0);
    if (shared_.contains(chain)) shared_[chain].level = level[chain];
    for (const imr::RuleId rule : ruleset_[chain].rules) {
      for_each_site(ruleset_, *maps_.sets, ruleset_[rule], [&](imr::ChainId target) {
        level[target] = std::max(level[target], below);
        if (--unseen[target] == 0) ready.push_back(target);
      });
    }
  }
  std::map<std::size_t, Reg> registers;
  for (auto& [chain, shared] : shared_) {
    Reg& reg = registers[shared.level];
    if (!reg.valid() || !dispatches_) reg = out_.function().new_register();
    shared.came_from = reg;
  }
}

void RootLowering::collect_needs() {
  // Chains form a tree without loops, at most 16 deep; deeper ones first.
  const std::function<const Demand&(imr::ChainId)> needs =
      [&](imr::ChainId chain) -> const Demand& {
    if (const auto found = chain_needs_.find(chain); found != chain_needs_.end()) {
      return found->second;
    }
    Demand demand = own_demand(unit_, maps_, ruleset_[chain].rules);
    for (const imr::RuleId rule : ruleset_[chain].rules) {
      for_each_site(ruleset_, *maps_.sets, ruleset_[rule],
                    [&](imr::ChainId target) { merge(demand, needs(target)); });
    }
    return chain_needs_.emplace(chain, std::move(demand)).first->second;
  };
  (void)needs(root_);
}

bool RootLowering::reaches_shared(imr::ChainId chain) {
  const auto [found, is_new] = reaches_shared_.try_emplace(chain);
  if (is_new) {
    found->second =
        std::ranges::any_of(imr::reachable_chains(ruleset_, chain),
                            [&](imr::ChainId reached) { return shared_.contains(reached); });
  }
  return found->second;
}

void RootLowering::chain_rules(imr::ChainId chain, BlockId end) {
  std::span<const imr::RuleId> rules = ruleset_[chain].rules;
  while (!rules.empty()) {
    const std::span<const imr::RuleId> together = run_at(ruleset_, rules);
    rules = rules.subspan(together.size());
    gather(together, chain);
    if (ruleset_[together.front()].run != 0) {
      run(together, end);
    } else {
      rule(together.front(), end);
    }
  }
  out_.set_rule(-1);
  out_.jump(end);
}

// Whatever these rules and the chains behind them share is made here, in the root chain, which
// every later rule follows. A shared chain's end can, as the verifier sees it, go on behind any of
// its jumps: in front of the first one, everything is made.
void RootLowering::gather(std::span<const imr::RuleId> rules, imr::ChainId chain) {
  if (chain != root_) return;
  Demand needed = own_demand(unit_, maps_, rules);
  bool all = false;
  for (const imr::RuleId id : rules) {
    for_each_site(ruleset_, *maps_.sets, ruleset_[id], [&](imr::ChainId target) {
      merge(needed, chain_needs_.at(target));
      all = all || reaches_shared(target);
    });
  }
  out_.set_rule(-1);
  values_.gather(all ? demand_ : needed);
}

void RootLowering::count(imr::CounterId counter) {
  out_.append(
      {.op = Op::count, .a = values_.length(), .imm = counter.value, .map = maps_.counters});
}

// The number and 1.
void RootLowering::count(Reg counter) {
  out_.append({.op = Op::count,
               .a = values_.length(),
               .b = out_.binary(Op::sub, counter, 1),
               .map = maps_.counters});
}

void RootLowering::statement(const imr::Statement& statement, Owner& owner, BlockId fail) {
  imr::match_on(
      statement,
      [&](const imr::Counter& one) {
        const Reg counter = std::exchange(owner.counter, {});
        return counter.valid() ? count(counter) : count(one.counter);
      },
      [&](const imr::Meter& one) {
        const MeterPlace place = owner.meter ? *std::exchange(owner.meter, std::nullopt)
                                             : place_of(maps_.meters, one.meter);
        take(out_, place, ruleset_.meters.at(one.meter.index()), values_.length(), fail);
      },
      [&](const imr::Choice& choice) { choose(choice, fail); },
      [&](const imr::Log& log) {
        record(out_, maps_.log, profile_, log,
               {.rule = imr::as_written(ruleset_, owner.rule),
                .rule_number = owner.rule_number,
                .number = owner.logs++});
      },
      [&](const imr::MetaWrite& write) {
        values_.write_meta(write.key, values_.evaluate(write.value, fail));
      },
      [&](const imr::PayloadWrite& write) { values_.write_packet(write, fail); },
      [&](const imr::OptionWrite& write) { values_.write_option(write, fail); },
      [&](const imr::OptionStrip& option) { strip(option, fail); },
      [&](const imr::DynamicSet& set_change) { change(set_change, fail); },
      [&](const imr::Match& one) { match(one, fail); },
      [&](const imr::MatchRange& one) { match(one, fail); },
      [&](const imr::MatchSet& one) { match(one, fail); },
      [&](const imr::Forward& one) { send(Op::forward, one.device, fail); },
      [&](const imr::Duplicate& one) { send(Op::duplicate, one.device, fail); },
      [](const imr::Answer&) { throw InvariantError("lowering: an answer that ends nothing"); },
      [](const imr::VerdictStatement&) { throw InvariantError("lowering: a verdict in a tail"); },
      [](const imr::VerdictMap&) { throw InvariantError("lowering: a map in a tail"); },
      [](const imr::Native&) { throw InvariantError("lowering: a native statement is left"); });
}

void RootLowering::rule(imr::RuleId id, BlockId end) {
  const imr::Rule& rule = ruleset_[id];
  current_rule_ = id;
  const BlockId start = [&] {
    out_.set_rule(rule.synthetic ? -1
                                 : static_cast<std::int32_t>(imr::as_written(ruleset_, id).value));
    return out_.block();
  }();
  const std::int32_t label = out_.rule();
  out_.jump(start);
  out_.at(start);
  out_.set_rule(-1);
  const BlockId next = out_.block();
  out_.set_rule(label);
  bool falls_through = true;
  bool forwards = false;
  Owner owner{.rule = id};
  for (const imr::Statement& one : rule.statements) {
    if (const auto* ends = std::get_if<imr::VerdictStatement>(&one)) {
      if (ends->verdict.kind == imr::Verdict::Kind::continue_) continue;
      trace(ends->verdict.kind == imr::Verdict::Kind::accept ||
            ends->verdict.kind == imr::Verdict::Kind::drop);
      if (forwards) {
        out_.ret(flow::Verdict::forwarded);
      } else {
        verdict(ends->verdict, next, end);
      }
      falls_through = false;
      break;
    }
    if (const auto* reply = std::get_if<imr::Answer>(&one)) {
      trace(true);
      answer(*reply);
      falls_through = false;
      break;
    }
    if (const auto* map = std::get_if<imr::VerdictMap>(&one)) {
      falls_through = verdict_map(*map, next, end);
      if (!falls_through) break;
    } else {
      statement(one, owner, next);
      forwards = std::holds_alternative<imr::Forward>(one);
    }
  }
  if (falls_through) {
    trace(false);
    out_.jump(next);
  }
  out_.at(next);
}

// All of a root are made at one place.
void RootLowering::answer(const imr::Answer& answer) {
  if (unit_.nfproto == Nfproto::other) return out_.ret(false);
  const BlockId beyond = answer.limit ? out_.block() : BlockId();
  if (answer.limit) {
    take(out_, place_of(maps_.meters, *answer.limit), ruleset_.meters.at(answer.limit->index()), {},
         beyond);
  }
  if (!answers_.valid()) {
    answers_ = out_.block();
    told_ = out_.function().new_register();
  }
  out_.assign_constant(told_, told_of(answer, unit_.nfproto));
  out_.jump(answers_);
  if (!answer.limit) return;
  out_.at(beyond);
  out_.ret(false);
}

void RootLowering::send(Op op, imr::ExprId device, BlockId fail) {
  const Words index = recut(out_, values_.evaluate(device, fail), {4});
  out_.append({.op = op, .a = index.front().reg});
}

// A drop, where it comes to one, is the rule's.
void RootLowering::strip(const imr::OptionStrip& strip, BlockId fail) {
  const BlockId drop = out_.block();
  values_.strip_option(strip, fail, drop);
  const BlockId on = out_.current();
  out_.at(drop);
  trace(true);
  out_.ret(false);
  out_.at(on);
}

void RootLowering::match(const imr::Match& match, BlockId fail) {
  Words value = match.op == imr::Relop::eq ? values_.evaluate_to_equal(match.lhs, fail)
                                           : values_.evaluate(match.lhs, fail);
  if (total_size(value) != match.rhs.size()) {
    value = recut(out_, value, cut_sizes(match.rhs.size()));
  }
  if (match.op == imr::Relop::eq || match.op == imr::Relop::ne) {
    const Reg different = difference(out_, value, match.rhs);
    out_.leave_if(match.op == imr::Relop::eq ? Condition::ne : Condition::eq, different, 0, fail);
    return;
  }
  const bool less = match.op == imr::Relop::lt || match.op == imr::Relop::le;
  const bool or_equal = match.op == imr::Relop::le || match.op == imr::Relop::gt;
  const BlockId on = out_.block();
  // a > b is not a <= b, a >= b is not a < b.
  branch_less(out_, big_endian_chunks(out_, value), big_endian_chunks(match.rhs), or_equal,
              less ? on : fail, less ? fail : on);
  out_.at(on);
}

void RootLowering::match(const imr::MatchRange& match, BlockId fail) {
  Words value = values_.evaluate(match.lhs, fail);
  if (total_size(value) != match.from.size()) {
    value = recut(out_, value, cut_sizes(match.from.size()));
  }
  const std::vector<Reg> chunks = big_endian_chunks(out_, value);
  const std::vector<std::uint64_t> from = big_endian_chunks(match.from);
  const std::vector<std::uint64_t> to = big_endian_chunks(match.to);
  if (chunks.size() == 1 && from.front() <= to.front()) {
    // One comparison: the distance from the lower end wraps around below it.
    const Reg distance = out_.binary(Op::sub, chunks.front(), from.front());
    out_.leave_if(match.inverted ? Condition::le : Condition::gt, distance,
                  to.front() - from.front(), fail);
    return;
  }
  const BlockId on = out_.block();
  const BlockId outside = match.inverted ? on : fail;
  const BlockId inside = match.inverted ? fail : on;
  const BlockId above = out_.block();
  branch_less(out_, chunks, from, false, outside, above);
  out_.at(above);
  branch_less(out_, chunks, to, true, inside, outside);
  out_.at(on);
}

// The statements of an element run where it is a match to find it.
void RootLowering::match_living(const imr::MatchSet& match, BlockId fail) {
  const imr::Set& set = ruleset_[match.set];
  const Words key = values_.evaluate(match.key, fail);
  DynamicCode code(out_, set, maps_.dynamic_sets->place(set));
  if (match.inverted) {
    const BlockId on = out_.block();
    static_cast<void>(code.find(key, on));
    out_.jump(fail);
    out_.at(on);
    return;
  }
  code.run(code.find(key, fail), values_.length(), fail);
}

void RootLowering::change(const imr::DynamicSet& change, BlockId fail) {
  const imr::Set& set = ruleset_[change.set];
  const Words key = values_.evaluate(change.key, fail);
  DynamicCode code(out_, set, maps_.dynamic_sets->place(set));
  if (change.op == imr::DynamicSet::Op::remove) return code.remove(key);
  const Words data = change.data ? values_.evaluate(*change.data, fail) : Words();
  const Reg length = values_.length();
  const BlockId on = out_.block();
  const BlockId full = change.inverted ? on : fail;
  code.run(code.change(change, key, data, full), length, fail);
  out_.jump(change.inverted ? fail : on);
  out_.at(on);
}

void RootLowering::match(const imr::MatchSet& match, BlockId fail) {
  if (ruleset_[match.set].dynamic) return match_living(match, fail);
  const BlockId on = out_.block();
  search(ruleset_[match.set], match.key, match.inverted ? fail : on, match.inverted ? on : fail,
         fail);
  out_.at(on);
}

void RootLowering::search(const imr::Set& set, imr::ExprId expr, BlockId member, BlockId stranger,
                          BlockId absent) {
  Words key = values_.evaluate(expr, absent);
  if (total_size(key) != set.key_size) key = recut(out_, key, cut_sizes(set.key_size));
  search_set(out_,
             {.set = set,
              .place = maps_.sets->place(set),
              .hits = {member},
              .miss = set.catch_all ? member : stranger},
             key, start_);
}

bool RootLowering::verdict_map(const imr::VerdictMap& statement, BlockId next, BlockId end) {
  const imr::Set& map = ruleset_[statement.map];
  Words key = values_.evaluate(statement.key, next);
  if (total_size(key) != map.key_size) key = recut(out_, key, cut_sizes(map.key_size));
  const std::vector<imr::Verdict>& verdicts = maps_.sets->verdicts(map);
  SetSearch search{.set = map, .place = maps_.sets->place(map), .hits = {}, .miss = next};
  for (std::size_t i = 0; i < verdicts.size(); ++i) search.hits.push_back(out_.block());
  if (map.catch_all) {
    const auto last = std::ranges::find(verdicts, *map.catch_all->verdict) - verdicts.begin();
    search.miss = search.hits.at(static_cast<std::size_t>(last));
  }
  search_set(out_, search, key, start_);

  BlockId on;  // behind the statement, for `continue`
  const imr::RuleId rule = current_rule_;
  const std::int32_t label = out_.rule();
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    current_rule_ = rule;
    out_.set_rule(label);
    out_.at(search.hits[i]);
    if (verdicts[i].kind == imr::Verdict::Kind::continue_) {
      on = out_.block();
      out_.jump(on);
      continue;
    }
    trace(verdicts[i].kind == imr::Verdict::Kind::accept ||
          verdicts[i].kind == imr::Verdict::Kind::drop);
    verdict(verdicts[i], next, end);
  }
  current_rule_ = rule;
  out_.set_rule(label);
  if (!on.valid()) return false;
  out_.at(on);
  return true;
}

void RootLowering::verdict(const imr::Verdict& verdict, BlockId next, BlockId end) {
  switch (verdict.kind) {
    case imr::Verdict::Kind::accept:
      out_.jump(passed_);
      return;
    case imr::Verdict::Kind::drop:
      out_.ret(false);
      return;
    case imr::Verdict::Kind::return_:
      out_.jump(end);
      return;
    case imr::Verdict::Kind::jump:
      call(verdict.chain, next);
      return;
    case imr::Verdict::Kind::go_to:
      call(verdict.chain, end);
      return;
    case imr::Verdict::Kind::continue_:
    case imr::Verdict::Kind::queue:
      break;
  }
  throw InvariantError("lowering: a verdict that ends nothing");
}

void RootLowering::call(imr::ChainId chain, BlockId back) {
  const auto found = shared_.find(chain);
  if (found == shared_.end()) {
    chain_rules(chain, back);
    return;
  }
  SharedChain& shared = found->second;
  if (dispatches_) {
    // The number of a site is that of the block where it goes on.
    out_.append({.op = Op::site, .dst = shared.came_from, .imm = back.value});
    shared.sites.push_back(back);
    out_.jump(shared.entry);
    return;
  }
  const std::uint64_t site = shared.sites.size();
  out_.assign_opaque(shared.came_from, start_.opaque, site);
  if (site > 0) out_.leave_if(Condition::lt, shared.came_from, site, impossible_);
  shared.sites.push_back(back);
  out_.jump(shared.entry);
}

// Callers come before those they call, so that a site's number is above those of the sites that
// its chain's callers have.
void RootLowering::shared_chains() {
  std::vector<imr::ChainId> order;
  for (const auto& [chain, shared] : shared_) order.push_back(chain);
  std::ranges::sort(order, {},
                    [&](imr::ChainId chain) { return std::pair(shared_[chain].level, chain); });
  for (const imr::ChainId chain : order) {
    SharedChain& shared = shared_[chain];
    invariant(!shared.sites.empty(), "lowering: a shared chain that nothing enters");
    out_.at(shared.entry);
    chain_rules(chain, shared.end);
  }
  out_.set_rule(-1);
  if (dispatches_) {
    dispatch_ends();
  } else if (!shared_.empty()) {
    branching_ends();
  }
}

void RootLowering::dispatch_ends() {
  for (auto& [chain, shared] : shared_) {
    std::ranges::sort(shared.sites);
    const auto repeated = std::ranges::unique(shared.sites);
    shared.sites.erase(repeated.begin(), repeated.end());
    std::vector<flow::Site> sites;
    for (const BlockId site : shared.sites) sites.push_back({site.value, site});
    out_.at(shared.end);
    out_.dispatch(shared.came_from, std::move(sites));
  }
}

void RootLowering::branching_ends() {
  for (auto& [chain, shared] : shared_) {
    out_.at(shared.end);
    for (std::size_t i = 0; i < shared.sites.size(); ++i) {
      const BlockId leaving = out_.block();
      const BlockId another = out_.block();
      out_.branch(Condition::eq, shared.came_from, i, leaving, another);
      out_.at(leaving);
      out_.assign_constant(shared.came_from, no_site);
      out_.jump(shared.sites[i]);
      out_.at(another);
    }
    out_.jump(impossible_);
  }
  out_.at(impossible_);
  out_.ret(false);
}

void RootLowering::trace(bool decided) {
  const imr::Rule& rule = ruleset_[current_rule_];
  if (rule.synthetic) return;
  trace(imr::as_written(ruleset_, current_rule_).value | (decided ? trace_decided : 0));
}

void RootLowering::trace(std::uint32_t entry) {
  if (maps_.trace.valid()) out_.append({.op = Op::trace, .imm = entry, .map = maps_.trace});
}

}  // namespace weir::backend
