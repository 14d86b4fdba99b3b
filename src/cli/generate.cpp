// SPDX-License-Identifier: BSD-2-Clause
//
// weir generate: for packagers, prints the man page or the shell completion. Hidden from the help.
#include <fmt/core.h>

#include <memory>

#include "cli/common.h"
#include "cli/manual.h"
#include "cli/verbs.h"

namespace weir::cli {

void add_generate(CLI::App& app, Action& action) {
  const auto what = std::make_shared<std::string>();
  auto* verb = app.add_subcommand("generate", "print the man page or the bash completion");
  verb->group("");
  verb->add_option("WHAT", *what, "man or bash-completion")->required();
  verb->callback([what, &app, &action] {
    action = [what, &app] {
      if (*what == "man") {
        fmt::print("{}", man_page(app));
      } else if (*what == "bash-completion") {
        fmt::print("{}", bash_completion(app));
      } else {
        return fail(input_error("'" + *what +
                                "' cannot be generated, expected man or "
                                "bash-completion")
                        .error());
      }
      return exit_done;
    };
  });
}

}  // namespace weir::cli
