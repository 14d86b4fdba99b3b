// SPDX-License-Identifier: BSD-2-Clause
//
// Rules, carried out by several engines at several hooks in one run: what a packet costs each, with
// the same packets, beside what it costs without rules.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/engines.h"
#include "bench/spread.h"
#include "bench/task.h"

namespace weir::bench {

struct ContestOptions {
  std::vector<Engine> peers;
  int rounds = 15;
  std::function<void(const std::string&)> progress = {};
  bool break_weir = false;  // tests only: weir goes wrong, which must be noticed
};

// One engine with one list at one hook. All times of packets are ns a packet.
struct Row {
  std::string list;  // "acl:1000"
  std::size_t rules = 0;
  Engine engine = Engine::weir;
  Hook hook;                 // that was asked for
  Site site = Site::driver;  // where the engine stood
  Spread ns;                 // floor included
  Spread floor;              // of the same round: nothing but the same verdicts
  Spread net;                // the differences
  int rounds = 0;
  std::uint32_t packets = 0;   // a sample
  std::uint32_t checked = 0;   // packets of the trace whose verdicts were compared
  std::uint64_t accepted = 0;  // of these
  Loading loading;
  std::optional<double> update_ms;  // one rule more; of weir, in a running process
  std::optional<double> swap_ms;    // of weir: by `weir rule`, which compiles all rules again
  bool updated_in_place = false;    // of weir: what `update_ms` tells is no swap either
  std::optional<std::uint64_t> memory;
  std::string note;  // what a reader has to know
};

struct Outcome {
  std::vector<Row> rows;
  std::vector<std::string> notes;  // which engines have no row, and why
};

class Contest {
 public:
  explicit Contest(ContestOptions options);
  Contest(Contest&&) noexcept;
  Contest& operator=(Contest&&) noexcept;
  ~Contest();

  // For each hook a row of weir and one of each peer that can carry the rules out. Peers that have
  // one place for several hooks are measured there once. A packet that an engine does not treat as
  // the rules ask for is an error (ErrorKind::partial): times of wrong answers are worth nothing.
  [[nodiscard]] Result<Outcome> run(const Task& task, const std::vector<Hook>& hooks);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::bench
