// SPDX-License-Identifier: BSD-2-Clause
//
// The rules of tests/corpus: all judges agree on those that are translated, and docs/coverage.md
// says which those are. With WEIR_UPDATE_GOLDEN=1 in the environment that page is written anew.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>

#include "differential/corpus.h"
#include "differential/judge.h"
#include "kernel/kernel.h"

namespace weir::differential {
namespace {

const std::string folder = WEIR_SOURCE_DIR "/tests/corpus";
constexpr const char* page = WEIR_SOURCE_DIR "/docs/coverage.md";
constexpr std::array columns = {"netfilter", "xdp", "tc:ingress", "tc:egress", "cgroup:egress"};

std::vector<std::string> files() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") out.push_back(entry.path().stem().string());
  }
  std::ranges::sort(out);
  return out;
}

std::string column_of(const Hook& hook) {
  return hook.kind == Hook::Kind::netfilter ? "netfilter" : to_string(hook);
}

// Rules of one place at one hook are judged together, so many at a time.
constexpr std::size_t together = 12;

struct Group {
  CorpusPlace place;
  Hook hook;
  bool in_test_run = false;
  std::vector<const CorpusRule*> rules;
};

class Corpus : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto scratch = frontend::nft::ScratchNamespace::create();
    ASSERT_TRUE(scratch) << scratch.error().text();
    scratch_.emplace(std::move(*scratch));
  }

  void judge_all(const Group& group) {
    const auto& [place, hook, in_test_run, rules] = group;
    for (std::size_t from = 0; from < rules.size(); from += together) {
      const auto first = rules.begin() + static_cast<std::ptrdiff_t>(from);
      const auto count = static_cast<std::ptrdiff_t>(std::min(together, rules.size() - from));
      const std::string script = script_of(place, {first, first + count});
      SCOPED_TRACE("at " + to_string(hook) + ":\n" + script);
      const auto subject = read_at_hook(*scratch_, script, hook);
      ASSERT_TRUE(subject) << subject.error().text();
      const bool root = ::geteuid() == 0;
      if (root && !in_test_run) accepted_by_the_kernel(*subject);
      for (const bool facts : {false, true}) {
        std::mt19937_64 random(from);
        JudgeOptions options;
        options.compiler.trace = true;
        options.kernel = !facts && root && in_test_run;
        Tally tally;
        const auto mismatch =
            judge(*subject, packets_for(*subject, 120, facts, random), options, tally);
        ASSERT_FALSE(mismatch) << mismatch->what;
      }
    }
  }

  // Its verifier, which does not run it.
  static void accepted_by_the_kernel(const RulesetAtHook& subject) {
    const auto compiled = driver::compile(subject.ruleset, subject.attachments, {});
    ASSERT_TRUE(compiled) << compiled.error().text();
    const auto loaded = kernel::load(compiled->object);
    ASSERT_TRUE(loaded) << loaded.error().text();
  }

  std::optional<frontend::nft::ScratchNamespace> scratch_;
};

