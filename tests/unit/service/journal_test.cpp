// SPDX-License-Identifier: BSD-2-Clause
//
// Lines of the journal there and back, and what they make of a policy's rules.
#include "service/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace weir::service {
namespace {

RuleState rule(std::uint64_t handle) {
  return {.handle = handle, .text = "rule " + std::to_string(handle), .counters = {}};
}

PolicyState policy_of(const std::vector<std::uint64_t>& handles) {
  PolicyState policy;
  policy.name = "p";
  policy.edition = 7;
  for (const char* name : {"c", "d"}) {
    ChainState& chain = policy.chains.emplace_back(
        ChainState{.family = Family::inet, .table = "t", .name = name, .base = {}, .rules = {}});
    for (const std::uint64_t handle : handles) chain.rules.push_back(rule(handle));
  }
  return policy;
}

JournalLine line(std::optional<std::uint64_t> removed, std::optional<std::uint64_t> added,
                 std::optional<std::uint64_t> before = std::nullopt) {
  JournalLine out = {.edition = 7,
                     .command = "a command",
                     .family = Family::inet,
                     .table = "t",
                     .chain = "c",
                     .removed = removed,
                     .added = {},
                     .before = before,
                     .turn = {}};
  if (added) out.added = rule(*added);
  return out;
}

std::vector<std::uint64_t> handles(const ChainState& chain) {
  std::vector<std::uint64_t> out;
  for (const RuleState& each : chain.rules) out.push_back(each.handle);
  return out;
}

Status replay_text(const std::string& text, PolicyState& policy) {
  std::istringstream in(text);
  return replay(in, policy, {.bpffs = "/nowhere", .state = "/nowhere"});
}

TEST(JournalLines, ComeBackFromTheirJson) {
  JournalLine whole = line(3, 9, 4);
  whole.command = "replace rule inet t c handle 3 \"quoted\" # \\ ümlaut";
  whole.family = Family::ip6;
  whole.added = RuleState{.handle = 9,
                          .line = 2,
                          .text = "counter packets 1 bytes 2 drop",
                          .counters = {{.index = 5, .packets = 1, .bytes = 1ULL << 40}},
                          .programs = {11, 12},
                          .maps = {13}};
  whole.turn = {.map = 2, .offset = 1ULL << 33, .size = 8, .from = ~0ULL};
  for (const JournalLine& each : {whole, line(3, std::nullopt), line(std::nullopt, 9)}) {
    const std::string text = to_json(each);
    ASSERT_TRUE(text.ends_with('\n'));
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    const auto back = journal_line(text);
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, each);
  }
}

TEST(JournalLines, RefuseWhatIsNone) {
  for (const char* text : {"", "{", "[]", "{}", R"({"edition":1})", "7"}) {
    EXPECT_FALSE(journal_line(text)) << text;
  }
  std::string text = to_json(line(1, std::nullopt));
  const std::string family = "\"inet\"";
  text.replace(text.find(family), family.size(), "\"nosuch\"");
  EXPECT_FALSE(journal_line(text));
}

TEST(Journal, PutsRulesWhereTheyCame) {
  PolicyState policy = policy_of({1, 2, 3});
  std::string text = to_json(line(std::nullopt, 4, 1)) + to_json(line(std::nullopt, 5)) +
                     to_json(line(2, 6, 3)) + to_json(line(1, std::nullopt));
  JournalLine elsewhere = line(3, 3, 2);
  elsewhere.chain = "d";
  text += to_json(elsewhere);
  const auto done = replay_text(text, policy);
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(handles(policy.chains[0]), (std::vector<std::uint64_t>{4, 6, 3, 5}));
  EXPECT_EQ(handles(policy.chains[1]), (std::vector<std::uint64_t>{1, 3, 2}));
  EXPECT_EQ(policy.commands, std::vector<std::string>(5, "a command"));
  EXPECT_EQ(policy.edition, 8U) << "what is saved now has the lines in it";
}

