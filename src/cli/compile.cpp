// SPDX-License-Identifier: BSD-2-Clause
//
// weir compile: compiles a ruleset and prints any stage of the way.
#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/verbs.h"
#include "flow/flow.h"
#include "imr/print.h"
#include "isa/isa.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  std::string emit;
  std::string output;
  std::vector<std::string> disabled_passes;
  bool json = false;
};

std::string place_of(const driver::Attachment& attachment) {
  std::string out = to_string(attachment.hook);
  if (attachment.hook.kind == Hook::Kind::netfilter) {
    out += fmt::format(" {} priority {}", to_string(attachment.nfproto), attachment.priority);
  }
  return out;
}

nlohmann::ordered_json summary_json(const imr::Ruleset& ruleset,
                                    const driver::Compilation& compilation) {
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
    }
    programs.push_back(std::move(entry));
  }
  nlohmann::ordered_json maps = nlohmann::ordered_json::array();
  for (const isa::MapSpec& map : compilation.object.maps) {
    maps.push_back({{"name", map.name},
                    {"key_size", map.key_size},
                    {"value_size", map.value_size},
                    {"max_entries", map.max_entries}});
  }
  return {{"programs", std::move(programs)}, {"maps", std::move(maps)}};
}

void print_summary(const imr::Ruleset& ruleset, const driver::Compilation& compilation) {
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
  for (const isa::MapSpec& map : compilation.object.maps) {
    fmt::print("map {}: {} entries of {} + {} bytes\n", map.name, map.max_entries, map.key_size,
               map.value_size);
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

Status check_options(const Options& options) {
  if (!options.output.empty() || options.emit == "elf") {
    return input_error("ELF objects (-o, --emit elf) are not built yet");
  }
  if (options.emit.empty() || options.emit == "imr" || options.emit == "imr-opt" ||
      options.emit == "flow" || options.emit == "bpf") {
    return {};
  }
  return input_error("unknown stage '" + options.emit +
                     "' for --emit, expected imr, imr-opt, flow or bpf");
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_CHECK(check_options(options));
    WEIR_TRY(rules, load_rules(options.rules));
    if (options.emit == "imr") {
      fmt::print("{}", imr::print(rules.ruleset));
      return exit_done;
    }
    driver::Options how;
    how.disabled_passes = options.disabled_passes;
    WEIR_TRY(compilation, driver::compile(rules.ruleset, rules.attachments, how));
    if (!options.emit.empty()) {
      print_stage(options.emit, compilation);
    } else if (options.json) {
      fmt::print("{}\n", summary_json(rules.ruleset, compilation).dump());
    } else {
      print_summary(rules.ruleset, compilation);
    }
    return exit_done;
  });
}

}  // namespace

void add_compile(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("compile", "compile a ruleset; print any stage");
  add_rules_options(*verb, options->rules, HookOption::optional);
  verb->add_option("--emit", options->emit, "print a stage: imr, imr-opt, flow or bpf")
      ->type_name("STAGE");
  verb->add_option("-o,--output", options->output, "an ELF object (not built yet)")
      ->type_name("FILE.o");
  verb->add_option("--disable-pass", options->disabled_passes, "leave a pass out; repeatable")
      ->allow_extra_args(false)
      ->type_name("NAME");
  verb->add_flag("-j,--json", options->json, "print one JSON object");
  verb->footer("Example: weir compile office.nft --hook netfilter:forward --emit bpf");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
