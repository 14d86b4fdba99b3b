// SPDX-License-Identifier: BSD-2-Clause
#include "service/rules_in_place.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>
#include <variant>

#include "driver/reads.h"
#include "kernel/forward.h"
#include "service/carriers.h"
#include "service/counters.h"
#include "service/fingerprint.h"
#include "service/netns.h"

namespace weir::service {
namespace {

// Elsewhere a program may read what is in force now and then, though it comes behind it, what was
// stored before: a grace period in between makes sure of the order.
#if defined(__x86_64__)
constexpr bool reads_in_order = true;
#else
constexpr bool reads_in_order = false;
#endif

// Ids of the programs that refer to the map.
std::vector<std::uint32_t> programs_of(const isa::Object& object, isa::MapIndex map,
                                       const PolicyState& policy) {
  const auto refers = [&](const isa::Relocation& relocation) { return map_of(relocation) == map; };
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < object.programs.size(); ++i) {
    if (std::ranges::any_of(object.programs[i].relocations, refers)) {
      out.push_back(policy.attachments.at(i).program_id);
    }
  }
  return out;
}

bool same_bytes(ByteView a, ByteView b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

std::vector<bool> listed_chains(const PolicyState& policy, const imr::Ruleset& ruleset) {
  std::set<std::string> names;
  for (const ChainState& chain : policy.chains) {
    names.insert(std::string(to_string(chain.family)) + " " + chain.table + " " + chain.name);
  }
  std::vector<bool> out;
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) {
    out.push_back(names.contains(imr::qualified_name(ruleset, imr::ChainId(i))));
  }
  return out;
}

// Rules that lead to chains may change which ones the policy has.
bool leads_on(const imr::Rule& rule) {
  return std::ranges::any_of(rule.statements, [](const imr::Statement& statement) {
    if (std::holds_alternative<imr::VerdictMap>(statement)) return true;
    const auto* verdict = std::get_if<imr::VerdictStatement>(&statement);
    return verdict != nullptr && verdict->verdict.chain.valid();
  });
}

std::vector<std::uint32_t> counters_of(const imr::Rule& rule) {
  std::vector<std::uint32_t> out;
  for (const imr::Statement& statement : rule.statements) {
    if (const auto* counter = std::get_if<imr::Counter>(&statement)) {
      out.push_back(counter->counter.value);
    }
  }
  return out;
}

}  // namespace

Result<std::optional<RulesInPlace>> RulesInPlace::create(const PolicyState& policy,
                                                         CompiledRules rules, const Paths& paths) {
  const isa::Object& object = rules.compilation.object;
  std::optional<RulesInPlace> nothing;
  if (policy.fingerprint != fingerprint(object)) return nothing;
  RulesInPlace out;
  out.in_place_.emplace(rules.compilation);
  for (const isa::MapIndex index : out.in_place_->maps()) {
    const isa::MapSpec& spec = object.maps.at(index.index());
    const MapState& state = policy.maps.at(index.index());
    WEIR_TRY(map, kernel::open_pinned(paths.pins(policy.name) + "/" + state.pin));
    WEIR_TRY(value, kernel::MappedValue::create(map, spec.value_size));
    // Changes of another process are in it, which this one knows nothing of.
    if (!same_bytes(value.bytes(), spec.entries.at(0).value)) return nothing;
    out.maps_.emplace(index.value, RunMap{.value = std::move(value),
                                          .id = state.id,
                                          .has_rules = !spec.rules.empty(),
                                          .programs = programs_of(object, index, policy)});
  }
  if (out.maps_.empty()) return nothing;
  if (policy.has_counters) {
    const MapState& counters = policy.maps.at(rules.compilation.counters.index());
    WEIR_TRY(map, kernel::open_pinned(paths.pins(policy.name) + "/" + counters.pin));
    out.counter_map_ = std::move(map);
    out.counter_map_id_ = counters.id;
    out.free_ = free_elements(policy);
  }
  out.policy_ = policy.name;
  out.paths_ = paths;
  out.edition_ = policy.edition;
  out.connections_ =
      policy.keeps_connections &&
      std::ranges::all_of(policy.attachments, [](const AttachmentState& attachment) {
        return attachment.hook.kind != Hook::Kind::netfilter || attachment.defragments;
      });
  out.listed_ = listed_chains(policy, rules.ruleset);
  // Without what has changed in sets: no rule reads otherwise for it.
  out.reader_ = frontend::nft::RuleReader::create(
      policy.source, {.interface_index = {}, .commands = policy.commands}, rules.ruleset);
  if (!out.reader_) return nothing;
  out.ruleset_ = std::move(rules.ruleset);
  out.attachments_ = std::move(rules.attachments);
  return std::optional<RulesInPlace>(std::move(out));
}

bool RulesInPlace::fits(const imr::RuleEdit& edit) const {
  if (!listed_.at(edit.chain.index())) return false;
  if (edit.removed && leads_on(ruleset_[*edit.removed])) return false;
  if (!edit.added) return true;
  const imr::Rule& rule = ruleset_[*edit.added];
  const driver::Reads reads = driver::scan_reads(ruleset_, rule);
  return imr::translation(rule) == imr::Translation::full && !leads_on(rule) &&
         (connections_ || !reads.connection) && !reads.connection_counts &&
         // What they send by may have changed since the policy was applied.
         !reads.answers && !reads.forwards && !reads.duplicates && check_owners(reads).has_value();
}

