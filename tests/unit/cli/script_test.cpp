// SPDX-License-Identifier: BSD-2-Clause
//
// Several ruleset files as one script, and the way back to the file.
#include "cli/script.h"

#include <gtest/gtest.h>

namespace weir::cli {
namespace {

TEST(Script, IsTheFileItselfWhenThereIsOne) {
  Script script;
  script.append("a.nft", "one\ntwo");
  EXPECT_EQ(script.text(), "one\ntwo\n");
  EXPECT_EQ(script.name(), "a.nft");
  const SourceLocation place = {.file = "a.nft", .line = 2, .column = 5};
  EXPECT_EQ(script.place(place), place);
}

TEST(Script, FindsTheFileOfALine) {
  Script script;
  script.append("a.nft", "one\ntwo");
  script.append("b.nft", "three\n");
  script.append("c.nft", "four\nfive\n");
  EXPECT_EQ(script.text(), "one\ntwo\nthree\nfour\nfive\n");
  const auto at = [&](std::uint32_t line) {
    return script.place({.file = script.name(), .line = line, .column = 4});
  };
  EXPECT_EQ(at(2), (SourceLocation{.file = "a.nft", .line = 2, .column = 4}));
  EXPECT_EQ(at(3), (SourceLocation{.file = "b.nft", .line = 1, .column = 4}));
  EXPECT_EQ(at(4), (SourceLocation{.file = "c.nft", .line = 1, .column = 4}));
  EXPECT_EQ(at(5), (SourceLocation{.file = "c.nft", .line = 2, .column = 4}));
}

TEST(Script, LeavesOtherPlacesAlone) {
  Script script;
  script.append("a.nft", "one\n");
  script.append("b.nft", "two\n");
  const SourceLocation included = {.file = "defs.nft", .line = 1, .column = 1};
  EXPECT_EQ(script.place(included), included);
  EXPECT_EQ(script.place({}), SourceLocation{});
}

}  // namespace
}  // namespace weir::cli
