// SPDX-License-Identifier: BSD-2-Clause
//
// weir rule: changes the rules of an installed policy, in nft's words.
#include "service/rule.h"

#include <fmt/core.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <sstream>

#include "cli/common.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "service/rule_session.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name = "default";
  std::string action;
  std::vector<std::string> words;
  bool keep_going = false;
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

void warn(const imr::Ruleset& ruleset, const std::vector<driver::Attachment>& attachments,
          const imr::RuleEdit* edit) {
  warn_of_cut(
      [&](const service::SshSession& session, const packet::Device& device) {
        const auto met = [&](std::optional<imr::RuleId> rule) {
          return rule && service::meets(ruleset, *rule, attachments, session, device);
        };
        if (edit != nullptr && !met(edit->removed) && !met(edit->added)) {
          return std::vector<std::string>();
        }
        return service::cuts(ruleset, attachments, session, device);
      },
      "");
}

Result<int> run_one(const Options& options) {
  if (options.words.empty()) return input_error("expected a rule behind " + options.action);
  WEIR_TRY(kind, kind_of(options.action));
  const service::RuleChange change = {
      .kind = kind, .words = joined(options.words), .foresee = warn};
  WEIR_CHECK(service::change_rules(options.name, change, service::Paths{}));
  return exit_done;
}

// "insert inet filter input accept", and with the word that nft has behind the verb, as it stands
// in what weir list --source prints. Nothing of a line without a command.
Result<std::optional<service::RuleChange>> parse_line(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  if (!(words >> verb) || verb.starts_with('#')) return std::optional<service::RuleChange>();
  WEIR_TRY(kind, kind_of(verb));
  std::string rest;
  std::getline(words >> std::ws, rest);
  if (rest.starts_with("rule ")) rest.erase(0, std::string_view("rule ").size());
  return std::optional<service::RuleChange>({.kind = kind, .words = rest, .foresee = warn});
}

void answer(const service::RuleSession::Done& done, double seconds) {
  const std::string handle = done.handle ? fmt::format(" handle {}", *done.handle) : "";
  fmt::print("{}{} in {:.2f} ms\n", done.in_place ? "in place" : "swapped", handle, seconds * 1e3);
  std::fflush(stdout);
}

// Each line is a transaction: what stands before one that is refused stays in force.
Result<int> run_lines(const Options& options) {
  using Clock = std::chrono::steady_clock;
  WEIR_TRY(session, service::RuleSession::open(options.name, service::Paths{}));
  int code = exit_done;
  std::uint32_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    const auto begin = Clock::now();
    const auto one = [&]() -> Status {
      WEIR_TRY(change, parse_line(line));
      if (!change) return {};
      WEIR_TRY(done, session.change(*change));
      answer(done, std::chrono::duration<double>(Clock::now() - begin).count());
      return session.tidy_up();
    }();
    if (one) continue;
    Diagnostic error = one.error();
    error.location = {.file = "<stdin>", .line = number};
    if (!options.keep_going) return std::unexpected(error);
    fmt::print("refused\n");
    std::fflush(stdout);
    code = fail(error);
  }
  return code;
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    if (options.action != "-") return run_one(options);
    if (options.words.empty()) return run_lines(options);
    return input_error("behind - nothing was expected: commands come from standard input");
  });
}

}  // namespace

void add_rule(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("rule", "change the rules of an installed policy in place");
  verb->add_option("ACTION", options->action,
                   "insert, add, delete or replace; - takes commands from standard input")
      ->required();
  verb->add_option("RULE", options->words,
                   "as nft takes it: [FAMILY] TABLE CHAIN [handle N] STATEMENTS; handles are those "
                   "that weir list shows");
  verb->add_option("--name", options->name, "the policy (default)")->type_name("NAME");
  verb->add_flag("--keep-going", options->keep_going,
                 "with -: go on with the next line behind one that is refused");
  verb->footer(
      "With -, a process that runs on: each line of its standard input is a command (insert inet\n"
      "filter input tcp dport 22 accept), answered by a line as soon as it is in force: \"in "
      "place\",\n"
      "which takes a few milliseconds however many rules there are, or \"swapped\", where that "
      "could\n"
      "not be done and all rules were compiled again. Empty lines and those that begin with # are\n"
      "passed over. The first command that is refused ends it; those before it stay in force.\n"
      "Behind -- all words are nft's, also those that start with a dash.\n"
      "Example: weir rule insert inet filter input tcp dport 22 accept --name office\n"
      "         weir rule delete inet filter input handle 7 --name office");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
