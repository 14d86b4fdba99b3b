// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/nft_errors.h"

#include <gtest/gtest.h>

#include <fstream>

#include "unit/frontend/nft_support.h"

namespace weir::frontend::nft::test {
namespace {

TEST(Errors, SayFileLineColumnAndShowTheLine) {
  const Diagnostic error = refuse("table ip t {\n\tchain c {\n\t\ttcp dprt 22 accept\n\t}\n}\n");
  EXPECT_EQ(error.kind, ErrorKind::input);
  EXPECT_EQ(error.location, (SourceLocation{"test.nft", 3, 7}));
  EXPECT_EQ(error.message, "syntax error, unexpected string");
  EXPECT_EQ(error.notes, (std::vector<std::string>{"\t\ttcp dprt 22 accept", "\t\t    ^^^^"}));
}

TEST(Errors, OfTheKernelNameTheirPlaceToo) {
  const Diagnostic error =
      refuse("add table ip t\nadd chain ip t c\nadd rule ip t c jump nowhere\n");
  EXPECT_EQ(error.location.line, 3U);
  EXPECT_EQ(error.message, "Could not process rule: No such file or directory");
}

TEST(Errors, AfterTheFirstAreNotes) {
  const Diagnostic error = refuse("table ip t {\n chain c {\n  foo 1\n  bar 2\n }\n}\n");
  EXPECT_EQ(error.location.line, 3U);
  ASSERT_GE(error.notes.size(), 3U);
  EXPECT_TRUE(error.notes[2].starts_with("test.nft:4:")) << error.text();
}

TEST(Errors, InIncludedFilesNameThose) {
  const std::string path = testing::TempDir() + "weir_included.nft";
  std::ofstream(path) << "table ip t {\n bogus\n}\n";
  const Diagnostic error = refuse("include \"" + path + "\"\n");
  EXPECT_EQ(error.location.file, path);
  EXPECT_EQ(error.location.line, 2U);
  ASSERT_FALSE(error.notes.empty());
  EXPECT_EQ(error.notes[2], "included from test.nft:1");
}

TEST(Errors, OfJsonHaveNoLine) {
  const Diagnostic error = refuse("{\"nftables\": [{\"add\": {\"bogus\": 1}}]}");
  EXPECT_EQ(error.location, (SourceLocation{"test.nft", 0, 0}));
  EXPECT_EQ(error.message, "Unknown object passed to add command.");
}

TEST(Errors, NameTheLineOfANulByte) {
  const Diagnostic error = refuse(std::string("table ip t { }\n\0", 16));
  EXPECT_EQ(error.location.line, 2U);
}

TEST(Errors, OfLibnftablesItselfDoNotEndTheScratchNamespace) {
  auto scratch = ScratchNamespace::create();
  ASSERT_TRUE(scratch.has_value()) << scratch.error().text();
  // An assertion of nft 1.0.6 fails on this; later versions may well take or refuse it.
  const auto crashed = scratch->read(in_chain("@nh,12,128 1 accept"), "crash.nft");
  EXPECT_TRUE(crashed || !crashed.error().message.empty());
  const auto next = scratch->read(in_chain("accept"), "next.nft");
  ASSERT_TRUE(next.has_value()) << next.error().text();
  EXPECT_EQ(next->rules.size(), 1U);
}

TEST(ParseErrors, ReadsWhatNftPrints) {
  const std::vector<NftError> errors = parse_errors(
      "In file included from /proc/self/fd/7:1:1-19:\n"
      "./a:b.nft:2:28-33: Error: Interface does not exist\n"
      "table ip x { chain y { iif \"eth8\" accept; };}\n"
      "                           ^^^^^^\n"
      "/proc/self/fd/7:3:1-1: Error: syntax error: odd\n"
      "Error: no place\n",
      "user.nft");
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_EQ(errors[0].location, (SourceLocation{"./a:b.nft", 2, 28}));
  EXPECT_EQ(errors[0].marked, "\"eth8\"");
  EXPECT_EQ(errors[0].included_from, std::vector<std::string>{"user.nft:1"});
  EXPECT_EQ(errors[1].location, (SourceLocation{"user.nft", 3, 1}));
  EXPECT_EQ(errors[1].text, "syntax error: odd");
  EXPECT_TRUE(errors[1].included_from.empty());
  EXPECT_EQ(errors[2].location, (SourceLocation{"user.nft", 0, 0}));
  EXPECT_EQ(missing_interfaces(errors), std::vector<std::string>{"eth8"});
}

}  // namespace
}  // namespace weir::frontend::nft::test
