// SPDX-License-Identifier: BSD-2-Clause
//
// Rules of an installed policy that have come and gone since its state file was written: a line of
// JSON each, appended before the rule is in force, for a state file of a hundred thousand rules
// takes longer to write than a rule may take. load_policy() reads both.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/hook.h"
#include "kernel/kernel.h"
#include "service/rule_state.h"
#include "service/state.h"

namespace weir::service {

// A word in a map that puts a change in force.
struct TurnState {
  std::uint32_t map = 0;  // into PolicyState::maps
  std::uint64_t offset = 0;
  std::uint32_t size = 4;  // bytes: 4 or 8
  std::uint64_t from = 0;  // while the word says this, the change has not come to pass
  friend bool operator==(const TurnState&, const TurnState&) = default;
};

struct JournalLine {
  std::uint64_t edition = 0;  // PolicyState::edition of what it changes
  std::string command;        // of nft
  Family family = Family::inet;
  std::string table;
  std::string chain;
  std::optional<std::uint64_t> removed;  // handles
  std::optional<RuleState> added;
  std::optional<std::uint64_t> before;  // the rule that `added` stands before; none: it is the last
  TurnState turn;
  friend bool operator==(const JournalLine&, const JournalLine&) = default;
};

// One line, with its end.
[[nodiscard]] std::string to_json(const JournalLine& line);
[[nodiscard]] Result<JournalLine> journal_line(std::string_view text);

// To write to. The caller holds the lock, and there is no journal yet, or it is of this process.
class Journal {
 public:
  [[nodiscard]] static Result<Journal> create(const std::string& policy, const Paths& paths);
  // A reader sees all of it or nothing, also where the process ends meanwhile.
  [[nodiscard]] Status append(const JournalLine& line);
  [[nodiscard]] const kernel::Fd& file() const { return file_; }

 private:
  kernel::Fd file_;
};

// Does to the policy, as its state file has it, what the lines of its edition say. The last of them
// counts only if its word has turned; those who may not read the word take it for granted.
[[nodiscard]] Status replay(std::istream& lines, PolicyState& policy, const Paths& paths);

}  // namespace weir::service
