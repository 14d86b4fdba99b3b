// SPDX-License-Identifier: BSD-2-Clause
#include "service/rule_session.h"

#include <utility>

#include "service/rule_swap.h"
#include "service/store.h"

namespace weir::service {

bool RuleSession::is_current() const {
  return known_ && look_at(policy_, paths_) == files_;
}

void RuleSession::note_files() {
  files_ = look_at(policy_, paths_);
}

Result<RuleSession> RuleSession::open(const std::string& policy, const Paths& paths) {
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  RuleSession out(policy, paths);
  WEIR_CHECK(out.learn());
  return out;
}

Status RuleSession::learn() {
  rules_.reset();
  known_ = false;
  WEIR_TRY(policy, load_changeable(policy_, paths_));
  // A journal that another process has left is done with before this one begins its own.
  if (look_at(paths_.journal(policy_)) != FileState()) WEIR_CHECK(save(policy, paths_));
  WEIR_TRY(rules, compile_rules(policy));
  WEIR_TRY(in_place, RulesInPlace::create(policy, std::move(rules), paths_));
  rules_ = std::move(in_place);
  known_ = true;
  note_files();
  return {};
}

Result<RuleSession::Done> RuleSession::swap(const RuleChange& change, const StepHook& at_step) {
  WEIR_TRY(policy, load_changeable(policy_, paths_));
  auto swapped = swap_rules(policy, change, paths_, at_step);
  if (!swapped) {
    // What is known stays good where nothing has changed.
    known_ = is_current() && (!rules_ || rules_->is_true());
    return std::unexpected(swapped.error());
  }
  rules_.reset();
  known_ = false;
  const Done done = {.in_place = false, .handle = swapped->handle};
  auto in_place = RulesInPlace::create(swapped->policy, std::move(swapped->rules), paths_);
  // The change is in force, whatever becomes of the next one.
  if (!in_place) return done;
  rules_ = std::move(*in_place);
  known_ = true;
  note_files();
  return done;
}

Result<RuleSession::Done> RuleSession::change(const RuleChange& change, const StepHook& at_step) {
  WEIR_CHECK(check_rule_words(change.words));
  const auto held = lock(paths_);
  if (!held) return std::unexpected(held.error());
  if (!is_current()) WEIR_CHECK(learn());
  if (rules_) {
    rules_->tidy_up(at_step);
    auto done = rules_->change(change, at_step);
    note_files();
    if (!done) {
      known_ = rules_->is_true();
      return std::unexpected(done.error());
    }
    if (*done) return Done{.in_place = true, .handle = (*done)->handle};
  }
  return swap(change, at_step);
}

Status RuleSession::tidy_up(const StepHook& at_step) {
  if (!rules_) return {};
  const auto held = lock(paths_);
  if (!held) return std::unexpected(held.error());
  if (is_current()) rules_->tidy_up(at_step);
  return {};
}

}  // namespace weir::service
