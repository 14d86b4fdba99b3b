// SPDX-License-Identifier: BSD-2-Clause
//
// One ruleset and its packets before the judges: the reference evaluator says what must come out,
// the compiled program in weir's engine and in the kernel's test run say what does. Verdicts are
// compared packet by packet, and the marks and bytes of those that go on; counters after the batch,
// and, where the program is traced, the rules that matched and the one that decided.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "differential/subject.h"
#include "driver/runner.h"

namespace weir::differential {

struct JudgeOptions {
  driver::Options compiler;
  bool interpreter = true;
  bool kernel = true;
};

struct Mismatch {
  enum class Kind : std::uint8_t {
    compiler,
    checker,
    verifier,
    verdict,
    mark,  // or another fact
    bytes,
    logs,
    rules,
    counters,
    elements,  // of dynamic sets
    crash
  };
  Kind kind = Kind::verdict;
  std::string what;                   // both sides, in words
  std::optional<std::size_t> packet;  // of `verdict`, `mark`, `bytes`, `logs`, `rules`
};

struct Tally {
  std::uint64_t pairs = 0;    // (ruleset, packet) that the evaluator judged
  std::uint64_t matched = 0;  // of these: at least one rule matched
  std::uint64_t dropped = 0;
  std::uint64_t marked = 0;   // given a mark, maybe the one that it had
  std::uint64_t written = 0;  // with other bytes behind the rules
  std::uint64_t kernel_runs = 0;
  std::uint64_t interpreter_runs = 0;
};

// "3 packets, 120 bytes".
[[nodiscard]] std::string describe(const driver::CounterTotal& total);

// Nothing when all agree.
[[nodiscard]] std::optional<Mismatch> judge(const RulesetAtHook& subject,
                                            std::span<const packet::Packet> packets,
                                            const JudgeOptions& options, Tally& tally);

}  // namespace weir::differential
