// SPDX-License-Identifier: BSD-2-Clause
//
// BPF_PROG_TEST_RUN: a program on a packet that no device ever saw.
#include <linux/if_ether.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "kernel/syscall.h"

namespace weir::kernel {
namespace {

// struct nf_hook_state as verify_and_copy_hook_state() of net/bpf/test_run.c takes it: hook and
// protocol family, all pointers NULL.
struct HookState {
  std::uint8_t hook = 0;
  std::uint8_t pf = 0;
  std::uint8_t pad[6] = {};
  std::uint64_t pointers[5] = {};  // in, out, sk, net, okfn
};
static_assert(sizeof(HookState) == 48);

// bpf_prog_test_run_nf() takes an Ethernet header off the packet, but at the output hook. A zero
// destination is the loopback device's own address, so that the packet counts as for this host.
Bytes with_ethernet_header(ByteView packet, Nfproto nfproto) {
  Bytes frame(ETH_HLEN);
  const std::uint16_t type = nfproto == Nfproto::ipv4 ? ETH_P_IP : ETH_P_IPV6;
  frame[12] = static_cast<std::uint8_t>(type >> 8);
  frame[13] = static_cast<std::uint8_t>(type & 0xff);
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

}  // namespace

Result<TestRun> test_run(const Fd& program, isa::ProgramType type, ByteView packet, NfHook hook,
                         Nfproto nfproto, std::uint32_t repeat) {
  Bytes data(packet.begin(), packet.end());
  HookState state;
  TestRunAttr attr{.prog_fd = static_cast<std::uint32_t>(program.get()), .repeat = repeat};
  if (type == isa::ProgramType::netfilter) {
    state.hook = static_cast<std::uint8_t>(hook);
    state.pf = static_cast<std::uint8_t>(nfproto);
    attr.ctx_size_in = sizeof(state);
    attr.ctx_in = user_pointer(&state);
    if (hook != NfHook::output) data = with_ethernet_header(packet, nfproto);
  }
  attr.data_in = user_pointer(data.data());
  attr.data_size_in = static_cast<std::uint32_t>(data.size());
  const int result = bpf(Command::prog_test_run, attr);
  if (result < 0) {
    return system_error(
        "running a program on a test packet of " + std::to_string(packet.size()) + " bytes",
        -result);
  }
  return TestRun{.result = attr.retval, .duration_ns = attr.duration};
}

}  // namespace weir::kernel
