// SPDX-License-Identifier: BSD-2-Clause
//
// The corpus: rules of our own that use each expression, key, operator and statement of nftables at
// least once, and what becomes of each at each hook. tests/corpus/README.md tells the format.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/hook.h"
#include "differential/subject.h"
#include "frontend/nft/scratch.h"

namespace weir::differential {

// A family and the base chain that its rules are put into.
struct CorpusPlace {
  std::string family;  // "ip"
  std::string chain;   // "type filter hook forward priority 0"
};

struct CorpusRule {
  std::string text;
  std::vector<CorpusPlace> places;
  std::vector<std::string> declarations;  // of its table: sets and the like
};

struct CorpusSection {
  std::string title;
  std::vector<CorpusRule> rules;
};

// Of one file. Errors tell the line.
[[nodiscard]] Result<std::vector<CorpusSection>> read_corpus(const std::string& path);

// A table of the place with these rules, a counter behind each that a packet may pass.
[[nodiscard]] std::string script_of(const CorpusPlace& place,
                                    const std::vector<const CorpusRule*>& rules);

// What becomes of a rule at a hook where chains of its place can run.
struct CorpusOutcome {
  Hook hook;
  std::optional<std::string> why_not;  // none: it is translated in full
  // Whether BPF_PROG_TEST_RUN gives packets all that the rule reads of them.
  bool in_test_run = false;
};
// An error where nft does not take the rule.
[[nodiscard]] Result<std::vector<CorpusOutcome>> outcomes_of(
    frontend::nft::ScratchNamespace& scratch, const CorpusRule& rule, const CorpusPlace& place);

}  // namespace weir::differential
