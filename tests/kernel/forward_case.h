// SPDX-License-Identifier: BSD-2-Clause
//
// One ruleset and its packets in three forwarding worlds: nft's rules, weir's programs, and nothing
// at all. Whatever arrives in the first must arrive in the second, counters agree, and the
// evaluator, the third judge, says the same.
//
// Packets that do not arrive in the world without rules say nothing about rules. Without connection
// tracking they are sent nowhere else. With it they are sent (a fragment that is held back arrives
// with the next one), and the evaluator, which knows no connections, is not asked.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "driver/runner.h"
#include "kernel/support/forwarding_world.h"
#include "kernel/traffic.h"

namespace weir::test {

struct ForwardReport {
  enum class Kind : std::uint8_t {
    judged,
    refused_by_nft,
    left_to_kernel,  // a rule that weir does not translate
    mismatch,
  };
  Kind kind = Kind::judged;
  std::string text;                   // of a mismatch: all about it; of refusals: who said what
  std::optional<std::size_t> packet;  // of a mismatch in a verdict
  std::size_t verdicts = 0;           // packets that were compared
  std::size_t dropped = 0;            // of them
  std::size_t evaluated = 0;          // packets that the evaluator judged too
  std::size_t counted = 0;            // packets in nft's counters
};

// For people: a summary and the first bytes.
[[nodiscard]] std::string describe(const Sent& sent);

class ForwardCase {
 public:
  // Every case of one object tracks connections, or none does.
  explicit ForwardCase(bool connections, driver::Options options = {})
      : connections_(connections), options_(std::move(options)) {}

  // What the ruleset compares packets with; nothing where nft refuses it.
  [[nodiscard]] static Result<imr::Ruleset> read(const std::string& script);
  [[nodiscard]] ForwardReport run(const std::string& script, std::span<const Sent> traffic);

 private:
  struct Weir;
  [[nodiscard]] Status prepare(const std::string& script);
  void send_all(std::span<const Sent> traffic, Weir& weir, ForwardReport& report);
  void send_one(const Sent& sent, std::size_t index, Weir& weir, ForwardReport& report);
  void compare_counters(Weir& weir, ForwardReport& report);

  bool connections_;
  driver::Options options_;
  ForwardingWorld control_;
  ForwardingWorld nft_;
  ForwardingWorld weir_;
};

}  // namespace weir::test
