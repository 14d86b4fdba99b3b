// SPDX-License-Identifier: BSD-2-Clause
//
// Every hook with the packets that come there and the chain of nf_tables that sees the same ones:
// one engine at one hook of a namespace of its own, where every packet ends.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hook.h"
#include "bench/live_frames.h"
#include "bench/subjects.h"
#include "kernel/kernel.h"
#include "kernel/scratch_cgroup.h"
#include "kernel/support/netns.h"

namespace weir::bench {

// Where a program stands, and where nf_tables stands beside it.
struct Site {
  std::string_view hook;    // as the command line names it
  std::string_view family;  // of the chain whose rules both carry out
  std::string_view chain;   // "hook prerouting"
  bool has_nft = true;      // whether a chain sees what the program sees
  // How packets come there.
  enum class Way : std::uint8_t {
    received,   // live frames for this host
    forwarded,  // live frames for a host behind another device
    sent,       // by a raw socket, one system call a packet
    driven,     // live frames that meet the program itself, as in a driver
  };
  Way way = Way::received;
};
[[nodiscard]] const std::array<Site, 11>& sites();

// A namespace with a device for each direction, and packets on their way through it. At first
// nothing is in their way.
class Place {
 public:
  explicit Place(const Site& site);

  void load_ruleset(const std::string& text);
  [[nodiscard]] std::vector<std::uint64_t> nft_counters() const;
  // Puts the program where the site has it; `priority` of netfilter hooks.
  void attach(kernel::Fd program, std::int32_t priority);
  // As LiveFrames::send(). Gives up when a packet that a socket sends is not dropped.
  [[nodiscard]] double send(std::uint32_t count) const;

 private:
  void open_socket();

  const Site* site_;
  Hook hook_;
  test::Netns netns_;
  Bytes packet_;
  LiveFrames frames_;
  std::uint32_t out_index_ = 0;
  std::optional<kernel::ScratchCgroup> cgroup_;  // that the socket is in
  kernel::Fd socket_;                            // that sends, listens, or looks on
  kernel::Fd program_;
  std::vector<kernel::Fd> links_;
};

}  // namespace weir::bench
