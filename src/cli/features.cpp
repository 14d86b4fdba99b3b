// SPDX-License-Identifier: BSD-2-Clause
//
// weir features: what this kernel can do, probe by probe.
#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.h"
#include "cli/verbs.h"
#include "kernel/kernel.h"

namespace weir::cli {
namespace {

int run(bool json) {
  const std::vector<kernel::Feature> features = kernel::probe_features();
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const kernel::Feature& feature : features) {
      list.push_back(
          {{"name", feature.name}, {"present", feature.present}, {"detail", feature.detail}});
    }
    const nlohmann::ordered_json out = {{"features", std::move(list)}};
    fmt::print("{}\n", out.dump());
    return exit_done;
  }
  for (const kernel::Feature& feature : features) {
    const std::string word = feature.present ? painted("yes", Colour::green, stdout)
                                             : painted("no ", Colour::red, stdout);
    fmt::print("{}  {}{}\n", word, feature.name,
               feature.detail.empty() ? "" : " (" + feature.detail + ")");
  }
  return exit_done;
}

}  // namespace

void add_features(CLI::App& app, Action& action) {
  const auto json = std::make_shared<bool>(false);
  auto* verb = app.add_subcommand("features", "what this kernel can do, probe by probe");
  verb->add_flag("-j,--json", *json, "print one JSON object");
  verb->footer("Example: weir features");
  verb->callback([json, &action] { action = [json] { return run(*json); }; });
}

}  // namespace weir::cli
