// SPDX-License-Identifier: BSD-2-Clause
#include "service/rule_swap.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "driver/reassembly.h"
#include "frontend/nft/nft.h"
#include "kernel/forward.h"
#include "service/apply.h"
#include "service/dynamic_sets.h"
#include "service/element.h"
#include "service/exchange.h"
#include "service/meters.h"
#include "service/netns.h"
#include "service/send_targets.h"
#include "service/store.h"

namespace weir::service {
namespace {

std::string_view verb_of(RuleChange::Kind kind) {
  switch (kind) {
    case RuleChange::Kind::add:
      return "add";
    case RuleChange::Kind::insert:
      return "insert";
    case RuleChange::Kind::remove:
      return "delete";
    case RuleChange::Kind::replace:
      return "replace";
  }
  throw InvariantError("kind of change out of range");
}

// nft's words about commands are without a place: the user has not seen the text before them.
Result<imr::Ruleset> read(const PolicyState& policy, const std::string& command) {
  std::vector<std::string> commands = change_commands(policy);
  if (!command.empty()) commands.push_back(command);
  auto ruleset = frontend::nft::read_script(
      policy.source, "rules", {.interface_index = {}, .commands = std::move(commands)});
  if (ruleset) return ruleset;
  Diagnostic error = ruleset.error();
  error.location = {};
  return std::unexpected(error);
}

// As the policy's programs are attached; what runs there may have to see whole packets now.
Result<std::vector<driver::Attachment>> plan_attachments(const PolicyState& policy,
                                                         const imr::Ruleset& ruleset) {
  std::vector<driver::Attachment> out = attachments_of(policy, ruleset);
  for (std::size_t i = 0; i < out.size(); ++i) {
    driver::Attachment& attachment = out[i];
    if (attachment.roots.size() != policy.attachments[i].chains.size()) {
      return input_error("the command takes a base chain away");
    }
    if (attachment.hook.kind != Hook::Kind::netfilter) continue;
    attachment.defragments =
        attachment.defragments ||
        driver::runs_behind_reassembly(ruleset, attachment.nfproto, attachment.priority);
  }
  const bool behind = std::ranges::any_of(out, &driver::Attachment::defragments);
  if (behind && !kernel::has_reassembly()) {
    WEIR_CHECK(driver::do_without_reassembly(ruleset, out));
  }
  return out;
}

// What a command begins with: "[FAMILY] TABLE CHAIN [handle N] ...". No handle is 0.
std::optional<RuleName> named_rule(const RuleChange& change) {
  std::istringstream words(change.words);
  RuleName out;
  std::string word;
  words >> word;
  if (const auto family = parse_family(word)) {
    out.family = *family;
    words >> word;
  }
  out.table = word;
  if (!(words >> out.chain)) return std::nullopt;
  if (!(words >> word >> out.handle)) out.handle = 0;
  return out;
}

std::optional<RuleName> replaced_rule(const RuleChange& change) {
  if (change.kind != RuleChange::Kind::replace) return std::nullopt;
  const auto named = named_rule(change);
  return named && named->handle != 0 ? named : std::nullopt;
}

// Of the rule that came: nft counts upwards, but may leave what it replaces its handle.
std::optional<std::uint64_t> handle_of(const RuleChange& change, const imr::Ruleset& ruleset) {
  const auto named = named_rule(change);
  if (change.kind == RuleChange::Kind::remove || !named) return std::nullopt;
  std::optional<std::uint64_t> out;
  for (const imr::Chain& chain : ruleset.chains) {
    const imr::Table& table = ruleset[chain.table];
    if (table.family != named->family || table.name != named->table || chain.name != named->chain) {
      continue;
    }
    for (const imr::RuleId id : chain.rules) {
      const std::uint64_t handle = ruleset[id].origin.handle;
      if (change.kind == RuleChange::Kind::replace && handle == named->handle) return handle;
      out = std::max(out.value_or(0), handle);
    }
  }
  return out;
}

// Handles are those that nft gives while it runs the same commands again, and another nft than the
// one that the policy was applied with might give others.
Status check_handles(const PolicyState& policy, const std::optional<RuleName>& replaced,
                     const imr::Ruleset& ruleset) {
  std::map<RuleName, const RuleState*> known;
  for (const ChainState& chain : policy.chains) {
    for (const RuleState& rule : chain.rules) {
      known.emplace(RuleName{chain.family, chain.table, chain.name, rule.handle}, &rule);
    }
  }
  for (const imr::Rule& rule : ruleset.rules) {
    const imr::Chain& chain = ruleset[rule.chain];
    const imr::Table& table = ruleset[chain.table];
    const RuleName name{table.family, table.name, chain.name, rule.origin.handle};
    const auto before = known.find(name);
    if (before == known.end() || before->second->text == rule.origin.text) continue;
    if (replaced && *replaced == name) continue;
    return system_error(
        "nft reads the policy's text in another way than when it was applied: rule " +
        imr::qualified_name(ruleset, rule.chain) + " handle " + std::to_string(rule.origin.handle) +
        " was '" + before->second->text + "', and is '" + rule.origin.text + "'");
  }
  return {};
}

// Lines are of the text that was applied, which the commands are not in.
void forget_lines(imr::Ruleset& ruleset) {
  for (imr::Rule& rule : ruleset.rules.edit()) rule.origin.location = {};
}

Result<std::vector<kernel::Fd>> shared_maps(const PolicyState& policy, const CounterPlan& counters,
                                            const driver::Compilation& compilation,
                                            const std::vector<DynamicSetState>& dynamic_sets,
                                            const Paths& paths) {
  std::vector<kernel::Fd> out(compilation.object.maps.size());
  WEIR_CHECK(share_dynamic_sets(policy, dynamic_sets, paths, out));
  if (!counters.shared || !compilation.counters.valid()) return out;
  const auto known = std::ranges::find(policy.maps, "counters", &MapState::name);
  invariant(known != policy.maps.end(), "counters in no map");
  WEIR_TRY(map, kernel::open_pinned(paths.pins(policy.name) + "/" + known->pin));
  WEIR_CHECK(clear_counts(map, counters.fresh));
  out.at(compilation.counters.index()) = std::move(map);
  return out;
}

driver::Options compile_options(const PolicyState& policy) {
  driver::Options out;
  out.untrusted_memory = kernel::has_untrusted_memory();
  out.updatable_sets = true;
  out.updatable_rules = true;
  out.classifier = policy.classifier;
  return out;
}

Result<CompiledRules> compile(const PolicyState& policy, const std::string& command,
                              const std::optional<RuleName>& replaced, const Foresee& foresee) {
  CompiledRules out;
  WEIR_TRY(ruleset, read(policy, command));
  out.ruleset = std::move(ruleset);
  keep_sizes(policy, out.ruleset);
  WEIR_CHECK(check_handles(policy, replaced, out.ruleset));
  WEIR_CHECK(check_interfaces(out.ruleset));
  WEIR_TRY(attachments, plan_attachments(policy, out.ruleset));
  out.attachments = std::move(attachments);
  WEIR_CHECK(check_owners(driver::scan_reads(out.ruleset, out.attachments)));
  WEIR_CHECK(check_send_targets(out.ruleset, out.attachments));
  forget_lines(out.ruleset);
  out.counters = keep_counters(policy, replaced, out.ruleset);
  WEIR_TRY(compilation, driver::compile(out.ruleset, out.attachments, compile_options(policy)));
  out.compilation = std::move(compilation);
  if (foresee) foresee(out.ruleset, out.attachments, nullptr);
  return out;
}

// Puts compiled rules in the place of those that are in force. `wanted` has their text: the
// policy's, and what has changed since.
Result<PolicyState> put_in_force(const PolicyState& policy, PolicyState wanted,
                                 const CompiledRules& rules,
                                 const std::optional<RuleName>& replaced, const FillMaps& fill,
                                 const Paths& paths, const StepHook& at_step) {
  PolicyState next = describe_policy(rules.ruleset, rules.compilation, policy.source);
  carry_rules(policy, replaced, rules.counters.shared, next);
  next.commands = std::move(wanted.commands);
  next.elements = std::move(wanted.elements);
  next.classifier = policy.classifier;
  Plan plan = {
      .state = std::move(next),
      .load = [&](Installed& installed) -> Status {
        const std::vector<DynamicSetState>& sets = installed.state.dynamic_sets;
        WEIR_TRY(given, shared_maps(policy, rules.counters, rules.compilation, sets, paths));
        WEIR_CHECK(load_programs(rules.compilation.object, std::move(given), installed));
        WEIR_CHECK(carry_dynamic_sets(policy, sets, installed.loaded.maps, paths));
        if (fill) WEIR_CHECK(fill(installed.state, installed.loaded.maps));
        const isa::MapIndex meters = rules.compilation.meters;
        if (!meters.valid()) return {};
        return carry_meters(policy, replaced, installed.state,
                            installed.loaded.maps.at(meters.index()), paths);
      },
      .check_attached =
          [&](const PolicyState& attached) { return check_xdp_targets(rules.ruleset, attached); }};
  return exchange(policy, std::move(plan), paths, at_step);
}

Status check_kind(const PolicyState& policy) {
  if (policy.from_object) {
    return input_error("policy '" + policy.name +
                       "' comes from an ELF object, whose rules do not change: compile the "
                       "changed ruleset, and apply it with --replace");
  }
  WEIR_TRY(here, current_namespace());
  if (here == policy.namespace_id) return {};
  return input_error("policy '" + policy.name + "' is in force in another network namespace");
}

}  // namespace

std::string command_of(const RuleChange& change) {
  return std::string(verb_of(change.kind)) + " rule " + change.words;
}

Result<PolicyState> load_changeable(const std::string& name, const Paths& paths) {
  WEIR_TRY(policy, load_policy(name, paths));
  WEIR_CHECK(check_changeable(policy, paths));
  WEIR_CHECK(settle_exchange(policy, paths));
  WEIR_CHECK(settle_elements(policy, paths));
  WEIR_CHECK(check_kind(policy));
  return std::move(policy);
}

Result<CompiledRules> compile_rules(const PolicyState& policy) {
  return compile(policy, {}, std::nullopt, {});
}

Result<SwappedRules> swap_rules(const PolicyState& policy, const RuleChange& change,
                                const Paths& paths, const StepHook& at_step) {
  const std::optional<RuleName> replaced = replaced_rule(change);
  WEIR_TRY(rules, compile(policy, command_of(change), replaced, change.foresee));
  PolicyState next = policy;
  next.commands.push_back(command_of(change));
  WEIR_TRY(now, put_in_force(policy, std::move(next), rules, replaced, {}, paths, at_step));
  const auto handle = handle_of(change, rules.ruleset);
  return SwappedRules{.policy = std::move(now), .rules = std::move(rules), .handle = handle};
}

Result<PolicyState> swap_elements(const PolicyState& policy, std::vector<ElementsState> elements,
                                  const FillMaps& fill, const Paths& paths,
                                  const StepHook& at_step) {
  PolicyState next = policy;
  next.elements = std::move(elements);
  WEIR_TRY(rules, compile(next, {}, std::nullopt, {}));
  return put_in_force(policy, std::move(next), rules, std::nullopt, fill, paths, at_step);
}

}  // namespace weir::service
