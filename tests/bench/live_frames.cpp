// SPDX-License-Identifier: BSD-2-Clause
//
// bpf_test_run_xdp_live() (net/bpf/test_run.c): without a context the frames belong to the loopback
// device of the caller's namespace, and the passed ones of a batch go to netif_receive_skb_list().
#include "bench/live_frames.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "isa/isa.h"

namespace weir::bench {
namespace {

// As many frames as a driver hands to the stack at once (NAPI_POLL_WEIGHT).
constexpr std::uint32_t batch = 64;

kernel::Fd passing_program() {
  isa::Object object;
  object.programs.push_back({.name = "pass",
                             .type = isa::ProgramType::xdp,
                             .insns = {isa::make(isa::Opcode::mov64_imm, 0, 0, 0, XDP_PASS),
                                       isa::make(isa::Opcode::exit)}});
  return std::move(test::expect(kernel::load(object)).programs.front());
}

}  // namespace

double thread_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

LiveFrames::LiveFrames(ByteView network) : frame_(ETH_HLEN), pass_(passing_program()) {
  // Both addresses zero, as those of the loopback device: the frame is for this host.
  frame_[12] = ETH_P_IP >> 8;
  frame_[13] = ETH_P_IP & 0xff;
  frame_.insert(frame_.end(), network.begin(), network.end());
}

double LiveFrames::send(const test::Netns& netns, std::uint32_t count,
                        const kernel::Fd& program) const {
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<std::uint32_t>(program.get());
  attr.test.data_in = reinterpret_cast<std::uint64_t>(frame_.data());
  attr.test.data_size_in = static_cast<std::uint32_t>(frame_.size());
  attr.test.repeat = count;
  attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  attr.test.batch_size = batch;
  const test::Inside inside(netns);
  const double begin = thread_time();
  const long result = ::syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test));
  const double end = thread_time();
  if (result < 0) test::give_up("sending live XDP frames (needs Linux 5.18)", errno);
  return end - begin;
}

}  // namespace weir::bench
