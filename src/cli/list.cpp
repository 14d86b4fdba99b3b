// SPDX-License-Identifier: BSD-2-Clause
//
// weir list and weir status: installed policies, as rules with live counters and as what is
// attached.
#include <fmt/core.h>

#include <memory>

#include "cli/common.h"
#include "cli/verbs.h"
#include "service/element.h"
#include "service/exchange.h"
#include "service/listing.h"
#include "service/store.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name;
  bool json = false;
  bool source = false;
};

Result<std::vector<service::PolicyState>> policies(const std::string& name) {
  const service::Paths paths;
  std::vector<std::string> names = {name};
  // What a killed apply left is none of them; whoever may, cleans it up.
  if (const kernel::Fd held = service::try_lock(paths); held.valid()) service::tidy(paths);
  if (name.empty()) names = service::standing_names(paths);
  std::vector<service::PolicyState> out;
  for (const std::string& each : names) {
    WEIR_TRY(policy, service::load_policy(each, paths));
    service::view_exchange(policy, paths);
    out.push_back(std::move(policy));
  }
  return out;
}

int run_list(const Options& options) {
  return guarded([&]() -> Result<int> {
    const service::Paths paths;
    WEIR_TRY(all, policies(options.name));
    std::string json;
    for (service::PolicyState& policy : all) {
      if (options.source) {
        WEIR_CHECK(service::settle_elements(policy, paths));
        fmt::print("{}", service::source_text(policy));
      } else if (options.json) {
        WEIR_TRY(text, service::list_json(policy, paths));
        json += (json.empty() ? "" : ",") + text;
      } else {
        WEIR_TRY(text, service::list_text(policy, paths));
        fmt::print("{}", text);
      }
    }
    if (options.json) fmt::print("{{\"policies\":[{}]}}\n", json);
    return exit_done;
  });
}

int run_status(const Options& options) {
  return guarded([&]() -> Result<int> {
    const service::Paths paths;
    WEIR_TRY(all, policies(options.name));
    std::string json;
    for (const service::PolicyState& policy : all) {
      if (options.json) {
        json += (json.empty() ? "" : ",") + service::status_json(policy, paths);
      } else {
        fmt::print("{}", service::status_text(policy, paths));
      }
    }
    if (options.json) {
      fmt::print("{{\"policies\":[{}]}}\n", json);
    } else if (all.empty()) {
      fmt::print("no policy is applied\n");
    }
    return exit_done;
  });
}

}  // namespace

void add_list(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("list", "the rules in force, as written, with live counters");
  verb->add_option("NAME", options->name, "one policy (default: all)");
  auto* json = verb->add_flag("-j,--json", options->json, "print one JSON object");
  verb->add_flag("--source", options->source, "the text that was applied, word for word")
      ->excludes(json);
  verb->footer("Example: weir list office");
  verb->callback([options, &action] { action = [options] { return run_list(*options); }; });
}

void add_status(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("status", "what is attached where, since when");
  verb->add_option("NAME", options->name, "one policy (default: all)");
  verb->add_flag("-j,--json", options->json, "print one JSON object");
  verb->footer("Example: weir status -j");
  verb->callback([options, &action] { action = [options] { return run_status(*options); }; });
}

}  // namespace weir::cli
