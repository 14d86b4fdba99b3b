// SPDX-License-Identifier: BSD-2-Clause
//
// The man page and the completion name every verb and every option.
#include "cli/manual.h"

#include <gtest/gtest.h>

#include "cli/verbs.h"

namespace weir::cli {
namespace {

TEST(Manual, NamesEveryVerbAndOption) {
  Action action;
  const auto app = make_app(action);
  const std::string page = man_page(*app);
  const std::string completion = bash_completion(*app);
  for (const char* verb :
       {"check", "compile", "test", "apply", "release", "list", "status", "bench", "features"}) {
    EXPECT_NE(page.find(std::string(".SS weir ") + verb + "\n"), std::string::npos) << verb;
    EXPECT_NE(completion.find(std::string("    ") + verb + ") "), std::string::npos) << verb;
  }
  EXPECT_NE(page.find("\\-\\-engine"), std::string::npos);
  EXPECT_NE(completion.find("--engine"), std::string::npos);
  EXPECT_EQ(page.find(".SS weir generate"), std::string::npos) << "that verb is for packagers";
}

TEST(Manual, EveryVerbHasAnExample) {
  Action action;
  const auto app = make_app(action);
  for (const CLI::App* verb : app->get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_group().empty()) continue;
    EXPECT_NE(verb->get_footer().find("Example: weir "), std::string::npos) << verb->get_name();
  }
}

}  // namespace
}  // namespace weir::cli
