// SPDX-License-Identifier: BSD-2-Clause
//
// The stages in order: units of the ruleset, IMR passes, lowering, flow passes, splitting of what
// is large, emission.
#include "driver/compile.h"

#include <algorithm>
#include <variant>

#include "backend/emitter.h"
#include "backend/lower.h"
#include "backend/profile.h"
#include "backend/servable.h"
#include "backend/set_maps.h"
#include "backend/split.h"
#include "driver/stages.h"
#include "imr/verify.h"
#include "passes/flow_self_contained.h"
#include "passes/imr_break.h"
#include "passes/pipeline.h"

namespace weir::driver {
namespace {

bool enabled(const Options& options, std::string_view pass) {
  return std::ranges::find(options.disabled_passes, pass) == options.disabled_passes.end();
}

Status check_pass_names(const Options& options) {
  for (const std::string& name : options.disabled_passes) {
    std::string known;
    bool found = false;
    const auto see = [&](std::string_view pass, bool required) {
      found = found || (pass == name && !required);
      if (!required && known.find(pass) == std::string::npos) {
        known += (known.empty() ? "" : ", ") + std::string(pass);
      }
    };
    for (const passes::ImrPass& pass : passes::imr_passes()) see(pass.name, pass.required);
    for (const passes::FlowPass& pass : passes::flow_passes()) see(pass.name, false);
    if (!found) {
      return input_error("no pass '" + name + "' that can be disabled, expected one of " + known);
    }
  }
  return {};
}

std::string rule_name(const imr::Ruleset& ruleset, const imr::Rule& rule) {
  return imr::qualified_name(ruleset, rule.chain) + " handle " + std::to_string(rule.origin.handle);
}

// Nothing carries rules that stay with the kernel, so a chain that holds one is refused.
Status check_translated(const imr::Ruleset& ruleset, const std::vector<Attachment>& attachments) {
  Diagnostic diagnostic{.kind = ErrorKind::partial,
                        .message = "some rules stay with the kernel, and their chains with them"};
  for (const Attachment& attachment : attachments) {
    for (const imr::ChainId root : attachment.roots) {
      for (const imr::ChainId chain : imr::reachable_chains(ruleset, root)) {
        for (const imr::RuleId id : ruleset[chain].rules) {
          const imr::Rule& rule = ruleset[id];
          if (imr::translation(rule) == imr::Translation::full) continue;
          const auto& native = std::get<imr::Native>(rule.statements.back());
          std::string note =
              rule_name(ruleset, rule) + " '" + rule.origin.text + "': " + native.reason;
          const SourceLocation& place = rule.origin.location;
          if (place.line != 0) {
            note = place.file + ":" + std::to_string(place.line) + ": " + note;
          }
          if (std::ranges::find(diagnostic.notes, note) == diagnostic.notes.end()) {
            diagnostic.notes.push_back(std::move(note));
          }
        }
      }
    }
  }
  if (diagnostic.notes.empty()) return {};
  return std::unexpected(std::move(diagnostic));
}

void run_imr_passes(imr::Unit& unit, std::size_t program, const Options& options) {
  if (options.break_a_pass) passes::imr_break(unit);
  for (const passes::ImrPass& pass : passes::imr_passes()) {
    if (!pass.required && !enabled(options, pass.name)) continue;
    Stage stage(options, pass.name, program, unit);
    pass.run(unit);
    stage.done(unit);
#ifndef NDEBUG
    imr::verify(unit);
#endif
  }
  imr::verify(unit);
}

void run_flow_passes(flow::Function& function, std::size_t program, const Options& options) {
  for (const passes::FlowPass& pass : passes::flow_passes()) {
    if (!enabled(options, pass.name)) continue;
    Stage stage(options, pass.name, program, function);
    pass.run(function);
    stage.done(function);
#ifndef NDEBUG
    flow::verify(function);
#endif
  }
  flow::verify(function);
}

bool uses_counters(const std::vector<imr::Unit>& units) {
  const auto counts = [](const imr::Statement& statement) {
    return std::holds_alternative<imr::Counter>(statement);
  };
  return std::ranges::any_of(units, [&](const imr::Unit& unit) {
    return std::ranges::any_of(unit.ruleset.rules, [&](const imr::Rule& rule) {
      return std::ranges::any_of(rule.statements, counts);
    });
  });
}

// The maps that all programs share come first.
void make_shared_maps(const imr::Ruleset& ruleset, bool counted, const Options& options,
                      Compilation& result, backend::SharedMaps& shared) {
  std::vector<isa::MapSpec>& maps = result.object.maps;
  if (counted) {
    maps.push_back({.name = "counters",
                    .type = options.limits.contains(backend::Limit::offload)
                                ? isa::MapType::array
                                : isa::MapType::percpu_array,
                    .key_size = 4,
                    .value_size = 16,
                    .max_entries = static_cast<std::uint32_t>(ruleset.counters.size()),
                    .flags = 0,
                    .entries = {}});
    result.counters = shared.counters = isa::MapIndex(maps.size() - 1);
  }
  if (options.trace) {
    maps.push_back({.name = "trace",
                    .type = isa::MapType::array,
                    .key_size = 4,
                    .value_size = 4 + 4 * trace_capacity,
                    .max_entries = 1,
                    .flags = 0,
                    .entries = {}});
    result.trace = shared.trace = isa::MapIndex(maps.size() - 1);
  }
}

std::string_view name_prefix(const Attachment& attachment) {
  switch (attachment.hook.kind) {
    case Hook::Kind::xdp:
      return "x_";
    case Hook::Kind::tc_ingress:
      return "ti_";
    case Hook::Kind::tc_egress:
      return "te_";
    case Hook::Kind::netfilter:
      return attachment.nfproto == Nfproto::ipv4 ? "n4_" : "n6_";
    case Hook::Kind::cgroup_ingress:
      return "ci_";
    case Hook::Kind::cgroup_egress:
      return "ce_";
    case Hook::Kind::socket:
      return "s_";
  }
  throw InvariantError("hook kind out of range");
}

// At most 15 characters: the hook, the protocol at netfilter hooks, and the first root's name.
std::string program_name(const imr::Ruleset& ruleset, const Attachment& attachment) {
  std::string name(name_prefix(attachment));
  for (const char c : ruleset[attachment.roots.front()].name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain ? c : '_';
  }
  return name.substr(0, 15);
}

backend::Profile profile_of(const Attachment& attachment, const Options& options) {
  return backend::profile_for(
      attachment.hook, {.untrusted_memory = options.untrusted_memory, .limits = options.limits});
}

std::unexpected<Diagnostic> too_large(const imr::Ruleset& ruleset, const Attachment& attachment,
                                      const Options& options) {
  std::string names;
  for (const backend::Limit limit : backend::all_limits) {
    if (!options.limits.contains(limit)) continue;
    names += (names.empty() ? "" : ", ") + std::string(to_string(limit));
  }
  auto error =
      input_error("the rules for " + to_string(attachment.hook) +
                  " are too many for one function, and --limit " + names + " allows no others");
  for (const imr::ChainId root : attachment.roots) {
    error.error().notes.push_back("chain " + imr::qualified_name(ruleset, root));
  }
  return error;
}

// Lowered with so few shared words that it fits the stack, which nearly always the first try does.
Result<isa::Program> make_program(const imr::Ruleset& ruleset, CompiledProgram& program,
                                  const Options& options, const backend::Profile& profile,
                                  const Compilation& result, backend::SharedMaps& shared) {
  backend::SplitOptions parts;
  if (options.small_parts) parts.part_size = 40;
  // Where functions are forbidden, a program stays in one piece.
  const bool may_split = profile.local_calls;
  bool split = may_split && options.small_parts;
  const std::size_t index = result.object.programs.size();
  for (unsigned words = backend::most_shared_words;;) {
    backend::SharedMaps maps = shared;
    flow::Function& function = program.function = {};
    function.name = program_name(ruleset, program.attachment);
    function.maps = result.object.maps;
    function.rule_names = result.object.rule_names;
    Stage lowering(options, "lower", index, program.optimized);
    WEIR_CHECK(backend::lower(program.optimized, profile,
                              {.drop_unparsable = options.drop_unparsable,
                               .shared_words = words,
                               .direct_returns = !may_split ? backend::any_direct_returns
                                                 : split    ? 0
                                                            : backend::most_direct_returns},
                              maps, function));
    lowering.done(function);
    flow::verify(function);
    if (options.self_contained) passes::flow_self_contained(function);
    run_flow_passes(function, index, options);
    if (!split && backend::needs_splitting(function)) {
      if (!profile.local_calls) return too_large(ruleset, program.attachment, options);
      split = true;  // once more, with returns that can be split
      continue;
    }
    Stage emission(options, "emit", index, function);
    auto emitted = split ? backend::emit(backend::split(function, parts), profile)
                         : backend::emit(function, profile);
    if (emitted) {
      emission.done(*emitted);
      shared = maps;
      return std::move(*emitted);
    }
    invariant(words > 0, "a program that does not fit the stack");
    words /= 2;
  }
}

}  // namespace

std::vector<imr::Unit> units_of(const imr::Ruleset& ruleset, const Attachment& attachment) {
  std::vector<imr::Unit> units;
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6, Nfproto::other}) {
    if (attachment.hook.kind == Hook::Kind::netfilter && nfproto != attachment.nfproto) continue;
    imr::Unit unit{.roots = {}, .nfproto = nfproto, .hook = attachment.hook};
    for (const imr::ChainId root : attachment.roots) {
      if (sees(ruleset[ruleset[root].table].family, nfproto)) unit.roots.push_back(root);
    }
    if (unit.roots.empty()) continue;
    unit.ruleset = ruleset;
    units.push_back(std::move(unit));
  }
  return units;
}

