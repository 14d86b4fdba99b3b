// SPDX-License-Identifier: BSD-2-Clause
#include "bench/injector.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "isa/isa.h"
#include "isa/program.h"

namespace weir::bench {
namespace {

using isa::Opcode;
using test::expect;

constexpr const char* device = "bench0";
constexpr std::size_t ttl_at = 14 + 8;
constexpr std::size_t checksum_at = 14 + 10;

kernel::Fd load(isa::ProgramType type, std::vector<isa::Insn> insns) {
  isa::Object object;
  object.programs.push_back({.name = "bench", .type = type, .insns = std::move(insns)});
  return std::move(expect(kernel::load(object)).programs.front());
}

// Frames are used again, as the stack left them: with a smaller TTL. The program puts that back
// and passes the frame.
kernel::Fd load_passer(const Bytes& frame) {
  const auto ttl = static_cast<std::int32_t>(frame.at(ttl_at));
  const auto checksum =
      static_cast<std::int32_t>(load_native(ByteView(frame).subspan(checksum_at, 2)));
  return load(isa::ProgramType::xdp,
              {isa::make(Opcode::ldx32, 2, 1, 0),  // xdp_md.data
               isa::make(Opcode::ldx32, 3, 1, 4),  // xdp_md.data_end
               isa::make(Opcode::mov64_reg, 4, 2), isa::make(Opcode::add64_imm, 4, 0, 0, 34),
               isa::make(Opcode::jgt64_reg, 4, 3, 2), isa::make(Opcode::st8, 2, 0, ttl_at, ttl),
               isa::make(Opcode::st16, 2, 0, checksum_at, checksum),
               isa::make(Opcode::mov64_imm, 0, 0, 0, XDP_PASS), isa::make(Opcode::exit)});
}

// All the work is done in the system call: what other processes take does not count.
double thread_time() {
  timespec now{};
  if (::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) test::give_up("clock", errno);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

kernel::Fd load_returning(isa::ProgramType type, std::int32_t value) {
  return load(type, {isa::make(Opcode::mov64_imm, 0, 0, 0, value), isa::make(Opcode::exit)});
}

}  // namespace

Injector::Injector(Bytes frame)
    : netns_(test::Netns::create()), nft_(netns_), frame_(std::move(frame)) {
  const test::Inside inside(netns_);
  test::set_sysctl("ipv4/ip_forward", "1");
  test::set_sysctl("ipv4/conf/all/rp_filter", "0");
  test::set_sysctl("ipv4/conf/default/rp_filter", "0");
  test::set_sysctl("ipv6/conf/default/disable_ipv6", "1");
  expect(test::run_command({"ip", "link", "add", device, "address", "02:00:00:00:00:02", "type",
                            "veth", "peer", "name", "bench1"}));
  for (const char* end : {device, "bench1"}) {
    expect(test::run_command({"ip", "link", "set", end, "up"}));
  }
  expect(test::run_command({"ip", "route", "add", "default", "dev", "bench1"}));
  ifindex_ = test::interface_index(device);
  passer_ = load_passer(frame_);
  receive_queue_ = expect(kernel::attach_xdp(load_returning(isa::ProgramType::xdp, XDP_PASS),
                                             ifindex_, kernel::XdpMode::native));
  drop_ = expect(kernel::attach_netfilter(load_returning(isa::ProgramType::netfilter, 0),
                                          Nfproto::ipv4, NfHook::forward, 1000));
}

// A call makes a pool of pages and waits for it to be gone again, which takes milliseconds: those
// of a call with few packets are taken off.
double Injector::run(std::uint32_t packets) const {
  constexpr std::uint32_t few = more / 2;
  const double setup = time(few);
  return (time(packets + few) - setup) / packets;
}

double Injector::time(std::uint32_t packets) const {
  const test::Inside inside(netns_);
  xdp_md context{};
  context.data_end = static_cast<std::uint32_t>(frame_.size());
  context.ingress_ifindex = ifindex_;
  bpf_attr attributes{};
  attributes.test.prog_fd = static_cast<std::uint32_t>(passer_.get());
  attributes.test.data_in = reinterpret_cast<std::uint64_t>(frame_.data());
  attributes.test.data_size_in = static_cast<std::uint32_t>(frame_.size());
  attributes.test.ctx_in = reinterpret_cast<std::uint64_t>(&context);
  attributes.test.ctx_size_in = sizeof(context);
  attributes.test.repeat = packets;
  attributes.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  const double start = thread_time();
  if (::syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) != 0) {
    test::give_up("injecting frames", errno);
  }
  return thread_time() - start;
}

}  // namespace weir::bench
