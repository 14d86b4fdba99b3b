// SPDX-License-Identifier: BSD-2-Clause
//
// weir compile: compiles a ruleset and prints any stage of the way, or writes an ELF object.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/pass_times.h"
#include "cli/verbs.h"
#include "flow/flow.h"
#include "imr/print.h"
#include "isa/isa.h"
#include "object/elf.h"
#include "service/object_note.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  std::vector<std::string> limits;
  std::string emit;
  std::string output;
  std::vector<std::string> disabled_passes;
  std::string classifier;
  bool json = false;
  bool time_passes = false;
};

std::string place_of(const driver::Attachment& attachment) {
  std::string out = to_string(attachment.hook);
  if (attachment.hook.kind == Hook::Kind::netfilter) {
    out += fmt::format(" {} priority {}", to_string(attachment.nfproto), attachment.priority);
    if (attachment.defragments) out += " behind reassembly";
  }
  return out;
}

// The maps that there will be: with an object, those that a loader makes of the file.
Result<std::vector<object::FileMap>> maps_of(const driver::Compilation& compilation, bool elf) {
  if (elf) return object::file_maps(compilation.object);
  std::vector<object::FileMap> out;
  for (const isa::MapSpec& map : compilation.object.maps) {
    out.push_back({.name = map.name,
                   .key_size = map.key_size,
                   .value_size = map.value_size,
                   .max_entries = map.max_entries,
                   .holds = {isa::MapIndex(out.size())}});
  }
  return out;
}

// Of a data section, what stands in it.
std::vector<std::string> contents(const object::FileMap& map, const isa::Object& object) {
  std::vector<std::string> out;
  for (const isa::MapIndex held : map.holds) out.push_back(object.maps.at(held.index()).name);
  if (out == std::vector{map.name}) out.clear();
  return out;
}

nlohmann::ordered_json runs_json(const driver::Compilation& compilation) {
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const driver::SearchedRun& run : compilation.runs) {
    nlohmann::ordered_json estimates = nlohmann::ordered_json::object();
    for (const classify::Estimate& estimate : run.estimates) {
      nlohmann::ordered_json& ns = estimates[std::string(to_string(estimate.kind))];
      if (estimate.ns) ns = *estimate.ns;
    }
    runs.push_back({{"program", compilation.object.programs.at(run.program).name},
                    {"family", to_string(run.nfproto)},
                    {"rules", run.rules.size()},
                    {"classifier", to_string(run.structure)},
                    {"estimates_ns", std::move(estimates)}});
  }
  return runs;
}

nlohmann::ordered_json summary_json(const imr::Ruleset& ruleset,
                                    const driver::Compilation& compilation,
                                    const std::vector<object::FileMap>& file_maps) {
  nlohmann::ordered_json programs = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < compilation.programs.size(); ++i) {
    const driver::Attachment& attachment = compilation.programs[i].attachment;
    const isa::Program& program = compilation.object.programs.at(i);
    const bool at_netfilter = attachment.hook.kind == Hook::Kind::netfilter;
    nlohmann::ordered_json chains = nlohmann::ordered_json::array();
    for (const imr::ChainId root : attachment.roots) {
      chains.push_back(imr::qualified_name(ruleset, root));
    }
    nlohmann::ordered_json entry = {
        {"name", program.name},        {"hook", to_string(attachment.hook)},
        {"family", nullptr},           {"priority", nullptr},
        {"chains", std::move(chains)}, {"instructions", program.insns.size()}};
    if (at_netfilter) {
      entry["family"] = to_string(attachment.nfproto);
      entry["priority"] = attachment.priority;
      entry["defragments"] = attachment.defragments;
    }
    programs.push_back(std::move(entry));
  }
  nlohmann::ordered_json maps = nlohmann::ordered_json::array();
  for (const object::FileMap& map : file_maps) {
    maps.push_back({{"name", map.name},
                    {"key_size", map.key_size},
                    {"value_size", map.value_size},
                    {"max_entries", map.max_entries},
                    {"contents", contents(map, compilation.object)}});
  }
  return {{"programs", std::move(programs)},
          {"maps", std::move(maps)},
          {"runs", runs_json(compilation)}};
}

void print_summary(const imr::Ruleset& ruleset, const driver::Compilation& compilation,
                   const std::vector<object::FileMap>& file_maps) {
  for (std::size_t i = 0; i < compilation.programs.size(); ++i) {
    const driver::Attachment& attachment = compilation.programs[i].attachment;
    const isa::Program& program = compilation.object.programs.at(i);
    std::string chains;
    for (const imr::ChainId root : attachment.roots) {
      chains += (chains.empty() ? "chain " : ", ") + imr::qualified_name(ruleset, root);
    }
    fmt::print("program {}: {}, {}, {} instructions\n", program.name, place_of(attachment), chains,
               program.insns.size());
  }
  for (const driver::SearchedRun& run : compilation.runs) {
    fmt::print("run {} of {}: {} rules for {}, searched by {}\n", run.number,
               compilation.object.programs.at(run.program).name, run.rules.size(),
               to_string(run.nfproto), describe_search(run));
  }
  for (const object::FileMap& map : file_maps) {
    const std::vector<std::string> inside = contents(map, compilation.object);
    fmt::print("map {}: {} entries of {} + {} bytes{}{}\n", map.name, map.max_entries, map.key_size,
               map.value_size, inside.empty() ? "" : ", with ", fmt::join(inside, ", "));
  }
}

