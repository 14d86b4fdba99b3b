// SPDX-License-Identifier: BSD-2-Clause
//
// Frames put into the receive path of a namespace as fast as the kernel can make them: an XDP
// program that passes everything, run with BPF_F_TEST_XDP_LIVE_FRAMES (Linux 5.18;
// Documentation/bpf/bpf_prog_run.rst). No driver and no system call per packet stands between two
// of them, so that what a hook does weighs as much as it can.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "kernel/kernel.h"
#include "kernel/support/netns.h"

namespace weir::bench {

// CPU time of the calling thread, in ns.
[[nodiscard]] double thread_time();

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
