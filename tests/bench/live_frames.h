// SPDX-License-Identifier: BSD-2-Clause
//
// Copies of one frame put into the receive path of a namespace (kernel/live_frames.h). No driver
// and no system call per packet stands between two of them, so that what a hook does weighs as much
// as it can.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"

namespace weir::bench {

class LiveFrames {
 public:
  // `network` is a packet from its IPv4 header on.
  explicit LiveFrames(ByteView network);

  // Sends `count` copies into the loopback device of `netns`, and returns when the stack is done
  // with the last one. The CPU time of the calling thread that it took, in ns: the stack runs in
  // this thread, and time when others had the CPU is none of it.
  [[nodiscard]] double send(const test::Netns& netns, std::uint32_t count) const {
    return send(netns, count, pass_);
  }
  // The frames meet this XDP program instead of the passing one, as those of a driver do: in front
  // of any skb.
  [[nodiscard]] double send(const test::Netns& netns, std::uint32_t count,
                            const kernel::Fd& program) const;

 private:
  Bytes frame_;
  kernel::Fd pass_;
};

}  // namespace weir::bench
