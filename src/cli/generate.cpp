// SPDX-License-Identifier: BSD-2-Clause
//
// weir generate: for packagers, prints the man page, the shell completion or the page of hooks.
// Hidden from the help.
#include <fmt/core.h>

#include <memory>

#include "backend/servable.h"
#include "cli/common.h"
#include "cli/manual.h"
#include "cli/verbs.h"

namespace weir::cli {

void add_generate(CLI::App& app, Action& action) {
  const auto what = std::make_shared<std::string>();
  auto* verb =
      app.add_subcommand("generate", "print the man page, the bash completion or docs/hooks.md");
  verb->group("");
  verb->add_option("WHAT", *what, "man, bash-completion or hooks")->required();
  verb->callback([what, &app, &action] {
    action = [what, &app] {
      if (*what == "man") {
        fmt::print("{}", man_page(app));
      } else if (*what == "bash-completion") {
        fmt::print("{}", bash_completion(app));
      } else if (*what == "hooks") {
        fmt::print("{}", backend::hooks_document());
      } else {
        return fail(input_error("'" + *what +
                                "' cannot be generated, expected man, "
                                "bash-completion or hooks")
                        .error());
      }
      return exit_done;
    };
  });
}

}  // namespace weir::cli