std::optional<std::vector<std::uint32_t>> RulesInPlace::place_counters(imr::RuleId id) {
  std::vector<std::uint32_t> out;
  imr::Rule& rule = ruleset_[id];
  std::vector<imr::CounterState>& states = ruleset_.counters.edit();
  const std::size_t count = counters_of(rule).size();
  if (count == 0) return out;
  if (count > free_.size()) return std::nullopt;
  for (imr::Statement& statement : rule.statements.edit()) {
    auto* counter = std::get_if<imr::Counter>(&statement);
    if (counter == nullptr) continue;
    const imr::CounterState initial = states.at(counter->counter.index());
    out.push_back(free_.back());
    free_.pop_back();
    counter->counter = imr::CounterId(out.back());
    states.at(out.back()) = {.rule = id, .packets = initial.packets, .bytes = initial.bytes};
  }
  states.resize(states.size() - count);
  return out;
}

RuleState RulesInPlace::describe(imr::RuleId id, const driver::InPlaceChange& change) const {
  RuleState out = describe_rule(ruleset_, id);
  const auto add = [](std::vector<std::uint32_t>& list, std::uint32_t number) {
    if (std::ranges::find(list, number) == list.end()) list.push_back(number);
  };
  for (const driver::MapStore& store : change.before) {
    const RunMap& map = maps_.at(store.map.value);
    if (!map.has_rules) continue;
    for (const std::uint32_t program : map.programs) add(out.programs, program);
    add(out.maps, map.id);
  }
  if (!out.counters.empty() && !out.programs.empty()) add(out.maps, counter_map_id_);
  return out;
}

JournalLine RulesInPlace::line_for(const imr::RuleEdit& edit, const driver::InPlaceChange& change,
                                   const std::string& command) const {
  const imr::Chain& chain = ruleset_[edit.chain];
  const imr::Table& table = ruleset_[chain.table];
  const driver::MapStore& turn = change.turn;
  JournalLine out = {.edition = edition_,
                     .command = command,
                     .family = table.family,
                     .table = table.name,
                     .chain = chain.name,
                     .removed = {},
                     .added = {},
                     .before = {},
                     .turn = {.map = turn.map.value,
                              .offset = turn.offset,
                              .size = turn.size,
                              .from = maps_.at(turn.map.value).value.load(turn.offset, turn.size)}};
  if (edit.removed) out.removed = ruleset_[*edit.removed].origin.handle;
  if (!edit.added) return out;
  out.added = describe(*edit.added, change);
  const auto at = std::ranges::find(chain.rules, *edit.added);
  invariant(at != chain.rules.end(), "a rule that came is not in its chain");
  if (std::next(at) != chain.rules.end()) out.before = ruleset_[*std::next(at)].origin.handle;
  return out;
}

void RulesInPlace::store(const driver::MapStore& store) {
  maps_.at(store.map.value).value.store(store.offset, store.value, store.size);
}

Status RulesInPlace::carry_out(const driver::InPlaceChange& change, const JournalLine& line,
                               const StepHook& at_step) {
  invariant(line.turn.from != change.turn.value, "a change that changes nothing");
  if (!journal_) {
    WEIR_TRY(journal, Journal::create(policy_, paths_));
    journal_ = std::move(journal);
  }
  WEIR_CHECK(journal_->append(line));
  reach(at_step, "in place: noted");
  for (std::size_t i = 0; i < change.before.size(); ++i) {
    store(change.before[i]);
    reach(at_step, "in place: stored " + std::to_string(i));
  }
  if (!reads_in_order) kernel::wait_for_programs();
  store(change.turn);
  reach(at_step, "in place: changed");
  return {};
}

Result<std::optional<RulesInPlace::Done>> RulesInPlace::change(const RuleChange& wanted,
                                                               const StepHook& at_step) {
  invariant(true_ && !untidy_, "a change behind one that is not over");
  const std::string command = command_of(wanted);
  const auto edit = reader_->change(ruleset_, command);
  if (!edit) return std::optional<Done>();
  true_ = false;
  if (!fits(*edit)) return std::optional<Done>();
  std::vector<std::uint32_t> fresh;
  if (edit->added) {
    const imr::Ruleset& ruleset = ruleset_;
    if (!counter_map_.valid() && !counters_of(ruleset[*edit->added]).empty())
      return std::optional<Done>();
    const auto placed = place_counters(*edit->added);
    if (!placed) return std::optional<Done>();
    fresh = *placed;
  }
  const auto change = in_place_->change(ruleset_, *edit);
  if (!change) return std::optional<Done>();
  if (wanted.foresee) wanted.foresee(ruleset_, attachments_, &*edit);
  if (!fresh.empty()) WEIR_CHECK(clear_counts(counter_map_, fresh));
  reach(at_step, "in place: ready");
  WEIR_CHECK(carry_out(*change, line_for(*edit, *change, command), at_step));
  true_ = true;
  untidy_ = true;
  after_ = change->after;
  const imr::Ruleset& ruleset = ruleset_;
  if (edit->removed) {
    freed_ = counters_of(ruleset[*edit->removed]);
    std::erase_if(freed_, [&](std::uint32_t index) {  // others may share them
      return !ruleset.counters.at(index).name.empty();
    });
  }
  Done done;
  if (edit->added) done.handle = ruleset[*edit->added].origin.handle;
  return std::optional<Done>(done);
}

void RulesInPlace::tidy_up(const StepHook& at_step) {
  if (!untidy_) return;
  kernel::wait_for_programs();
  reach(at_step, "in place: waited");
  for (std::size_t i = 0; i < after_.size(); ++i) {
    store(after_[i]);
    reach(at_step, "in place: tidied " + std::to_string(i));
  }
  free_.insert(free_.end(), freed_.begin(), freed_.end());
  after_.clear();
  freed_.clear();
  untidy_ = false;
}

}  // namespace weir::service