TEST(Journal, CountsForItsOwnStateAlone) {
  const PolicyState before = policy_of({1, 2, 3});
  PolicyState policy = before;
  ASSERT_TRUE(replay_text("", policy));
  EXPECT_EQ(policy, before);
  JournalLine other = line(1, std::nullopt);
  other.edition = 6;
  ASSERT_TRUE(replay_text(to_json(other), policy));
  EXPECT_EQ(policy, before);
  ASSERT_TRUE(replay_text(to_json(other) + to_json(line(2, std::nullopt)), policy));
  EXPECT_EQ(handles(policy.chains[0]), (std::vector<std::uint64_t>{1, 3}));
}

TEST(Journal, ForgetsALineThatWasNotWrittenToItsEnd) {
  const std::string whole = to_json(line(1, std::nullopt));
  const std::string next = to_json(line(2, std::nullopt));
  for (std::size_t size = 0; size < next.size(); ++size) {
    PolicyState policy = policy_of({1, 2, 3});
    const auto done = replay_text(whole + next.substr(0, size), policy);
    ASSERT_TRUE(done) << done.error().text();
    ASSERT_EQ(handles(policy.chains[0]), (std::vector<std::uint64_t>{2, 3})) << size;
  }
}

TEST(Journal, ThatDoesNotFitIsRefused) {
  JournalLine stranger = line(1, std::nullopt);
  stranger.chain = "nosuch";
  for (const JournalLine& each :
       {line(9, std::nullopt), line(std::nullopt, 4, 9), line(std::nullopt, 2), stranger}) {
    PolicyState policy = policy_of({1, 2, 3});
    const auto refused = replay_text(to_json(each), policy);
    ASSERT_FALSE(refused) << to_json(each);
    EXPECT_EQ(refused.error().message, "/nowhere/p.journal does not fit /nowhere/p.json");
  }
  PolicyState policy = policy_of({1});
  EXPECT_FALSE(replay_text("nonsense\n" + to_json(line(1, std::nullopt)), policy));
}

class JournalFile : public testing::Test {
 protected:
  JournalFile() {
    root_ = std::filesystem::temp_directory_path() /
            ("weir-journal-test-" + std::to_string(::getpid()));
    paths_ = {.bpffs = (root_ / "bpf").string(), .state = (root_ / "run").string()};
  }
  ~JournalFile() override { std::filesystem::remove_all(root_); }

  std::filesystem::path root_;
  Paths paths_;
};

TEST_F(JournalFile, IsPartOfWhatIsLoaded) {
  ASSERT_TRUE(save(policy_of({1, 2, 3}), paths_));
  {
    auto journal = Journal::create("p", paths_);
    ASSERT_TRUE(journal) << journal.error().text();
    ASSERT_TRUE(journal->append(line(1, 4)));
    ASSERT_TRUE(journal->append(line(2, std::nullopt)));
  }
  auto policy = load_policy("p", paths_);
  ASSERT_TRUE(policy) << policy.error().text();
  EXPECT_EQ(handles(policy->chains[0]), (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(policy_names(paths_), std::vector<std::string>{"p"}) << "it is no policy of its own";
  ASSERT_TRUE(save(*policy, paths_));
  EXPECT_FALSE(std::filesystem::exists(paths_.journal("p"))) << "it is in the state file now";
  const auto again = load_policy("p", paths_);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*again, *policy);
}

// As when the process ends before the journal is removed.
TEST_F(JournalFile, ThatIsSavedDoesNotCountTwice) {
  ASSERT_TRUE(save(policy_of({1, 2, 3}), paths_));
  {
    auto journal = Journal::create("p", paths_);
    ASSERT_TRUE(journal && journal->append(line(1, 4)));
  }
  const auto policy = load_policy("p", paths_);
  ASSERT_TRUE(policy);
  const std::string kept = (root_ / "kept").string();
  std::filesystem::copy_file(paths_.journal("p"), kept);
  ASSERT_TRUE(save(*policy, paths_));
  std::filesystem::copy_file(kept, paths_.journal("p"));
  const auto again = load_policy("p", paths_);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(*again, *policy);
}

}  // namespace
}  // namespace weir::service
