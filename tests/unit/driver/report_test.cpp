// SPDX-License-Identifier: BSD-2-Clause
//
// What `weir check` says: the counts, and the JSON word for word.
#include "driver/report.h"

#include <gtest/gtest.h>

namespace weir::driver {
namespace {

constexpr imr::VerdictStatement drop{{.kind = imr::Verdict::Kind::drop, .chain = {}}};

struct Example {
  imr::Ruleset ruleset;
  std::vector<Attachment> attachments;
};

// A base chain that jumps to a second one, and a third that nothing reaches.
Example example() {
  Example out;
  imr::Ruleset& ruleset = out.ruleset;
  const auto table = ruleset.add(imr::Table{.family = Family::inet, .name = "filter"});
  const auto input = ruleset.add(
      imr::Chain{.table = table, .name = "input", .base = imr::BaseChain{.hook = NfHook::input}});
  const auto reached = ruleset.add(imr::Chain{.table = table, .name = "reached"});
  const auto lost = ruleset.add(imr::Chain{.table = table, .name = "lost"});
  const imr::VerdictStatement jump{{.kind = imr::Verdict::Kind::jump, .chain = reached}};
  ruleset.add(imr::Rule{.chain = input,
                        .origin = {.handle = 4,
                                   .location = {.file = "a.nft", .line = 7, .column = 3},
                                   .text = "jump reached"},
                        .statements = {jump},
                        .total_statements = 1});
  ruleset.add(imr::Rule{.chain = reached,
                        .origin = {.handle = 5, .text = "counter limit rate 1/second drop"},
                        .statements = {imr::Counter{ruleset.add(imr::CounterState{})},
                                       imr::Native{"limit rate 1/second", "limit keeps state"}},
                        .total_statements = 3});
  ruleset.add(imr::Rule{.chain = lost,
                        .origin = {.handle = 6, .text = "masquerade"},
                        .statements = {imr::Native{"masquerade", "it translates addresses"}},
                        .total_statements = 1});
  ruleset.add(imr::Rule{.chain = reached,
                        .origin = {.handle = 7, .text = "drop"},
                        .statements = {drop},
                        .total_statements = 1});
  out.attachments.push_back(
      {.hook = {.kind = Hook::Kind::netfilter, .nf_hook = NfHook::input}, .roots = {input}});
  return out;
}

TEST(CheckReport, CountsTheChainsTakenAndThoseReached) {
  const Example given = example();
  const CheckReport report = check_report(given.ruleset, given.attachments);
  EXPECT_EQ(report.rules.size(), 4U);
  EXPECT_EQ(report.summary.rules, 3U);
  EXPECT_EQ(report.summary.full, 2U);
  EXPECT_EQ(report.summary.partial, 1U);
  EXPECT_EQ(report.summary.native, 0U) << "the rule of the chain that nothing reaches counted";
}

TEST(CheckReport, WritesTheContractsJson) {
  const Example given = example();
  EXPECT_EQ(
      to_json(given.ruleset, check_report(given.ruleset, given.attachments)),
      R"({"rules":[)"
      R"({"family":"inet","table":"filter","chain":"input","handle":4,"line":7,)"
      R"("text":"jump reached","translation":"full","statements":1,"translated_statements":1,)"
      R"("reason":null,"findings":[]},)"
      R"({"family":"inet","table":"filter","chain":"reached","handle":5,"line":null,)"
      R"("text":"counter limit rate 1/second drop","translation":"partial","statements":3,)"
      R"("translated_statements":1,"reason":"limit keeps state","findings":[]},)"
      R"({"family":"inet","table":"filter","chain":"reached","handle":7,"line":null,)"
      R"("text":"drop","translation":"full","statements":1,"translated_statements":1,)"
      R"("reason":null,"findings":[]},)"
      R"({"family":"inet","table":"filter","chain":"lost","handle":6,"line":null,)"
      R"("text":"masquerade","translation":"native","statements":1,"translated_statements":0,)"
      R"("reason":"it translates addresses","findings":[]}],)"
      R"("summary":{"rules":3,"full":2,"partial":1,"native":0}})");
}

}  // namespace
}  // namespace weir::driver
