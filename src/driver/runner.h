// SPDX-License-Identifier: BSD-2-Clause
//
// Runs packets through what was compiled, by one of several engines, and says what became of each:
// the verdict, the rule that decided, the rules that matched. No engine ever answers for another.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "driver/compile.h"
#include "driver/elements.h"
#include "imr/evaluator.h"
#include "packet/packet.h"

namespace weir::driver {

enum class EngineKind : std::uint8_t { evaluator, interpreter, kernel };
[[nodiscard]] std::string_view to_string(EngineKind kind);
// The engine's name on the command line; another word is an input error that lists the names.
[[nodiscard]] Result<EngineKind> parse_engine(std::string_view name);

// The ruleset with a drop where a rule has something that stays with the kernel. It can be compiled
// to be run (never to be applied): a Runner given the ruleset as written takes such a drop for what
// it stands for and answers `native`. All ids stay good.
[[nodiscard]] imr::Ruleset with_stand_ins(const imr::Ruleset& ruleset);

struct CounterTotal {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const CounterTotal&, const CounterTotal&) = default;
};

class Runner {
 public:
  // `ruleset` as written; `compilation` of it, or of its with_stand_ins(). Both must outlive the
  // runner. Matched and deciding rules of the interpreter and the kernel need Options::trace.
  // The kernel runs programs by BPF_PROG_TEST_RUN where that carries what they read of a packet,
  // else attached in scratch network namespaces (driver/attached.h). A packet that cannot be had
  // there as it was asked for is a system error of run().
  [[nodiscard]] static Result<Runner> create(EngineKind kind, const imr::Ruleset& ruleset,
                                             const Compilation& compilation);
  Runner(Runner&&) noexcept;
  Runner& operator=(Runner&&) noexcept;
  ~Runner();

  // At netfilter hooks: all programs of the packet's protocol, in order, up to the first that does
  // not accept; a packet of another protocol is accepted. `counted` is filled by the evaluator
  // only. What rules write to is there where it is not the packet's own; `bytes` are those that the
  // hook sees (driver/seen.h). Of the kernel's, a packet's type is not known, nor the priority and
  // the bytes where it ran attached programs (bytes_known).
  [[nodiscard]] Result<imr::Outcome> run(const packet::Packet& packet);
  // What each counter of the ruleset counted since create(), without its initial value.
  [[nodiscard]] Result<std::vector<CounterTotal>> counters();
  // The elements of dynamic sets that programs use, by set and key. Times are counted from the last
  // packet on, by the kernel from when it is asked.
  [[nodiscard]] Result<std::vector<LivingElement>> elements();

 private:
  struct Impl;
  explicit Runner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::driver