void print_stage(const std::string& stage, const driver::Compilation& compilation) {
  for (std::size_t i = 0; i < compilation.programs.size(); ++i) {
    const driver::CompiledProgram& program = compilation.programs[i];
    if (stage == "bpf") {
      fmt::print("{}{}", i == 0 ? "" : "\n",
                 isa::disassemble(compilation.object, compilation.object.programs.at(i), true));
    } else if (stage == "flow") {
      fmt::print("{}", flow::print(program.function));
    } else {
      for (const imr::Unit& unit : program.optimized) fmt::print("{}", imr::print(unit));
    }
  }
}

bool wants_elf(const Options& options) {
  return !options.output.empty() || options.emit == "elf";
}

Status write_object(const Options& options, const Rules& rules,
                    const driver::Compilation& compilation) {
  std::vector<Hook> hooks;
  for (const driver::CompiledProgram& program : compilation.programs) {
    hooks.push_back(program.attachment.hook);
  }
  WEIR_TRY(note, service::object_note(rules.ruleset, compilation, rules.source));
  WEIR_TRY(file, object::to_elf(compilation.object, hooks, note));
  const char* bytes = reinterpret_cast<const char*>(file.data());
  if (options.output.empty()) {
    std::fwrite(bytes, 1, file.size(), stdout);
    return {};
  }
  errno = 0;
  std::ofstream out(options.output, std::ios::binary | std::ios::trunc);
  out.write(bytes, static_cast<std::streamsize>(file.size()));
  out.close();
  if (!out) return system_error("writing " + options.output, errno);
  return {};
}

Status check_options(const Options& options) {
  if (!options.output.empty() && !options.emit.empty() && options.emit != "elf") {
    return input_error("-o writes an ELF object, and --emit " + options.emit +
                       " prints another stage: expected one of both");
  }
  if (options.emit == "elf" && options.output.empty() && ::isatty(STDOUT_FILENO) == 1) {
    return input_error("an ELF object does not belong on a terminal, expected -o FILE.o");
  }
  if (options.emit == "elf" && options.output.empty() && options.json) {
    return input_error("--emit elf prints the object, expected -o FILE.o with --json");
  }
  if (options.emit == "elf" || options.emit.empty() || options.emit == "imr" ||
      options.emit == "imr-opt" || options.emit == "flow" || options.emit == "bpf") {
    return {};
  }
  return input_error("unknown stage '" + options.emit +
                     "' for --emit, expected imr, imr-opt, flow, bpf or elf");
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_CHECK(check_options(options));
    PassTimes times;
    WEIR_TRY(rules, load_rules(options.rules));
    times.step("read the rules");
    if (options.emit == "imr") {
      fmt::print("{}", imr::print(rules.ruleset));
      return exit_done;
    }
    driver::Options how;
    WEIR_TRY(limits, backend::parse_limits(options.limits));
    how.limits = limits;
    how.disabled_passes = options.disabled_passes;
    WEIR_TRY(classifier, parse_classifier(options.classifier));
    how.classifier = classifier;
    // Whoever loads an object fills no maps, and has a kernel of its own.
    how.self_contained = wants_elf(options);
    how.untrusted_memory = !wants_elf(options);
    if (options.time_passes) how.observer = times.observer();
    WEIR_TRY(compilation, driver::compile(rules.ruleset, rules.attachments, how));
    times.step("compile them, in all");
    if (options.time_passes) fmt::print(stderr, "{}", times.table(compilation));
    if (wants_elf(options)) {
      WEIR_CHECK(write_object(options, rules, compilation));
      if (options.output.empty()) return exit_done;
    }
    if (!options.emit.empty() && options.emit != "elf") {
      print_stage(options.emit, compilation);
      return exit_done;
    }
    WEIR_TRY(maps, maps_of(compilation, wants_elf(options)));
    if (options.json) {
      fmt::print("{}\n", summary_json(rules.ruleset, compilation, maps).dump());
    } else {
      print_summary(rules.ruleset, compilation, maps);
    }
    return exit_done;
  });
}

}  // namespace

void add_compile(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("compile", "compile a ruleset; print any stage");
  add_rules_options(*verb, options->rules, HookOption::optional);
  verb->add_option("--emit", options->emit, "print a stage: imr, imr-opt, flow, bpf or elf")
      ->type_name("STAGE");
  verb->add_option("-o,--output", options->output,
                   "write an ELF object, for weir apply, bpftool or libbpf")
      ->type_name("FILE.o");
  verb->add_option("--disable-pass", options->disabled_passes, "leave a pass out; repeatable")
      ->allow_extra_args(false)
      ->type_name("NAME");
  verb->add_flag("--time-passes", options->time_passes,
                 "say on standard error how long each stage took, and what it did to the size");
  verb->add_flag("-j,--json", options->json, "print one JSON object");
  add_classifier_option(*verb, options->classifier);
  add_limit_option(*verb, options->limits);
  verb->footer(
      "Example: weir compile office.nft --hook netfilter:forward --emit bpf\n"
      "         weir compile edge.nft --hook xdp -o edge.o");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
