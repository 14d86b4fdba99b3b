// SPDX-License-Identifier: BSD-2-Clause
//
// weir release: takes away what apply installed.
#include <fmt/core.h>

#include <memory>

#include "cli/common.h"
#include "cli/verbs.h"
#include "service/apply.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name = "default";
  bool all = false;
  bool force = false;
};

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    const service::Paths paths;
    std::vector<std::string> names = {options.name};
    if (const kernel::Fd held = service::try_lock(paths); held.valid()) service::tidy(paths);
    if (options.all) names = service::policy_names(paths);
    for (const std::string& name : names) {
      WEIR_CHECK(service::release(name, paths, options.force));
      fmt::print("released {}\n", name);
    }
    return exit_done;
  });
}

}  // namespace

void add_release(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("release", "take away what apply installed");
  auto* name = verb->add_option("NAME", options->name, "the policy (default)");
  verb->add_flag("--all", options->all, "every policy")->excludes(name);
  verb->add_flag("--force", options->force, "also one that was applied with --lock");
  verb->footer("Example: weir release office");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
