// SPDX-License-Identifier: BSD-2-Clause
//
// weir confirm: keeps a policy that apply --confirm put in force for a while.
#include <fmt/core.h>

#include <memory>

#include "cli/common.h"
#include "cli/verbs.h"
#include "service/guard.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name = "default";
};

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    WEIR_CHECK(service::confirm(options.name, service::Paths{}));
    fmt::print("confirmed {}\n", options.name);
    return exit_done;
  });
}

}  // namespace

void add_confirm(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("confirm", "keep what apply --confirm put in force for a while");
  verb->add_option("NAME", options->name, "the policy (default)");
  verb->footer("Example: weir confirm office");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
