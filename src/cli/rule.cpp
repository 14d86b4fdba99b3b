// SPDX-License-Identifier: BSD-2-Clause
//
// weir rule: changes the rules of an installed policy, in nft's words.
#include "service/rule.h"

#include <memory>

#include "cli/common.h"
#include "cli/session.h"
#include "cli/verbs.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name = "default";
  std::string action;
  std::vector<std::string> words;
};

// nft(8) puts its arguments together in the same way.
std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

Result<service::RuleChange::Kind> kind_of(const std::string& action) {
  using Kind = service::RuleChange::Kind;
  if (action == "add") return Kind::add;
  if (action == "insert") return Kind::insert;
  if (action == "delete") return Kind::remove;
  if (action == "replace") return Kind::replace;
  return input_error("'" + action +
                     "' is nothing to do to rules, expected insert, add, delete or replace");
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_TRY(kind, kind_of(options.action));
    const auto warn = [](const imr::Ruleset& ruleset, const driver::Compilation& compilation) {
      warn_of_cut(
          [&](const service::SshSession& session, const packet::Device& device) {
            return service::cuts(ruleset, compilation, session, device);
          },
          "");
    };
    const service::RuleChange change = {
        .kind = kind, .words = joined(options.words), .foresee = warn};
    WEIR_CHECK(service::change_rules(options.name, change, service::Paths{}));
    return exit_done;
  });
}

}  // namespace

void add_rule(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("rule", "change the rules of an installed policy in place");
  verb->add_option("ACTION", options->action, "insert, add, delete or replace")->required();
  verb->add_option("RULE", options->words,
                   "as nft takes it: [FAMILY] TABLE CHAIN [handle N] STATEMENTS; handles are those "
                   "that weir list shows")
      ->required();
  verb->add_option("--name", options->name, "the policy (default)")->type_name("NAME");
  verb->footer(
      "Behind -- all words are nft's, also those that start with a dash.\n"
      "Example: weir rule insert inet filter input tcp dport 22 accept --name office\n"
      "         weir rule delete inet filter input handle 7 --name office");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
