// SPDX-License-Identifier: BSD-2-Clause
#include "driver/in_place.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "classify/runs.h"
#include "imr/excerpt.h"
#include "imr/identity.h"
#include "passes/imr_dead_rules.h"
#include "passes/imr_fold_constants.h"
#include "passes/imr_resolve_fields.h"

namespace weir::driver {
namespace {

using backend::RunEditor;
using backend::TupleLayout;

// A run whose rules can change.
struct Place {
  imr::Ruleset exprs;  // those of the key, and nothing else
  classify::Run key;   // its fields and sources, of `exprs`
  RunEditor editor;
  std::map<imr::RuleId, RunEditor::Entries> entries;  // of the rules of the source ruleset
};

Place place_of(const imr::Unit& unit, const backend::RunPlace& from, Bytes value) {
  imr::Ruleset exprs;
  imr::Excerpt excerpt(unit.ruleset, exprs);
  classify::Run key{.fields = from.index.run.fields,
                    .sources = from.index.run.sources,
                    .list = classify::RuleList({1}),
                    .action = {},
                    .actions = {},
                    .rules = {}};
  const auto take = [&](auto& one) {
    one.expr = excerpt.expr(one.expr);
    if (one.set.valid()) one.set = excerpt.set(one.set);
  };
  std::ranges::for_each(key.fields, take);
  std::ranges::for_each(key.sources, take);
  Place out{.exprs = std::move(exprs),
            .key = std::move(key),
            .editor = RunEditor(from, std::move(value)),
            .entries = {}};
  const auto& tables = std::get<classify::TupleTables>(from.index.structure);
  std::vector<std::uint32_t> entry_of(from.index.run.action.size());
  for (std::size_t i = 0; i < tables.entries.size(); ++i) {
    entry_of[tables.entries[i].rule] = static_cast<std::uint32_t>(i + 1);
  }
  for (const imr::RuleId rule : from.index.run.rules) {
    out.entries[imr::as_written(unit.ruleset, rule)];
  }
  for (std::size_t i = 0; i < entry_of.size(); ++i) {
    const classify::RunAction& action = from.index.run.actions[from.index.run.action[i]];
    if (action.rule.valid()) {
      out.entries[imr::as_written(unit.ruleset, action.rule)].push_back(entry_of[i]);
    }
  }
  return out;
}

}  // namespace

// What an edit changes for one network protocol of one program.
class InPlace::Half {
 public:
  Half(const imr::Unit& source, const imr::Unit& optimized, const Compilation& compilation);

  // False where it cannot be done.
  [[nodiscard]] bool change(const imr::Ruleset& ruleset, const imr::RuleEdit& edit,
                            std::uint32_t turn, backend::RunChange& out);
  void add_maps(std::vector<isa::MapIndex>& to) const {
    to.insert(to.end(), maps_.begin(), maps_.end());
  }

 private:
  // Of rules of the source ruleset.
  static constexpr std::uint32_t nowhere = 0;    // no packet of the unit meets it
  static constexpr std::uint32_t elsewhere = 1;  // not in a run that can change, or several times
  // From 2 on: the number of the place and 2.

  [[nodiscard]] std::uint32_t where(imr::RuleId rule) const {
    return rule.index() < where_.size() ? where_[rule.index()] : nowhere;
  }
  void be_at(imr::RuleId rule, std::uint32_t where);
  void find_rules(const imr::Unit& optimized, const backend::RunMaps& runs,
                  const std::vector<isa::MapSpec>& maps);
  [[nodiscard]] bool remove(imr::RuleId rule, std::uint32_t turn, backend::RunChange& out);
  [[nodiscard]] bool add(const imr::Ruleset& ruleset, imr::RuleId rule, std::uint32_t turn,
                         backend::RunChange& out);
  // The rule as this unit's passes leave it, in a ruleset that has the expressions of a key.
  [[nodiscard]] imr::Unit alone(const imr::Ruleset& ruleset, imr::RuleId rule,
                                const imr::Ruleset& exprs) const;

