// SPDX-License-Identifier: BSD-2-Clause
#include "bench/live_frames.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "bench/clock.h"
#include "isa/isa.h"
#include "kernel/live_frames.h"

namespace weir::bench {
namespace {

kernel::Fd passing_program() {
  isa::Object object;
  object.programs.push_back({.name = "pass",
                             .type = isa::ProgramType::xdp,
                             .insns = {isa::make(isa::Opcode::mov64_imm, 0, 0, 0, XDP_PASS),
                                       isa::make(isa::Opcode::exit)}});
  return std::move(test::expect(kernel::load(object)).programs.front());
}

}  // namespace

LiveFrames::LiveFrames(ByteView network) : frame_(ETH_HLEN), pass_(passing_program()) {
  // Both addresses zero, as those of the loopback device: the frame is for this host.
  frame_[12] = ETH_P_IP >> 8;
  frame_[13] = ETH_P_IP & 0xff;
  frame_.insert(frame_.end(), network.begin(), network.end());
}

double LiveFrames::send(const test::Netns& netns, std::uint32_t count,
                        const kernel::Fd& program) const {
  const test::Inside inside(netns);
  while (true) {
    const double begin = thread_time();
    if (test::expect(kernel::send_live_frames(program, frame_, count))) {
      return thread_time() - begin;
    }
  }
}

}  // namespace weir::bench
