// SPDX-License-Identifier: BSD-2-Clause
//
// What goes for the words of one command: nothing that could begin another one.
#include "service/rule.h"

#include <gtest/gtest.h>

namespace weir::service {
namespace {

TEST(RuleWords, AreThoseOfOneCommand) {
  for (const char* words :
       {"inet filter input tcp dport 22 accept", "filter input handle 7",
        "t c tcp dport { 22, 80 } accept comment \"a; # { \\\"", "t c jump { accept; }", ""}) {
    EXPECT_TRUE(check_rule_words(words)) << words;
  }
}

TEST(RuleWords, EndNothingElse) {
  for (const char* words :
       {"t c accept; flush ruleset", "t c accept\nflush ruleset", "t c accept\rx", "t c # accept",
        "t c accept }", "t c { accept", "t c } {", "t c comment \"x", "t c \\", "t c { } ; {}",
        "t c comment \"x\n\""}) {
    const Status checked = check_rule_words(words);
    ASSERT_FALSE(checked) << words;
    EXPECT_TRUE(checked.error().message.starts_with("found ")) << checked.error().message;
    EXPECT_EQ(checked.error().kind, ErrorKind::input);
  }
  EXPECT_FALSE(check_rule_words(std::string_view("t c\0accept", 10)));
}

}  // namespace
}  // namespace weir::service
