// SPDX-License-Identifier: BSD-2-Clause
#include "service/rule.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "driver/reassembly.h"
#include "frontend/nft/nft.h"
#include "kernel/forward.h"
#include "service/apply.h"
#include "service/counters.h"
#include "service/element.h"
#include "service/exchange.h"
#include "service/netns.h"
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
Result<imr::Ruleset> read(const PolicyState& policy) {
  auto ruleset = frontend::nft::read_script(
      policy.source, "rules", {.interface_index = {}, .commands = change_commands(policy)});
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

// The rule that a command to replace names: "[FAMILY] TABLE CHAIN handle N ...".
std::optional<RuleName> replaced_rule(const RuleChange& change) {
  if (change.kind != RuleChange::Kind::replace) return std::nullopt;
  std::istringstream words(change.words);
  RuleName out;
  std::string word;
  words >> word;
  if (const auto family = parse_family(word)) {
    out.family = *family;
    words >> word;
  }
  out.table = word;
  if (!(words >> out.chain >> word >> out.handle)) return std::nullopt;
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
                                            const Paths& paths) {
  std::vector<kernel::Fd> out(compilation.object.maps.size());
  if (!counters.shared || !compilation.counters.valid()) return out;
  const auto known = std::ranges::find(policy.maps, "counters", &MapState::name);
  invariant(known != policy.maps.end(), "counters in no map");
  WEIR_TRY(map, kernel::open_pinned(paths.pins(policy.name) + "/" + known->pin));
  WEIR_CHECK(clear_counts(map, counters.fresh));
  out.at(compilation.counters.index()) = std::move(map);
  return out;
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

Status check_rule_words(std::string_view words) {
  const auto refused = [&](const std::string& found) {
    return input_error("found " + found + ", expected the words of one nft rule command");
  };
  int depth = 0;
  bool quoted = false;
  for (const char c : words) {
    if (c == '\n' || c == '\r') return refused("the end of a line");
    if (c == '\0') return refused("a NUL byte");
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '#') return refused("a comment");
    if (c == '\\') return refused("a backslash");
    if (c == '{') ++depth;
    if (c == '}' && --depth < 0) return refused("a '}' without a '{'");
    if (c == ';' && depth == 0) return refused("a ';'");
  }
  if (quoted) return refused("a '\"' without another one");
  if (depth != 0) return refused("a '{' without a '}'");
  return {};
}

Status change_rules(const std::string& name, const RuleChange& change, const Paths& paths,
                    const StepHook& at_step) {
  WEIR_CHECK(check_rule_words(change.words));
  const auto held = lock(paths);
  if (!held) return std::unexpected(held.error());
  WEIR_TRY(policy, load_policy(name, paths));
  WEIR_CHECK(check_changeable(policy, paths));
  WEIR_CHECK(settle_exchange(policy, paths));
  WEIR_CHECK(settle_elements(policy, paths));
  WEIR_CHECK(check_kind(policy));

  PolicyState changed = policy;
  changed.commands.push_back(std::string(verb_of(change.kind)) + " rule " + change.words);
  WEIR_TRY(ruleset, read(changed));
  const std::optional<RuleName> replaced = replaced_rule(change);
  WEIR_CHECK(check_handles(policy, replaced, ruleset));
  WEIR_CHECK(check_interfaces(ruleset));
  WEIR_TRY(attachments, plan_attachments(policy, ruleset));
  forget_lines(ruleset);
  const CounterPlan counters = keep_counters(policy, replaced, ruleset);
  driver::Options how;
  how.untrusted_memory = kernel::has_untrusted_memory();
  how.updatable_sets = true;
  WEIR_TRY(compilation, driver::compile(ruleset, attachments, how));
  if (change.foresee) change.foresee(ruleset, compilation);

  PolicyState next = describe_policy(ruleset, compilation, policy.source);
  carry_rules(policy, replaced, counters.shared, next);
  next.commands = std::move(changed.commands);
  next.elements = policy.elements;
  Plan plan = {.state = std::move(next), .load = [&](Installed& installed) -> Status {
                 WEIR_TRY(given, shared_maps(policy, counters, compilation, paths));
                 return load_programs(compilation.object, std::move(given), installed);
               }};
  WEIR_CHECK(exchange(policy, std::move(plan), paths, at_step));
  return {};
}

}  // namespace weir::service
