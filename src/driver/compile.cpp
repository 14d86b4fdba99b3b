// SPDX-License-Identifier: BSD-2-Clause
//
// The stages in order: units of the ruleset, IMR passes, and of each attachment its program.
#include "driver/compile.h"

#include <algorithm>
#include <variant>

#include "backend/answers.h"
#include "backend/meters.h"
#include "backend/records.h"
#include "backend/servable.h"
#include "backend/set_maps.h"
#include "driver/program.h"
#include "driver/stages.h"
#include "imr/identity.h"
#include "imr/verify.h"
#include "passes/imr_break.h"
#include "passes/imr_find_runs.h"
#include "passes/pipeline.h"

namespace weir::driver {
namespace {

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

void run_imr_passes(imr::Unit& unit, std::size_t program, const Options& options,
                    backend::RunMaps::Indexes& runs) {
  if (options.break_a_pass) passes::imr_break(unit);
  for (const passes::ImrPass& pass : passes::imr_passes()) {
    if (!pass.required && !enabled(options, pass.name)) continue;
    Stage stage(options, pass.name, program, unit);
    if (pass.name == passes::find_runs) {
      auto found = passes::imr_find_runs(
          unit,
          {.all = options.all_runs, .matched = options.trace, .classifier = options.classifier});
      for (auto& [number, index] : found) runs.emplace(std::pair(&unit, number), std::move(index));
    } else {
      pass.run(unit);
    }
    stage.done(unit);
#ifndef NDEBUG
    imr::verify(unit);
#endif
  }
  imr::verify(unit);
}

// Whether any rule of the units asks for the maps that all programs share.
struct SharedUses {
  bool counters = false;
  bool meters = false;
  bool logs = false;
  bool answers = false;

  void add(const std::vector<imr::Unit>& units) {
    for (const imr::Unit& unit : units) {
      for (const imr::Rule& rule : unit.ruleset.rules) {
        for (const imr::Statement& statement : rule.statements) {
          const auto* choice = std::get_if<imr::Choice>(&statement);
          counters = counters || std::holds_alternative<imr::Counter>(statement) ||
                     (choice != nullptr && !choice->counters.empty());
          logs = logs || std::holds_alternative<imr::Log>(statement);
          answers = answers || std::holds_alternative<imr::Answer>(statement);
        }
        meters =
            meters || (!unit.ruleset.meters.empty() && !imr::meters_of(unit.ruleset, rule).empty());
      }
    }
  }
};

// The maps that all programs share come first.
void make_shared_maps(const imr::Ruleset& ruleset, SharedUses uses, const Options& options,
                      Compilation& result, backend::SharedMaps& shared) {
  std::vector<isa::MapSpec>& maps = result.object.maps;
  if (uses.counters) {
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
  if (uses.meters) {
    maps.push_back(backend::meter_words(ruleset.meters));
    result.meters = shared.meters = isa::MapIndex(maps.size() - 1);
  }
  if (uses.answers) {
    shared.answers = isa::MapIndex(maps.size());
    maps.push_back(backend::answering_map());
  }
  if (uses.logs) {
    result.log = shared.log = isa::MapIndex(maps.size());
    for (isa::MapSpec& map : backend::record_maps()) maps.push_back(std::move(map));
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

// What became of long lists, for whoever asks.
std::vector<SearchedRun> searched_runs(const std::vector<CompiledProgram>& programs,
                                       const backend::RunMaps& maps) {
  std::vector<SearchedRun> out;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    for (const imr::Unit& unit : programs[i].optimized) {
      for (const auto& [number, place] : maps.runs_of(unit)) {
        SearchedRun run{.program = i,
                        .nfproto = unit.nfproto,
                        .number = number,
                        .rules = {},
                        .list = place->index.run.list.size(),
                        .structure = place->index.kind(),
                        .estimates = place->index.estimates};
        for (const imr::RuleId rule : place->index.run.rules) {
          run.rules.push_back(imr::as_written(unit.ruleset, rule));
        }
        std::ranges::sort(run.rules);
        out.push_back(std::move(run));
      }
    }
  }
  return out;
}

// Of the rules that are code: of those in maps no line of a program tells.
void add_rule_sources(const imr::Ruleset& ruleset, isa::Object& object) {
  object.rule_sources.resize(ruleset.rules.size());
  for (const isa::Program& program : object.programs) {
    for (const isa::OriginRow& row : program.origins) {
      if (row.rule < 0) continue;
      const imr::Origin& origin = ruleset[imr::RuleId(static_cast<std::size_t>(row.rule))].origin;
      object.rule_sources.at(static_cast<std::size_t>(row.rule)) = {
          .file = origin.location.file, .line = origin.location.line, .text = origin.text};
    }
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
  std::vector<std::string> names;
  names.reserve(ruleset.rules.size());
  for (const imr::Rule& rule : ruleset.rules) names.push_back(rule_name(ruleset, rule));
  result.object.rule_names = std::move(names);
  SharedUses uses;
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
    uses.add(program.units);
    result.programs.push_back(std::move(program));
  }
  backend::SharedMaps shared;
  make_shared_maps(ruleset, uses, options, result, shared);

  std::vector<const imr::Unit*> optimized;
  backend::RunMaps::Indexes runs;
  for (std::size_t i = 0; i < result.programs.size(); ++i) {
    CompiledProgram& program = result.programs[i];
    program.optimized = program.units;
    for (imr::Unit& unit : program.optimized) {
      run_imr_passes(unit, i, options, runs);
      optimized.push_back(&unit);
    }
  }
  WEIR_TRY(sets, backend::SetMaps::make(optimized, result.object.maps,
                                        options.updatable_sets && !options.self_contained));
  result.sets = shared.sets = std::move(sets);
  WEIR_TRY(dynamic_sets, backend::DynamicMaps::make(optimized, result.object.maps));
  result.dynamic_sets = shared.dynamic_sets = std::move(dynamic_sets);
  result.run_maps = shared.runs =
      backend::RunMaps::make(optimized,
                             {.traced = options.trace,
                              .updatable = options.updatable_rules && !options.self_contained,
                              .classifier = options.classifier},
                             std::move(runs), result.object.maps);
  result.runs = searched_runs(result.programs, *shared.runs);

  for (CompiledProgram& program : result.programs) {
    WEIR_TRY(emitted, make_program(ruleset, program, options, result, shared));
    emitted.name = program.function.name;
    result.object.maps = program.function.maps;
    result.object.programs.push_back(std::move(emitted));
  }
  add_rule_sources(ruleset, result.object);
  return result;
}

}  // namespace weir::driver
