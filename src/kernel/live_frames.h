// SPDX-License-Identifier: BSD-2-Clause
//
// Frames put on their way as fast as the kernel can make them: an XDP program run with
// BPF_F_TEST_XDP_LIVE_FRAMES (Linux 5.18; Documentation/bpf/bpf_prog_run.rst). What it passes goes
// to the stack, what it redirects to a device.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/error.h"
#include "kernel/kernel.h"

namespace weir::kernel {

// Runs the program on `count` frames, `batch` of them at a time (at most 64 are what a driver takes
// at once); they come from the loopback device of the calling thread's namespace. `frame` is what
// the first ones hold: later ones hold what the program left in them. Returns when the stack is
// done with the last one, unless the kernel left some to its own threads. False: a signal came, and
// some frames, nobody says how many, were not sent.
[[nodiscard]] Result<bool> send_live_frames(const Fd& program, ByteView frame, std::uint32_t count,
                                            std::uint32_t batch = 64);

}  // namespace weir::kernel
