// SPDX-License-Identifier: BSD-2-Clause
//
// What goes for a list of elements: nothing that could end the command that it is put into.
#include "service/element.h"

#include <gtest/gtest.h>

namespace weir::service {
namespace {

TEST(Elements, AreOneListInBraces) {
  for (const char* text : {"{ 10.0.0.1 }", "{10.0.0.1,10.0.1.0/24}", "{ 10.0.0.1 : drop }",
                           "{ \"eth0\" . 22 : jump a }", "{ 1 comment \"}; x\" }"}) {
    EXPECT_TRUE(check_elements(text)) << text;
  }
}

TEST(Elements, EndNothingElse) {
  for (const char* text :
       {"", "10.0.0.1", "{ 1 } { 2 }", "{ 1 }; flush ruleset", "{ 1 }\nflush ruleset", "{ 1 # }",
        "{ 1; 2 }", "{ 1", "} 1 {", "{ \"a }", "{ { 1 }", "{ 1 }}", "{ 1 \\ }", " { 1 }"}) {
    EXPECT_FALSE(check_elements(text)) << text;
  }
}

TEST(Elements, AreSplitAtCommas) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(split_elements("{ 10.0.0.1,10.0.1.0/24 , 1 . 2 }"),
            (Texts{"10.0.0.1", "10.0.1.0/24", "1 . 2"}));
  EXPECT_EQ(split_elements("{ \"a,b\" : drop }"), (Texts{"\"a,b\" : drop"}));
  EXPECT_EQ(split_elements("{}"), Texts());
}

TEST(Elements, StandBehindTheTextAsCommands) {
  const PolicyState policy = {.source = "table ip t {}",
                              .commands = {"add rule ip t c ip saddr @s drop"},
                              .elements = {{.family = Family::ip,
                                            .table = "t",
                                            .set = "s",
                                            .deleted = {"1"},
                                            .added = {"2", "3-4"}}}};
  EXPECT_EQ(source_text(policy),
            "table ip t {}\ndelete element ip t s { 1 }\nadd element ip t s { 2, 3-4 }\n"
            "add rule ip t c ip saddr @s drop\n");
}

}  // namespace
}  // namespace weir::service
