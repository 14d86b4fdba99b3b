// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of weir: finds the verb, runs it, and turns what went wrong into an exit code.
#include <fmt/core.h>

#include <cstdio>
#include <exception>

#include "base/error.h"
#include "cli/common.h"
#include "cli/verbs.h"

namespace {

int run(int argc, char** argv) {
  using namespace weir::cli;
  Action action;
  const auto app = make_app(action);
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
