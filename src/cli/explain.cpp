// SPDX-License-Identifier: BSD-2-Clause
//
// weir explain: each rule beside what the compiler made of it: IMR, flow, eBPF, machine code.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "cli/common.h"
#include "cli/rule_trail.h"
#include "cli/verbs.h"
#include "driver/runner.h"
#include "imr/print.h"
#include "kernel/kernel.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  std::optional<std::uint64_t> handle;
};

// What there is to show of one program, by rule.
struct ProgramTexts {
  std::vector<ByRule> optimized;  // of each unit
  ByRule flow;
  ByRule bpf;
  ByRule machine_code;
};

struct Explained {
  imr::Ruleset ruleset;
  driver::Compilation compilation;
  RuleTrail trail;
  ByRule imr;
  std::vector<ProgramTexts> programs;
  std::string no_machine_code;  // why there is none; empty where there is some
};

std::string indented(const std::string& text, std::string_view by) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
    out += std::string(by) + text.substr(at, end + 1 - at);
    at = end + 1;
  }
  return out;
}

std::string changed_by(const std::vector<std::string>& passes) {
  std::string out;
  for (const std::string& pass : passes) out += (out.empty() ? ", changed by " : ", ") + pass;
  return out;
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

const std::string* part_of(const ByRule& texts, imr::RuleId rule) {
  const auto found = texts.find(rule);
  return found == texts.end() ? nullptr : &found->second;
}

void print_part(const std::string& title, const std::string* text) {
  fmt::print("  {}\n", painted(title, Colour::bold, stdout));
  fmt::print("{}", text == nullptr || text->empty() ? "    (nothing)\n" : *text);
}

// What the kernel makes of the programs: they are loaded, and let go again.
void add_machine_code(Explained& explained) {
  if (::geteuid() != 0) {
    explained.no_machine_code = "only root can have the kernel make it";
    return;
  }
  const isa::Object& object = explained.compilation.object;
  const auto loaded = kernel::load(object);
  if (!loaded) {
    explained.no_machine_code = loaded.error().message;
    return;
  }
  for (std::size_t i = 0; i < loaded->programs.size(); ++i) {
    const auto code = kernel::machine_code(loaded->programs[i]);
    if (!code || code->rows.empty()) {
      explained.no_machine_code =
          code ? "the kernel shows none (no JIT, or it hides addresses)" : code.error().message;
      return;
    }
    explained.programs[i].machine_code = machine_code_by_rule(object, *code);
  }
}

Result<Explained> explain(Rules rules) {
  Explained out;
  driver::Options how;
  how.observer = out.trail.observer();
  out.ruleset = std::move(rules.ruleset);
  // With stand-ins for what stays with the kernel, so that all else can be explained.
  WEIR_TRY(compilation,
           driver::compile(driver::with_stand_ins(out.ruleset), rules.attachments, how));
  out.compilation = std::move(compilation);
  out.imr = imr_by_rule(out.ruleset, imr::print(out.ruleset));
  for (std::size_t i = 0; i < out.compilation.programs.size(); ++i) {
    const driver::CompiledProgram& program = out.compilation.programs[i];
    ProgramTexts texts;
    for (const imr::Unit& unit : program.optimized) {
      texts.optimized.push_back(imr_by_rule(unit.ruleset, imr::print(unit)));
    }
    texts.flow = flow_by_rule(program.function);
    texts.bpf = bpf_by_rule(out.compilation.object, out.compilation.object.programs.at(i));
    out.programs.push_back(std::move(texts));
  }
  add_machine_code(out);
  return out;
}

// The map that the program searches for the rule, if it is no code of its own.
const isa::MapSpec* map_with(const isa::Object& object, const isa::Program& program,
                             imr::RuleId rule) {
  for (const isa::Relocation& relocation : program.relocations) {
    const auto* value = std::get_if<isa::MapValueReference>(&relocation.what);
    if (value == nullptr) continue;
    const isa::MapSpec& map = object.maps[value->map.index()];
    if (std::ranges::find(map.rules, rule.value) != map.rules.end()) return &map;
  }
  return nullptr;
}

void print_program(const Explained& explained, std::size_t index, imr::RuleId rule) {
  const driver::CompiledProgram& program = explained.compilation.programs.at(index);
  const ProgramTexts& texts = explained.programs.at(index);
  const std::string& name = explained.compilation.object.programs.at(index).name;
  for (std::size_t u = 0; u < program.optimized.size(); ++u) {
    const Nfproto nfproto = program.optimized[u].nfproto;
    const auto passes = explained.trail.imr_passes(explained.compilation, index, nfproto, rule);
    print_part(fmt::format("IMR in {} for {}{}", name, to_string(nfproto), changed_by(passes)),
               part_of(texts.optimized[u], rule));
  }
  for (const driver::SearchedRun& run : explained.compilation.runs) {
    if (run.program != index || !std::ranges::binary_search(run.rules, rule)) continue;
    fmt::print("  {} searches for it together with {} other rules, by {}\n", name,
               run.rules.size() - 1, describe_search(run));
  }
  const isa::Object& object = explained.compilation.object;
  if (const isa::MapSpec* map = map_with(object, object.programs.at(index), rule)) {
    fmt::print("  no code of its own: it is in map {}\n", map->name);
    return;
  }
  const std::string* flow = part_of(texts.flow, rule);
  const auto passes = explained.trail.flow_passes(index, rule);
  const std::string shown = flow == nullptr ? "" : indented(*flow, "    ");
  print_part(fmt::format("flow in {}{}", name, changed_by(passes)), &shown);
  const std::string* bpf = part_of(texts.bpf, rule);
  print_part(fmt::format("eBPF in {}", name), bpf);
  if (!explained.no_machine_code.empty()) return;
  print_part(fmt::format("machine code in {}", name), part_of(texts.machine_code, rule));
}

void print_rule(const Explained& explained, imr::RuleId rule) {
  const imr::Rule& written = explained.ruleset[rule];
  const imr::Origin& origin = written.origin;
  const std::string place =
      origin.location.line == 0
          ? ""
          : fmt::format(" ({}:{})", origin.location.file, origin.location.line);
  fmt::print("{}\n", painted(fmt::format("rule {} handle {}{}: {}",
                                         imr::qualified_name(explained.ruleset, written.chain),
                                         origin.handle, place, origin.text.str()),
                             Colour::green, stdout));
  print_part("IMR as read", part_of(explained.imr, rule));
  if (imr::translation(written) != imr::Translation::full) {
    fmt::print("  stays with the kernel: {}\n",
               std::get<imr::Native>(written.statements.back()).reason.str());
    return;
  }
  for (std::size_t i = 0; i < explained.programs.size(); ++i) {
    const auto& units = explained.compilation.programs[i].units;
    const bool part = std::ranges::any_of(units, [&](const imr::Unit& unit) {
      return std::ranges::any_of(unit.roots, [&](imr::ChainId root) {
        const auto reached = imr::reachable_chains(unit.ruleset, root);
        return std::ranges::find(reached, written.chain) != reached.end();
      });
    });
    if (part) print_program(explained, i, rule);
  }
  if (!explained.no_machine_code.empty()) {
    fmt::print("  no machine code: {}\n", explained.no_machine_code);
  }
}

// What no rule's part shows: finding the headers, reading what several rules need, the policies.
void print_rest(const Explained& explained) {
  for (std::size_t i = 0; i < explained.programs.size(); ++i) {
    const std::string* bpf = part_of(explained.programs[i].bpf, imr::RuleId());
    fmt::print("around the rules of {}: {} lines of eBPF (see weir compile --emit bpf)\n",
               explained.compilation.object.programs.at(i).name,
               bpf == nullptr ? 0 : lines_of(*bpf));
  }
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_TRY(rules, load_rules(options.rules));
    std::vector<imr::RuleId> wanted;
    std::set<imr::ChainId> taken;
    for (const driver::Attachment& attachment : rules.attachments) {
      for (const imr::ChainId root : attachment.roots) {
        for (const imr::ChainId chain : imr::reachable_chains(rules.ruleset, root)) {
          if (!taken.insert(chain).second) continue;
          for (const imr::RuleId rule : rules.ruleset[chain].rules) {
            const std::uint64_t handle = rules.ruleset[rule].origin.handle;
            if (!options.handle || handle == *options.handle) wanted.push_back(rule);
          }
        }
      }
    }
    if (options.handle && wanted.empty()) {
      return input_error(
          fmt::format("no rule with handle {} in the chains taken, expected one that "
                      "weir check lists",
                      *options.handle));
    }
    WEIR_TRY(explained, explain(std::move(rules)));
    bool whole = true;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (i > 0) fmt::print("\n");
      print_rule(explained, wanted[i]);
      whole = whole && imr::translation(explained.ruleset[wanted[i]]) == imr::Translation::full;
    }
    if (!options.handle) {
      fmt::print("\n");
      print_rest(explained);
    }
    return whole ? exit_done : exit_partial;
  });
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("explain", "show each rule beside what became of it");
  add_rules_options(*verb, options->rules, HookOption::optional);
  verb->add_option("--rule", options->handle, "only the rule with this handle (see weir check)")
      ->type_name("N");
  verb->footer("Example: weir explain office.nft --hook netfilter:forward --rule 4");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
