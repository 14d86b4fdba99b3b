// SPDX-License-Identifier: BSD-2-Clause
//
// What an observer (Options::observer) is told of every stage and pass of the compiler: how long it
// took, how large its subject was, and what it left.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

#include "driver/compile.h"

namespace weir::driver {

struct StageReport {
  std::string_view name;    // "share-guards"; "lower" and "emit" of the stages that are no passes
  std::size_t program = 0;  // into Compilation::programs
  double milliseconds = 0;  // without what the observer itself takes
  std::size_t before = 0;   // IMR: statements that the unit can reach; flow: instructions, the
  std::size_t after = 0;    // ends of blocks among them; behind "emit": slots of 8 bytes
  const imr::Unit* unit = nullptr;           // of IMR passes: what they left
  const flow::Function* function = nullptr;  // of lowering and flow passes: the same
};

[[nodiscard]] std::size_t size_of(const imr::Unit& unit);
[[nodiscard]] std::size_t size_of(const std::vector<imr::Unit>& units);
[[nodiscard]] std::size_t size_of(const flow::Function& function);
[[nodiscard]] std::size_t size_of(const isa::Program& program);

// One stage, from its making on. Nothing is measured where nobody observes.
class Stage {
 public:
  template <typename Subject>
  Stage(const Options& options, std::string_view name, std::size_t program, const Subject& subject)
      : observer_(options.observer) {
    if (!observer_) return;
    report_.name = name;
    report_.program = program;
    report_.before = size_of(subject);
    start_ = Clock::now();
  }

  // The stage is over, and this is what it left.
  void done(const imr::Unit& unit);
  void done(const flow::Function& function);
  void done(const isa::Program& program);

 private:
  using Clock = std::chrono::steady_clock;
  template <typename Subject>
  void finish(const Subject& subject);

  const Observer& observer_;
  StageReport report_;
  Clock::time_point start_;
};

}  // namespace weir::driver
