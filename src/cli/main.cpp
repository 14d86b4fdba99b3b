// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of weir: finds the verb, runs it, and turns what went wrong into an exit code.
#include <fmt/core.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/common.h"
#include "cli/verbs.h"

namespace {

using namespace weir::cli;

// CLI11 would only say that something is missing. Nothing when `word` is a verb.
std::optional<int> refuse_verb(const CLI::App& app, const std::string& word) {
  std::string known;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_name() == word) return std::nullopt;
    if (!verb->get_group().empty()) known += (known.empty() ? "" : ", ") + verb->get_name();
  }
  const std::string found = word.empty() ? "no verb" : "unknown verb '" + word + "'";
  return fail(weir::input_error(found + ", expected one of " + known).error());
}

int run(int argc, char** argv) {
  Action action;
  const auto app = make_app(action);
  if (argc < 2 || argv[1][0] != '-') {
    const std::string word = argc < 2 ? "" : argv[1];
    if (const auto refused = refuse_verb(*app, word)) return *refused;
  }
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has a number for each kind of misuse; all of them are bad use here.
    return app->exit(error) == 0 ? exit_done : exit_input;
  }
  weir::invariant(static_cast<bool>(action), "a verb without an action");
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const weir::InvariantError& error) {
    fmt::print(stderr, "weir: this is a bug of weir, please report it: {}\n", error.what());
  } catch (const std::exception& error) {
    fmt::print(stderr, "weir: this is a bug of weir, please report it: unexpected {}\n",
               error.what());
  }
  return weir::cli::exit_bug;
}