  Nfproto nfproto_;
  Hook hook_;
  std::set<imr::ChainId> chains_;  // that packets reach
  std::vector<std::uint32_t> where_;
  std::vector<Place> places_;
  std::vector<isa::MapIndex> maps_;  // of the places
};

InPlace::Half::Half(const imr::Unit& source, const imr::Unit& optimized,
                    const Compilation& compilation)
    : nfproto_(source.nfproto), hook_(source.hook) {
  for (const imr::ChainId root : source.roots) {
    const std::vector<imr::ChainId> reached = imr::reachable_chains(source.ruleset, root);
    chains_.insert(reached.begin(), reached.end());
  }
  where_.assign(source.ruleset.rules.size(), nowhere);
  find_rules(optimized, *compilation.run_maps, compilation.object.maps);
}

void InPlace::Half::be_at(imr::RuleId rule, std::uint32_t where) {
  if (rule.index() >= where_.size()) where_.resize(rule.index() + 1, nowhere);
  where_[rule.index()] = where;
}

// A rule that is met in several places, or a run with rules of several chains, is left alone: where
// a rule of such a chain belongs is not told by its neighbours.
void InPlace::Half::find_rules(const imr::Unit& optimized, const backend::RunMaps& runs,
                               const std::vector<isa::MapSpec>& maps) {
  std::map<imr::ChainId, bool> once;  // by the chain as written
  std::set<imr::ChainId> seen;
  for (const imr::ChainId root : optimized.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(optimized.ruleset, root)) {
      if (!seen.insert(chain).second) continue;
      for (const imr::RuleId id : optimized.ruleset[chain].rules) {
        const imr::RuleId rule = imr::as_written(optimized.ruleset, id);
        if (rule.index() >= where_.size()) continue;  // made by a pass
        bool& alone = once.try_emplace(optimized.ruleset[rule].chain, true).first->second;
        alone = alone && where(rule) == nowhere;
        be_at(rule, elsewhere);
      }
    }
  }
  for (const auto& [number, place] : runs.runs_of(optimized)) {
    if (!std::holds_alternative<TupleLayout>(place->layout)) continue;
    const std::vector<imr::RuleId>& rules = place->index.run.rules;
    const imr::ChainId chain = optimized.ruleset[rules.front()].chain;
    const bool fits = once[chain] && std::ranges::all_of(rules, [&](imr::RuleId rule) {
                        return optimized.ruleset[rule].chain == chain;
                      });
    if (!fits) continue;
    places_.push_back(
        place_of(optimized, *place, maps.at(place->map.index()).entries.front().value));
    maps_.push_back(place->map);
    for (const auto& [rule, entries] : places_.back().entries) {
      be_at(rule, static_cast<std::uint32_t>(places_.size() + 1));
    }
  }
}

bool InPlace::Half::remove(imr::RuleId rule, std::uint32_t turn, backend::RunChange& out) {
  const std::uint32_t at = where(rule);
  if (at == nowhere) return true;
  if (at == elsewhere) return false;
  Place& place = places_[at - 2];
  const RunEditor::Entries entries = std::move(place.entries.at(rule));
  // Rules behind one that every packet ends at are in no table.
  const bool covers = std::ranges::any_of(
      entries, [&](std::uint32_t entry) { return place.editor.holds_always(entry); });
  if (covers) return false;
  place.editor.remove(entries, turn, out);
  place.entries.erase(rule);
  be_at(rule, nowhere);
  return true;
}

imr::Unit InPlace::Half::alone(const imr::Ruleset& ruleset, imr::RuleId rule,
                               const imr::Ruleset& exprs) const {
  imr::Unit out{.ruleset = exprs, .roots = {}, .nfproto = nfproto_, .hook = hook_};
  imr::Excerpt excerpt(ruleset, out.ruleset);
  const imr::ChainId chain = excerpt.chain(ruleset[rule].chain);
  excerpt.rule(rule, chain);
  out.roots.push_back(chain);
  passes::imr_resolve_fields(out);
  passes::imr_fold_constants(out);
  passes::imr_dead_rules(out);
  return out;
}

