// SPDX-License-Identifier: BSD-2-Clause
//
// Runs of rules: their key, the search, and what becomes of a packet that meets one of them.
#include <algorithm>
#include <memory>
#include <variant>

#include "backend/rules.h"
#include "backend/run_tree.h"
#include "backend/tuple_search.h"
#include "backend/vector_search.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

void RootLowering::run(std::span<const imr::RuleId> rules, BlockId end) {
  const RunPlace& place = maps_.runs->place(unit_, ruleset_[rules.front()].run);
  out_.set_rule(-1);
  const BlockId start = out_.block();
  out_.jump(start);
  out_.at(start);
  const BlockId next = out_.block();
  const std::vector<Reg> key = run_key(place.index.run, next);
  if (const auto* tree = std::get_if<classify::DecisionTree>(&place.index.structure)) {
    const RunTree::Effects effects{
        .meet = [&](const classify::RunAction& action, BlockId fail) { meet(action, fail); },
        .end = [&](const classify::RunAction& action) { end_run(action, end); }};
    RunTree(out_, ruleset_, place.index.run, *tree, key, start_.opaque, effects).emit(next);
  } else {
    const std::unique_ptr<RunSearch> search = search_of(place, key);
    search->first(next);
    run_action(place, *search, end, next);
  }
  out_.at(next);
}

std::unique_ptr<RunSearch> RootLowering::search_of(const RunPlace& place,
                                                   std::span<const Reg> key) {
  if (std::holds_alternative<classify::BitVectors>(place.index.structure)) {
    return std::make_unique<VectorSearch>(out_, place, key, start_.opaque);
  }
  return std::make_unique<TupleSearch>(out_, place, key, start_.opaque, start_.turn,
                                       direct_rounds_);
}

void RootLowering::meet(const classify::RunAction& action, BlockId fail) {
  if (action.counter.valid()) count(action.counter);
  if (action.mark) values_.write_meta(imr::MetaKey::mark, {{out_.constant(*action.mark), 4}});
  if (action.tail) {
    Owner owner{.rule = action.rule};
    for (const imr::Statement& one : classify::statements_of(ruleset_, *action.tail)) {
      if (!std::holds_alternative<imr::Answer>(one)) statement(one, owner, fail);
    }
  }
  const std::uint32_t entry = trace_entry(ruleset_, action);
  if (entry != run_untraced) trace(entry);
}

void RootLowering::end_run(const classify::RunAction& action, BlockId end) {
  switch (action.end) {
    case classify::RunAction::End::accept:
      out_.jump(passed_);
      return;
    case classify::RunAction::End::drop: {
      if (!action.tail) return out_.ret(false);
      const auto* reply = classify::answer_of(ruleset_, *action.tail);
      if (reply != nullptr) return answer(*reply);
      return out_.ret(classify::forwards(ruleset_, *action.tail) ? flow::Verdict::forwarded
                                                                 : flow::Verdict::drop);
    }
    case classify::RunAction::End::leave:
      out_.jump(end);
      return;
    case classify::RunAction::End::on:
      break;
  }
  throw InvariantError("lowering: a rule that ends no run");
}

// Whether the field's set has the value, 1 or 0.
Reg RootLowering::membership(const classify::RunField& field, BlockId absent) {
  const Reg is_in = out_.function().new_register();
  const BlockId member = out_.block();
  const BlockId stranger = out_.block();
  const BlockId join = out_.block();
  search(ruleset_[field.set], field.expr, member, stranger, absent);
  out_.at(member);
  out_.assign_opaque(is_in, start_.opaque, 1);
  out_.jump(join);
  out_.at(stranger);
  out_.assign_opaque(is_in, start_.opaque);
  out_.jump(join);
  out_.at(join);
  return is_in;
}

// A register for each field. Of a value that may be absent it is the number that stands for none;
// `never` is where a packet would go that has not what every packet has.
std::vector<Reg> RootLowering::run_key(const classify::Run& run, BlockId never) {
  std::vector<Reg> key;
  for (std::size_t i = 0; i < run.fields.size();) {
    const classify::RunField& field = run.fields[i];
    const BlockId absent = field.may_be_absent ? out_.block() : never;
    const std::vector<Reg> chunks =
        field.set.valid() ? std::vector{membership(field, absent)}
                          : big_endian_chunks(out_, values_.evaluate(field.expr, absent));
    if (!field.may_be_absent) {
      key.insert(key.end(), chunks.begin(), chunks.end());
    } else {
      const Reg value = out_.function().new_register();
      const BlockId join = out_.block();
      out_.append({.op = Op::add, .dst = value, .a = chunks.front(), .b = start_.opaque});
      out_.jump(join);
      out_.at(absent);
      out_.assign_opaque(value, start_.opaque, std::uint64_t{1} << field.value_bits());
      out_.jump(join);
      out_.at(join);
      key.push_back(value);
    }
    i += chunks.size();
  }
  return key;
}

