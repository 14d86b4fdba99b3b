// SPDX-License-Identifier: BSD-2-Clause
//
// bpf_test_run_xdp_live() (net/bpf/test_run.c): without a context the frames belong to the loopback
// device, and the passed ones of a batch go to netif_receive_skb_list().
#include "kernel/live_frames.h"

#include <cerrno>

#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

constexpr std::uint32_t live_frames_flag = 1U << 1U;  // BPF_F_TEST_XDP_LIVE_FRAMES

struct LiveRunAttr {
  TestRunAttr test;
  std::uint32_t flags = 0;
  std::uint32_t cpu = 0;
  std::uint32_t batch_size = 0;
  std::uint32_t pad = 0;
};
static_assert(sizeof(LiveRunAttr) == 80);

}  // namespace

Result<bool> send_live_frames(const Fd& program, ByteView frame, std::uint32_t count,
                              std::uint32_t batch) {
  LiveRunAttr attr{.test = {}, .flags = live_frames_flag, .batch_size = batch};
  attr.test.prog_fd = static_cast<std::uint32_t>(program.get());
  attr.test.data_in = user_pointer(frame.data());
  attr.test.data_size_in = static_cast<std::uint32_t>(frame.size());
  attr.test.repeat = count;
  const int result = bpf(Command::prog_test_run, attr);
  if (result == -EINTR) return false;
  if (result < 0) return system_error("sending live XDP frames (needs Linux 5.18)", -result);
  return true;
}

}  // namespace weir::kernel
