// SPDX-License-Identifier: BSD-2-Clause
//
// weir element: adds elements to a set of an installed policy, and deletes them, in nft's words.
#include <fmt/core.h>

#include <memory>

#include "cli/common.h"
#include "cli/verbs.h"
#include "service/element.h"

namespace weir::cli {
namespace {

struct Options {
  std::string name = "default";
  std::string action;
  std::string family;
  std::string table;
  std::string set;
  std::vector<std::string> elements;
};

// A shell may have split what stands in braces.
std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

int run(const Options& options) {
  return guarded([&]() -> Result<int> {
    if (options.action != "add" && options.action != "delete") {
      return input_error("'" + options.action +
                         "' is nothing to do to elements, expected add or delete");
    }
    WEIR_TRY(family, parse_family(options.family));
    const service::ElementChange change = {.kind = options.action == "add"
                                                       ? service::ElementChange::Kind::add
                                                       : service::ElementChange::Kind::remove,
                                           .family = family,
                                           .table = options.table,
                                           .set = options.set,
                                           .elements = joined(options.elements)};
    WEIR_CHECK(service::change_elements(options.name, change, service::Paths{}));
    return exit_done;
  });
}

}  // namespace

void add_element(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  auto* verb = app.add_subcommand("element", "change a set of an installed policy in place");
  verb->add_option("ACTION", options->action, "add or delete")->required();
  verb->add_option("FAMILY", options->family, "of the table: ip, ip6, inet, ...")->required();
  verb->add_option("TABLE", options->table, "the table")->required();
  verb->add_option("SET", options->set, "the set or map")->required();
  verb->add_option("ELEMENTS", options->elements, "as nft takes them: '{ 10.0.0.1 }'")->required();
  verb->add_option("--name", options->name, "the policy (default)")->type_name("NAME");
  verb->footer(
      "Example: weir element add inet filter blocked '{ 10.0.0.1, 10.0.1.0/24 }' --name office");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace weir::cli
