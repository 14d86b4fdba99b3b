// SPDX-License-Identifier: BSD-2-Clause
//
// One ruleset of netdev, inet ingress, bridge or ARP input chains and its frames in two worlds:
// nft's chains at the device, and weir's program at TC or XDP of the same device in a world without
// rules. What comes out of the one must come out of the other, with the same mark and bytes,
// counters agree, and the evaluator says the same.
//
// Frames that do not come out of a world without rules (those cut within a tag) are sent nowhere
// else.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "differential/subject.h"
#include "driver/compile.h"
#include "kernel/support/netdev_world.h"
#include "packet/packet.h"

namespace weir::test {

struct Frame {
  packet::Packet packet;     // all bytes as on the wire
  std::uint16_t linear = 0;  // as in NetdevWorld::send(); 0 as well where the frame fits a page
  std::optional<NetdevWorld::OpenChecksum> open = {};  // of which the evaluator knows nothing
};

struct NetdevReport {
  bool refused = false;           // by nft, or left to the kernel: in `text`
  std::string text;               // of a mismatch: all about it
  std::size_t verdicts = 0;       // frames that were compared
  std::size_t dropped = 0;        // of them
  std::size_t marked = 0;         // that came out of nft with another mark
  std::size_t written = 0;        // with other bytes
  std::size_t answered = 0;       // that were dropped by nft, and an answer came back
  std::size_t sent_away = 0;      // frames that nft sent out by another device
  std::size_t not_delivered = 0;  // frames that the devices or the stack drop
  std::uint64_t counted = 0;      // packets in nft's counters

  [[nodiscard]] bool mismatch() const { return !refused && !text.empty(); }
};

class NetdevCase {
 public:
  // tc:ingress, tc:egress or xdp; with a bridge, TC at one of its ports; with a host,
  // tc:ingress or xdp, and frames that ask for addresses.
  explicit NetdevCase(Hook::Kind kind, driver::Options options = {},
                      NetdevWorld::Middle middle = NetdevWorld::Middle::rules);

  [[nodiscard]] const Hook& hook() const { return hook_; }
  // An input error when nft refuses the script.
  [[nodiscard]] Result<differential::RulesetAtHook> read(frontend::nft::ScratchNamespace& scratch,
                                                         const std::string& script) const;
  // Directed at the ruleset; about one in ten does not fit a page, and is nonlinear.
  [[nodiscard]] std::vector<Frame> frames(const differential::RulesetAtHook& subject,
                                          std::size_t count, std::mt19937_64& random) const;
  // What the device and the stack say of a frame beside its bytes.
  void give_facts(packet::Packet& packet) const;
  // At XDP in generic mode, where `generic`.
  [[nodiscard]] NetdevReport run(const differential::RulesetAtHook& subject,
                                 const std::string& script, std::span<const Frame> frames,
                                 bool generic);
  [[nodiscard]] std::uint64_t late_arrivals() const {
    return nft_.late_arrivals() + weir_.late_arrivals();
  }

 private:
  [[nodiscard]] std::vector<kernel::Fd> attach(const std::vector<kernel::Fd>& programs,
                                               bool generic);

  Hook hook_;
  driver::Options options_;
  NetdevWorld::Middle middle_;
  NetdevWorld nft_;
  NetdevWorld weir_;
};

[[nodiscard]] std::string describe(const Frame& frame);

}  // namespace weir::test
