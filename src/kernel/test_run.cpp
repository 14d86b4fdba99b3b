// SPDX-License-Identifier: BSD-2-Clause
//
// BPF_PROG_TEST_RUN: a program on a packet that no device ever saw.
#include <linux/bpf.h>
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

// The kernel takes an Ethernet header off the packet. A zero destination is the loopback device's
// own address, so that the packet counts as for this host (eth_type_trans()).
Bytes with_ethernet_header(ByteView packet, std::uint16_t type) {
  Bytes frame(ETH_HLEN);
  frame[12] = static_cast<std::uint8_t>(type >> 8);
  frame[13] = static_cast<std::uint8_t>(type & 0xff);
  frame.insert(frame.end(), packet.begin(), packet.end());
  return frame;
}

// What the kernel gets beside the packet, and how the packet looks.
struct Call {
  Bytes data;
  HookState state;
  xdp_md frame = {};
  __sk_buff skb = {};
  TestRunAttr attr;

  template <typename Context>
  void take(Context& context) {
    attr.ctx_size_in = sizeof context;
    attr.ctx_in = user_pointer(&context);
  }
};

void prepare_netfilter(Call& call, const TestInput& input) {
  call.state.hook = static_cast<std::uint8_t>(input.hook);
  call.state.pf = static_cast<std::uint8_t>(input.nfproto);
  call.take(call.state);
  // bpf_prog_test_run_nf()
  if (input.hook == NfHook::output) return;
  const bool ipv4 = input.nfproto == Nfproto::ipv4;
  call.data = with_ethernet_header(input.packet, ipv4 ? ETH_P_IP : ETH_P_IPV6);
}

// xdp_convert_md_to_buff()
void prepare_xdp(Call& call, const TestInput& input) {
  if (input.ifindex == 0) return;
  call.frame.data_end = static_cast<std::uint32_t>(call.data.size());
  call.frame.ingress_ifindex = input.ifindex;
  call.take(call.frame);
}

// convert___skb_to_skb() and its way back.
void prepare_skb(Call& call, const TestInput& input) {
  call.skb.mark = input.mark;
  call.skb.priority = input.priority;
  call.skb.ifindex = input.ifindex;
  call.skb.ingress_ifindex = input.ingress_ifindex;
  call.take(call.skb);
  call.attr.ctx_size_out = sizeof call.skb;
  call.attr.ctx_out = user_pointer(&call.skb);
}

void prepare(Call& call, isa::ProgramType type, const TestInput& input) {
  switch (type) {
    case isa::ProgramType::netfilter:
      return prepare_netfilter(call, input);
    case isa::ProgramType::xdp:
      return prepare_xdp(call, input);
    case isa::ProgramType::cgroup_skb:
    case isa::ProgramType::socket_filter:
      call.data = with_ethernet_header(input.packet, input.ethertype);
      return prepare_skb(call, input);
    case isa::ProgramType::sched_cls:
      return prepare_skb(call, input);
  }
  throw InvariantError("a program type without a test run");
}

}  // namespace

Result<TestRun> test_run(const Fd& program, isa::ProgramType type, const TestInput& input) {
  Call call{.data = Bytes(input.packet.begin(), input.packet.end())};
  call.attr.prog_fd = static_cast<std::uint32_t>(program.get());
  call.attr.repeat = input.repeat;
  prepare(call, type, input);
  call.attr.data_in = user_pointer(call.data.data());
  call.attr.data_size_in = static_cast<std::uint32_t>(call.data.size());
  // An answer may be longer than the packet, by its headers and no more.
  constexpr std::size_t headers = 64;
  Bytes packet(input.packet_back ? input.packet.size() + headers : 0);
  if (input.packet_back) {
    call.attr.data_out = user_pointer(packet.data());
    call.attr.data_size_out = static_cast<std::uint32_t>(packet.size());
  }
  const int result = bpf(Command::prog_test_run, call.attr);
  if (result < 0) {
    return system_error(
        "running a program on a test packet of " + std::to_string(input.packet.size()) + " bytes",
        -result);
  }
  if (input.packet_back) packet.resize(call.attr.data_size_out);
  return TestRun{.result = call.attr.retval,
                 .duration_ns = call.attr.duration,
                 .mark = call.skb.mark,
                 .priority = call.skb.priority,
                 .packet = std::move(packet)};
}

Result<TestRun> test_run(const Fd& program, isa::ProgramType type, ByteView packet, NfHook hook,
                         Nfproto nfproto, std::uint32_t repeat) {
  return test_run(program, type,
                  {.packet = packet, .hook = hook, .nfproto = nfproto, .repeat = repeat});
}

}  // namespace weir::kernel