TEST_P(Corpus, MeansTheSameToAllJudges) {
  const auto sections = read_corpus(folder + "/" + GetParam() + ".txt");
  ASSERT_TRUE(sections) << sections.error().text();
  std::map<std::string, Group> groups;
  for (const CorpusSection& section : *sections) {
    for (const CorpusRule& rule : section.rules) {
      for (const CorpusPlace& place : rule.places) {
        const auto outcomes = outcomes_of(*scratch_, rule, place);
        ASSERT_TRUE(outcomes) << outcomes.error().text();
        for (const CorpusOutcome& one : *outcomes) {
          if (one.why_not) continue;
          Group& group = groups[place.family + place.chain + to_string(one.hook) + section.title +
                                (one.in_test_run ? "" : " of facts")];
          group.place = place;
          group.hook = one.hook;
          group.in_test_run = one.in_test_run;
          group.rules.push_back(&rule);
        }
      }
    }
  }
  for (const auto& [name, group] : groups) {
    judge_all(group);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Corpus, testing::ValuesIn(files()),
                         [](const auto& one) { return one.param; });

// What becomes of the rules of a section, as rows of a table with the reasons below it.
class Table {
 public:
  Table(frontend::nft::ScratchNamespace& scratch, const CorpusSection& section) {
    text_ = "### " + section.title + "\n\n| rule | families |";
    std::string line = "| --- | --- |";
    for (const char* const column : columns) {
      text_ += " " + std::string(column) + " |";
      line += " --- |";
    }
    text_ += "\n" + line + "\n";
    for (const CorpusRule& rule : section.rules) add(scratch, rule);
    text_ += "\n";
    for (std::size_t i = 0; i < reasons_.size(); ++i) {
      text_ += std::to_string(i + 1) + ". " + reasons_[i] + "\n";
    }
    if (!reasons_.empty()) text_ += "\n";
  }

  const std::string& text() const { return text_; }
  std::size_t pairs() const { return pairs_; }  // of rules and families
  std::size_t full() const { return full_; }    // of these: translated in full at some hook

 private:
  void add(frontend::nft::ScratchNamespace& scratch, const CorpusRule& rule) {
    std::map<std::string, std::set<std::string>> cells;
    std::string families;
    for (const CorpusPlace& place : rule.places) {
      families += (families.empty() ? "" : " ") + place.family;
      bool somewhere = false;
      const auto outcomes = outcomes_of(scratch, rule, place);
      ASSERT_TRUE(outcomes) << outcomes.error().text();
      for (const CorpusOutcome& one : *outcomes) {
        cells[column_of(one.hook)].insert(one.why_not ? number_of(*one.why_not) : "yes");
        somewhere = somewhere || !one.why_not;
      }
      ++pairs_;
      if (somewhere) ++full_;
    }
    std::string text = rule.text;
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) {
      text.insert(at, 1, '\\');
    }
    text_ += "| `" + text + "` | " + families + " |";
    for (const char* const column : columns) {
      std::string cell;
      for (const std::string& one : cells[column]) cell += (cell.empty() ? "" : ", ") + one;
      text_ += " " + cell + " |";
    }
    text_ += "\n";
  }

  std::string number_of(const std::string& reason) {
    const auto found = std::ranges::find(reasons_, reason);
    const auto number = found - reasons_.begin() + 1;
    if (found == reasons_.end()) reasons_.push_back(reason);
    return "no (" + std::to_string(number) + ")";
  }

  std::string text_;
  std::vector<std::string> reasons_;
  std::size_t pairs_ = 0;
  std::size_t full_ = 0;
};

TEST(CoveragePage, IsWhatTheCompilerDoes) {
  auto scratch = frontend::nft::ScratchNamespace::create();
  ASSERT_TRUE(scratch) << scratch.error().text();
  std::string tables;
  std::size_t pairs = 0;
  std::size_t full = 0;
  for (const std::string& file : files()) {
    const auto sections = read_corpus(folder + "/" + file + ".txt");
    ASSERT_TRUE(sections) << sections.error().text();
    tables += "## " + file + "\n\n";
    for (const CorpusSection& section : *sections) {
      const Table table(*scratch, section);
      if (HasFatalFailure()) return;
      tables += table.text();
      pairs += table.pairs();
      full += table.full();
    }
  }
  const std::string text =
      "# Coverage\n\n"
      "What becomes of the rules of tests/corpus, which use every expression, key, operator and\n"
      "statement of nftables: `yes` where weir translates the rule in full at a hook, in each of "
      "the\n"
      "families, else why not. An empty cell is a hook where chains of the families cannot run.\n"
      "The page is generated by differential_corpus_test, which also has all judges agree on what "
      "is\n"
      "translated; CI fails when the page is not what the compiler does.\n\n" +
      std::to_string(full) + " of " + std::to_string(pairs) +
      " pairs of a rule and a family are translated in full at some hook of the family.\n\n" +
      tables;
  if (std::getenv("WEIR_UPDATE_GOLDEN") != nullptr) std::ofstream(page) << text;
  std::ifstream in(page);
  const std::string committed{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(committed, text)
      << "WEIR_UPDATE_GOLDEN=1 differential_corpus_test writes the page anew";
}

}  // namespace
}  // namespace weir::differential