Result<Compilation> compile(const imr::Ruleset& ruleset, const std::vector<Attachment>& attachments,
                            const Options& options) {
  WEIR_CHECK(check_pass_names(options));
  WEIR_CHECK(check_translated(ruleset, attachments));
  Compilation result;
  for (const imr::Rule& rule : ruleset.rules) {
    result.object.rule_names.push_back(rule_name(ruleset, rule));
    result.object.rule_sources.push_back({.file = rule.origin.location.file,
                                          .line = rule.origin.location.line,
                                          .text = rule.origin.text});
  }
  bool counted = false;
  for (const Attachment& attachment : attachments) {
    CompiledProgram program{.attachment = attachment,
                            .units = units_of(ruleset, attachment),
                            .optimized = {},
                            .function = {}};
    const backend::Profile profile = profile_of(attachment, options);
    for (const imr::Unit& unit : program.units) {
      imr::verify(unit);
      WEIR_CHECK(backend::check_servable(unit, profile));
    }
    counted = counted || uses_counters(program.units);
    result.programs.push_back(std::move(program));
  }
  backend::SharedMaps shared;
  make_shared_maps(ruleset, counted, options, result, shared);

  std::vector<const imr::Unit*> optimized;
  for (std::size_t i = 0; i < result.programs.size(); ++i) {
    CompiledProgram& program = result.programs[i];
    program.optimized = program.units;
    for (imr::Unit& unit : program.optimized) {
      run_imr_passes(unit, i, options);
      optimized.push_back(&unit);
    }
  }
  WEIR_TRY(sets, backend::SetMaps::make(optimized, result.object.maps,
                                        options.updatable_sets && !options.self_contained));
  result.sets = shared.sets = std::move(sets);

  for (CompiledProgram& program : result.programs) {
    const backend::Profile profile = profile_of(program.attachment, options);
    WEIR_TRY(emitted, make_program(ruleset, program, options, profile, result, shared));
    emitted.name = program.function.name;
    result.object.maps = program.function.maps;
    result.object.programs.push_back(std::move(emitted));
  }
  return result;
}

}  // namespace weir::driver
