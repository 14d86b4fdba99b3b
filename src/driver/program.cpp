// SPDX-License-Identifier: BSD-2-Clause
#include "driver/program.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "backend/emitter.h"
#include "backend/split.h"
#include "driver/reads.h"
#include "driver/stages.h"
#include "engine/engine.h"
#include "passes/flow_self_contained.h"
#include "passes/pipeline.h"

namespace weir::driver {
namespace {

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

std::unexpected<Diagnostic> with_roots(std::unexpected<Diagnostic> error,
                                       const imr::Ruleset& ruleset, const Attachment& attachment) {
  for (const imr::ChainId root : attachment.roots) {
    error.error().notes.push_back("chain " + imr::qualified_name(ruleset, root));
  }
  return error;
}

std::unexpected<Diagnostic> too_large(const imr::Ruleset& ruleset, const Attachment& attachment,
                                      const Options& options) {
  std::string names;
  for (const backend::Limit limit : backend::all_limits) {
    if (!options.limits.contains(limit)) continue;
    names += (names.empty() ? "" : ", ") + std::string(to_string(limit));
  }
  return with_roots(
      input_error("the rules for " + to_string(attachment.hook) +
                  " are too many for one function, and --limit " + names + " allows no others"),
      ruleset, attachment);
}

std::unexpected<Diagnostic> too_many(const imr::Ruleset& ruleset, const Attachment& attachment,
                                     const Options& options) {
  const std::size_t rules = count_rules(ruleset, {&attachment, 1});
  auto error = with_roots(
      input_error("the " + std::to_string(rules) + " rules for " + to_string(attachment.hook) +
                  " are more than the kernel's verifier follows, " +
                  std::to_string(options.verifier_limit) + " instructions over all paths"),
      ruleset, attachment);
  error.error().notes.emplace_back("sets and maps say in one rule what rules say one by one");
  return error;
}

std::unexpected<Diagnostic> no_room(const imr::Ruleset& ruleset, const Attachment& attachment,
                                    const Options& options) {
  std::string names;
  for (const std::string& pass : options.disabled_passes) {
    names += (names.empty() ? "" : ", ") + pass;
  }
  invariant(!names.empty(), "a program that does not fit the stack");
  return with_roots(input_error("without the passes " + names + " the rules for " +
                                to_string(attachment.hook) + " do not fit a program's stack"),
                    ruleset, attachment);
}

// How a function is cut up, from what runs fastest to what the verifier walks least: in one piece,
// then in parts of so many instructions.
constexpr std::array<std::uint32_t, 4> part_sizes = {0, 6000, 600, 40};

// Programs of fewer instructions were never seen to need very long walks.
constexpr std::size_t least_measured = 500;

// Of engine::walk(), over all functions. Where rules just follow one another, the verifier was seen
// to walk 1.3 times as far, and never less; where paths hardly meet, several times as far.
constexpr std::uint64_t walk_of_lists = 700'000;
std::uint64_t longest_walk(std::size_t instructions, const Options& options) {
  return std::min(std::clamp<std::uint64_t>(instructions * 8, 150'000, walk_of_lists),
                  options.verifier_limit);
}

// Lowers `program.optimized` and optimizes what comes of it.
Status make_function(const imr::Ruleset& ruleset, CompiledProgram& program, const Options& options,
                     const backend::Profile& profile, const Compilation& result,
                     const backend::LowerOptions& lowering, backend::SharedMaps& shared) {
  const std::size_t index = result.object.programs.size();
  flow::Function& function = program.function = {};
  function.name = program_name(ruleset, program.attachment);
  function.maps = result.object.maps;
  function.rule_names = result.object.rule_names;
  Stage stage(options, "lower", index, program.optimized);
  WEIR_CHECK(backend::lower(program.optimized, profile, lowering, shared, function));
  stage.done(function);
  flow::verify(function);
  if (options.self_contained) passes::flow_self_contained(function);
  run_flow_passes(function, index, options);
  return {};
}

// The engine has no bpf_xdp_load_bytes() and no bpf_dynptr_read().
bool walkable(const Hook& hook, const Options& options) {
  const bool by_other_helpers = hook.kind == Hook::Kind::xdp || hook.kind == Hook::Kind::netfilter;
  return !by_other_helpers || !options.limits.contains(backend::Limit::helper_access);
}

// Whether the verifier will come to an end with it after `most` instructions.
bool within_reach(flow::Function& function, isa::Program& program, std::uint64_t most) {
  if (program.insns.size() < std::min(least_measured, most)) return true;
  // The maps may hold very much: they are lent, not copied.
  isa::Object object;
  object.maps = std::move(function.maps);
  object.programs.push_back(std::move(program));
  const auto walked = engine::walk(object, 0, most);
  function.maps = std::move(object.maps);
  program = std::move(object.programs.front());
  invariant(walked.has_value(),
            "the checker refuses what was compiled: " + (walked ? "" : walked.error().text()));
  return walked->complete;
}

}  // namespace

bool enabled(const Options& options, std::string_view pass) {
  return std::ranges::find(options.disabled_passes, pass) == options.disabled_passes.end();
}

backend::Profile profile_of(const Attachment& attachment, const Options& options) {
  return backend::profile_for(
      attachment.hook, {.untrusted_memory = options.untrusted_memory, .limits = options.limits});
}

Result<isa::Program> make_program(const imr::Ruleset& ruleset, CompiledProgram& program,
                                  const Options& options, const Compilation& result,
                                  backend::SharedMaps& shared) {
  const backend::Profile profile = profile_of(program.attachment, options);
  // Where functions are forbidden, a program stays in one piece.
  const bool may_split = profile.local_calls;
  std::size_t cut = may_split && options.small_parts ? part_sizes.size() - 1 : 0;
  const std::size_t last_cut = may_split ? part_sizes.size() - 1 : 0;
  // With fewer shared words a program needs less stack; nearly always the first try fits.
  for (unsigned words = backend::most_shared_words;;) {
    backend::SharedMaps maps = shared;
    backend::LowerOptions lowering{.drop_unparsable = options.drop_unparsable,
                                   .shared_words = words};
    if (!may_split) {
      lowering.direct_returns = backend::any_direct_returns;
      lowering.direct_rounds = backend::any_direct_rounds;
    } else if (cut > 0) {
      lowering.direct_returns = 0;
      lowering.direct_rounds = 0;
    }
    WEIR_CHECK(make_function(ruleset, program, options, profile, result, lowering, maps));
    flow::Function& function = program.function;
    if (cut == 0 && backend::needs_splitting(function)) {
      if (!may_split) return too_large(ruleset, program.attachment, options);
      ++cut;  // once more, with returns that can be split
      continue;
    }
    Stage stage(options, "emit", result.object.programs.size(), function);
    auto emitted =
        cut > 0
            ? backend::emit(backend::split(function, {.part_size = part_sizes.at(cut)}), profile)
            : backend::emit(function, profile);
    if (emitted) {
      stage.done(*emitted);
      const std::size_t size = emitted->insns.size();
      const bool last = cut == last_cut;
      if (walkable(program.attachment.hook, options) &&
          !within_reach(function, *emitted,
                        last ? options.verifier_limit : longest_walk(size, options))) {
        if (last) return too_many(ruleset, program.attachment, options);
        // Of a long list, parts of one size take as much as those of another; only paths that
        // hardly meet are shorter in the smallest.
        cut = size * 8 > walk_of_lists ? last_cut : cut + 1;
        continue;
      }
      shared = maps;
      return std::move(*emitted);
    }
    if (words > 0) {
      words /= 2;
    } else if (cut < last_cut) {
      ++cut;
    } else {
      return no_room(ruleset, program.attachment, options);
    }
  }
}

}  // namespace weir::driver