void RootLowering::run_action(const RunPlace& place, RunSearch& search, BlockId end, BlockId next) {
  const std::vector<classify::RunAction>& actions = place.index.run.actions;
  const auto counts = [](const classify::RunAction& one) { return one.counter.valid(); };
  if (std::ranges::any_of(actions, counts)) {
    const Reg counter = search.counter();
    const BlockId counted = out_.block();
    out_.leave_if(Condition::eq, counter, 0, counted);
    count(counter);
    out_.jump(counted);
    out_.at(counted);
  }
  if (writes_marks(place.index.run)) {
    const BlockId marked = out_.block();
    out_.leave_if(Condition::eq, search.is_marking(), 0, marked);
    values_.write_meta(imr::MetaKey::mark, {{search.mark(), 4}});
    out_.jump(marked);
    out_.at(marked);
  }
  if (!place.index.run.tails.empty()) run_tails(place.index.run, search, next);
  // Of a traced program, too, all may be returns of chains, which no rule stands for.
  if (std::ranges::any_of(actions, &classify::RunAction::matched)) trace_met(search);
  const Reg how = search.end();
  const auto is = [&](RunEnd one) {
    const BlockId there = out_.block();
    out_.leave_if(Condition::eq, how, static_cast<std::uint64_t>(one), there);
    return there;
  };
  const BlockId drop = is(RunEnd::drop);
  const BlockId leave = is(RunEnd::leave);
  if (place.index.goes_on()) {
    const BlockId on = is(RunEnd::on);
    out_.leave_if(Condition::eq, how, static_cast<std::uint64_t>(RunEnd::behind), next);
    out_.jump(passed_);
    out_.at(on);
    search.resume(search.resume_at());
  } else {
    out_.jump(passed_);
  }
  out_.at(drop);
  out_.ret(false);
  out_.at(leave);
  out_.jump(end);
}

void RootLowering::trace_met(RunSearch& search) {
  if (!maps_.trace.valid()) return;
  const Reg entry = search.trace_entry();
  const BlockId traced = out_.block();
  out_.leave_if(Condition::eq, entry, run_untraced, traced);
  out_.append({.op = Op::trace, .b = entry, .map = maps_.trace});
  out_.jump(traced);
  out_.at(traced);
}

void RootLowering::run_tails(const classify::Run& run, RunSearch& search, BlockId next) {
  const BlockId done = out_.block();
  const bool any_fails = std::ranges::any_of(run.actions, &classify::RunAction::may_fail);
  const BlockId failed = any_fails ? out_.block() : done;
  const Reg code = search.code();
  out_.leave_if(Condition::eq, code, 0, done);
  for (std::size_t i = 0; i < run.tails.size(); ++i) {
    const bool is_last = i + 1 == run.tails.size();
    const BlockId another = is_last ? done : out_.block();
    if (!is_last) out_.leave_if(Condition::ne, code, i + 1, another);
    const classify::Tail& tail = run.tails[i];
    Owner owner{.rule = tail.rule, .rule_number = search.rule()};
    if (classify::meter_of(ruleset_, tail).valid()) {
      owner.meter = place_of(out_, maps_.meters, search.tail_meter(), ruleset_.meters);
    }
    if (classify::counter_of(ruleset_, tail).valid()) owner.counter = search.tail_counter();
    const imr::Answer* const reply = classify::answer_of(ruleset_, tail);
    for (const imr::Statement& one : classify::statements_of(ruleset_, tail)) {
      if (!std::holds_alternative<imr::Answer>(one)) statement(one, owner, failed);
    }
    if (reply != nullptr) {
      trace_met(search);
      answer(*reply);
    } else if (classify::forwards(ruleset_, tail)) {
      trace_met(search);
      out_.ret(flow::Verdict::forwarded);
    } else {
      out_.jump(done);
    }
    if (!is_last) out_.at(another);
  }
  if (any_fails) {
    out_.at(failed);
    const Reg from = search.otherwise();
    out_.leave_if(Condition::eq, from, 0, next);
    search.resume(from);
  }
  out_.at(done);
}

}  // namespace weir::backend
