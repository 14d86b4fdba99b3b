// SPDX-License-Identifier: BSD-2-Clause
//
// One ruleset of input or output chains and its packets before the sockets of three hosts: one with
// nft's chains, one whose sockets are in a cgroup with weir's program, one with neither. What a
// socket gets, or may send, in the first it does in the second, counters agree, and the evaluator
// says the same.
//
// Packets that no socket gets, or that do not leave, in the world without rules are sent nowhere
// else. Fragments are left out: what becomes of them depends on others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "differential/subject.h"
#include "driver/compile.h"
#include "driver/runner.h"
#include "kernel/support/socket_world.h"

namespace weir::test {

struct Message {
  Bytes bytes;               // from the network header on
  std::uint16_t linear = 0;  // as in Tun::write()
  std::uint32_t mark = 0;    // of the socket that sends
  bool by_udp = false;       // and not by a raw socket
};
[[nodiscard]] std::string describe(const Message& message);

struct CgroupReport {
  bool refused = false;           // by nft, or left to the kernel: in `text`
  std::string text;               // of a mismatch: all about it
  std::size_t verdicts = 0;       // messages that were compared
  std::size_t dropped = 0;        // of them
  std::size_t by_ports = 0;       // of them: by UDP sockets, or TCP before a listening one
  std::size_t not_delivered = 0;  // messages that arrive nowhere without rules
  std::uint64_t counted = 0;      // packets in nft's counters

  [[nodiscard]] bool mismatch() const { return !refused && !text.empty(); }
};

class CgroupCase {
 public:
  // cgroup:ingress or cgroup:egress.
  explicit CgroupCase(Hook::Kind kind, driver::Options options = {});

  // An input error when nft refuses the script.
  [[nodiscard]] Result<differential::RulesetAtHook> read(frontend::nft::ScratchNamespace& scratch,
                                                         const std::string& script) const;
  [[nodiscard]] std::vector<Message> messages(const differential::RulesetAtHook& subject,
                                              std::size_t count, std::mt19937_64& random) const;
  [[nodiscard]] CgroupReport run(const differential::RulesetAtHook& subject,
                                 const std::string& script, std::span<const Message> messages);

 private:
  struct Judged;
  // What was seen of one message; empty when all is well.
  [[nodiscard]] std::string judge(const Message& message, Judged& judged);
  [[nodiscard]] std::string judge_arrival(const Message& message, Judged& judged);
  [[nodiscard]] std::string judge_departure(const Message& message, Judged& judged);

  Hook hook_;
  driver::Options options_;
  SocketWorld control_;
  SocketWorld nft_;
  SocketWorld weir_;
};

}  // namespace weir::test
