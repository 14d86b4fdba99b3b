// SPDX-License-Identifier: BSD-2-Clause
//
// weir check: what becomes of each rule, and whether the hook can serve what they read.
#include <fmt/core.h>

#include <memory>

#include "cli/common.h"
#include "cli/verbs.h"
#include "driver/report.h"
#include "driver/runner.h"

namespace weir::cli {
namespace {

struct Options {
  RulesOptions rules;
  bool json = false;
};

Colour colour_of(imr::Translation translation) {
  switch (translation) {
    case imr::Translation::full:
      return Colour::green;
    case imr::Translation::partial:
      return Colour::yellow;
    case imr::Translation::native:
      return Colour::red;
  }
  throw InvariantError("translation out of range");
}

void print_rule(const imr::Ruleset& ruleset, const driver::RuleReport& report) {
  const imr::Rule& rule = ruleset[report.rule];
  // Padded before it is painted: the colour's bytes have no width.
  const std::string word = fmt::format("{:<7}", driver::to_string(report.translation));
  fmt::print("  {} {}", painted(word, colour_of(report.translation), stdout),
             rule.origin.text.str());
  fmt::print(" # handle {}", rule.origin.handle);
  if (rule.origin.location.line != 0) fmt::print(", line {}", rule.origin.location.line);
  fmt::print("\n");
  if (report.translation == imr::Translation::partial) {
    fmt::print("          its first {} of {} statements translate\n", report.translated_statements,
               report.statements);
  }
  if (!report.reason.empty()) fmt::print("          {}\n", report.reason);
  for (const driver::Finding& finding : report.findings) {
    fmt::print("          {}: {}\n",
               painted(driver::to_string(finding.kind), Colour::yellow, stdout), finding.text);
  }
}

void print_report(const imr::Ruleset& ruleset, const driver::CheckReport& report) {
  imr::ChainId open;
  for (const driver::RuleReport& rule : report.rules) {
    const imr::ChainId chain = ruleset[rule.rule].chain;
    if (chain != open) {
      const std::string name = "chain " + imr::qualified_name(ruleset, chain);
      fmt::print("{}{}\n", painted(name, Colour::bold, stdout),
                 rule.taken ? "" : " (not taken, and not reached from those that are)");
      open = chain;
    }
    print_rule(ruleset, rule);
  }
  const driver::Summary& sum = report.summary;
  std::size_t found = 0;
  for (const driver::RuleReport& rule : report.rules) found += rule.findings.size();
  if (found != 0) fmt::print("{} finding{}\n", found, found == 1 ? "" : "s");
  fmt::print("{} rules taken: {} full, {} partial, {} native\n", sum.rules, sum.full, sum.partial,
             sum.native);
}

// Programs whose links have fragments put together first, as the kernel has it for their chains.
void print_reassembly(const Rules& rules) {
  for (const driver::Attachment& attachment : rules.attachments) {
    if (!attachment.defragments) continue;
    for (const imr::ChainId root : attachment.roots) {
      fmt::print("chain {} runs behind reassembly at {} {} (kernel 6.6 and newer)\n",
                 imr::qualified_name(rules.ruleset, root), to_string(attachment.hook),
                 to_string(attachment.nfproto));
    }
  }
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_TRY(rules, load_rules(options.rules));
    // With stand-ins for what stays with the kernel, so that all else is looked at too.
    WEIR_CHECK(driver::compile(driver::with_stand_ins(rules.ruleset), rules.attachments));
    const driver::CheckReport report = driver::check_report(rules.ruleset, rules.attachments);
    if (options.json) {
      fmt::print("{}\n", driver::to_json(rules.ruleset, report));
    } else {
      print_report(rules.ruleset, report);
      print_reassembly(rules);
    }
    return report.summary.full == report.summary.rules ? exit_done : exit_partial;
  });
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("check", "say for each rule what becomes of it, and why");
  add_rules_options(*verb, options->rules, HookOption::optional);
  verb->add_flag("-j,--json", options->json, "print one JSON object");
  verb->footer("Example: weir check office.nft --hook netfilter:forward");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