bool InPlace::Half::add(const imr::Ruleset& ruleset, imr::RuleId rule, std::uint32_t turn,
                        backend::RunChange& out) {
  if (!imr::targets(ruleset, ruleset[rule]).empty()) return false;
  const std::vector<imr::RuleId>& all = ruleset[ruleset[rule].chain].rules;
  const auto at = std::ranges::find(all, rule);
  invariant(at != all.end(), "an edit whose rule is in no chain");
  const auto somewhere = [&](imr::RuleId other) { return where(other) != nowhere; };
  const auto behind = std::find_if(std::make_reverse_iterator(at), all.rend(), somewhere);
  const auto before = std::find_if(at + 1, all.end(), somewhere);
  const std::uint32_t above = behind == all.rend() ? nowhere : where(*behind);
  const std::uint32_t below = before == all.end() ? nowhere : where(*before);
  const std::uint32_t here = above > elsewhere ? above : below;
  if (here <= elsewhere) {
    // No packet of this protocol may meet it at all.
    const imr::Unit unit = alone(ruleset, rule, {});
    return unit.ruleset[unit.roots.front()].rules.empty();
  }
  Place& place = places_[here - 2];
  const imr::Unit unit = alone(ruleset, rule, place.exprs);
  const std::vector<imr::RuleId>& left = unit.ruleset[unit.roots.front()].rules;
  if (left.empty()) return true;
  classify::Suitability suitability(unit, {.other_chains = false, .whole_sets = true});
  if (!suitability.suits(left.front())) return false;
  const auto rows = classify::make_run_like(place.key, unit, left, false);
  if (!rows) return false;

  // The nearest one that has entries; of others the place in the order does not matter.
  const auto nearest = [&](auto from, const auto& end) -> const RunEditor::Entries* {
    for (; from != end && (where(*from) == nowhere || where(*from) == here); ++from) {
      const auto found = place.entries.find(*from);
      if (found != place.entries.end() && !found->second.empty()) return &found->second;
    }
    return nullptr;
  };
  const RunEditor::Entries* const last = nearest(behind, all.rend());
  const RunEditor::Entries* const next = nearest(before, all.end());
  auto entries = place.editor.insert(*rows, last == nullptr ? 0 : last->back(),
                                     next == nullptr ? 0 : next->front(), turn, out);
  if (!entries) return false;
  place.entries[rule] = std::move(*entries);
  be_at(rule, here);
  return true;
}

bool InPlace::Half::change(const imr::Ruleset& ruleset, const imr::RuleEdit& edit,
                           std::uint32_t turn, backend::RunChange& out) {
  if (!chains_.contains(edit.chain)) return true;
  if (edit.removed && !remove(*edit.removed, turn, out)) return false;
  if (edit.added && !add(ruleset, *edit.added, turn, out)) return false;
  for (Place& place : places_) place.editor.finish(out);
  return true;
}

InPlace::InPlace(const Compilation& compilation) : runs_(compilation.run_maps) {
  invariant(runs_ != nullptr, "rules of nothing that was compiled");
  turn_ = runs_->turn();
  now_ = backend::run_turn_one;
  broken_ = !turn_.valid();
  if (broken_) return;
  for (const CompiledProgram& program : compilation.programs) {
    for (std::size_t i = 0; i < program.units.size(); ++i) {
      halves_.emplace_back(program.units[i], program.optimized[i], compilation);
    }
  }
}
InPlace::InPlace(InPlace&&) noexcept = default;
InPlace& InPlace::operator=(InPlace&&) noexcept = default;
InPlace::~InPlace() = default;

std::vector<isa::MapIndex> InPlace::maps() const {
  std::vector<isa::MapIndex> out;
  if (turn_.valid()) out.push_back(turn_);
  for (const Half& half : halves_) half.add_maps(out);
  return out;
}

std::optional<InPlaceChange> InPlace::change(const imr::Ruleset& ruleset,
                                             const imr::RuleEdit& edit) {
  if (broken_) return std::nullopt;
  backend::RunChange stores;
  broken_ = !std::ranges::all_of(
      halves_, [&](Half& half) { return half.change(ruleset, edit, now_, stores); });
  if (broken_) return std::nullopt;
  now_ = backend::run_turn_one + backend::run_turn_other - now_;
  return InPlaceChange{.before = std::move(stores.before),
                       .turn = {.map = turn_, .offset = 0, .value = now_, .size = 4},
                       .after = std::move(stores.after)};
}

}  // namespace weir::driver
