// SPDX-License-Identifier: BSD-2-Clause
//
// A namespace that forwards, into which the kernel itself injects a packet many times: XDP frames
// in live mode (BPF_F_TEST_XDP_LIVE_FRAMES), passed on to the stack as if a device had received
// them. No system call and no copy a packet disturbs what is measured. All packets are dropped at
// the end of the forward hook.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"
#include "kernel/support/nft.h"

namespace weir::bench {

class Injector {
 public:
  // `frame` is an Ethernet frame with an IPv4 packet for 02:00:00:00:00:02.
  explicit Injector(Bytes frame);

  // Nanoseconds of processor time a packet, from the device to the drop; `packets` and 128 more are
  // sent.
  static constexpr std::uint32_t more = 128;
  [[nodiscard]] double run(std::uint32_t packets) const;

  [[nodiscard]] const test::Netns& netns() const { return netns_; }
  [[nodiscard]] test::Nft& nft() { return nft_; }

 private:
  // Nanoseconds of processor time of one call.
  [[nodiscard]] double time(std::uint32_t packets) const;

  test::Netns netns_;
  test::Nft nft_;
  Bytes frame_;
  std::uint32_t ifindex_ = 0;
  kernel::Fd passer_;
  kernel::Fd receive_queue_;  // an XDP link: veth has receive queues for frames only with one
  kernel::Fd drop_;
};

}  // namespace weir::bench
