// SPDX-License-Identifier: BSD-2-Clause
#include <string>

#include "cli/verbs.h"

namespace weir::cli {

std::unique_ptr<CLI::App> make_app(Action& action) {
  auto app = std::make_unique<CLI::App>(
      "compile nftables rulesets to eBPF and run them at netfilter hooks and XDP", "weir");
  app->set_version_flag("--version", "weir " WEIR_VERSION);
  app->require_subcommand(1);
  app->footer(
      "Exit codes: 0 done; 1 bad input or use; 2 part of the rules stay with the kernel;\n"
      "3 the system refused; 70 a bug of weir.\n"
      "Example: weir check ruleset.nft");
  add_check(*app, action);
  add_compile(*app, action);
  add_explain(*app, action);
  add_test(*app, action);
  add_apply(*app, action);
  add_confirm(*app, action);
  add_element(*app, action);
  add_rule(*app, action);
  add_release(*app, action);
  add_list(*app, action);
  add_log(*app, action);
  add_status(*app, action);
  add_bench(*app, action);
  add_features(*app, action);
  add_generate(*app, action);
  return app;
}

}  // namespace weir::cli
