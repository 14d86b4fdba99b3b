// SPDX-License-Identifier: BSD-2-Clause
//
// Frames that are redirected into a veth device come out of its peer where that has an XDP program
// (veth_xdp_xmit() in drivers/net/veth.c): in front of the stack one that passes them. Their
// receive queue is worked off by a softirq of the CPU that sent them, within the system call that
// did.
#include "bench/wire.h"

#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "bench/clock.h"
#include "isa/isa.h"
#include "kernel/live_frames.h"
#include "kernel/scratch_net.h"

namespace weir::bench {
namespace {

// Less than a driver's budget for one poll (NAPI_POLL_WEIGHT, 64): the queue is then known to be
// empty, and nothing is left to another thread (net_rx_action()).
constexpr std::uint32_t batch = 32;

constexpr std::size_t accept_at = 8 * XDP_PASS;

ifreq request_for(const std::string& device) {
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Status set_up(const kernel::Fd& socket, const std::string& device, const MacAddress& address) {
  ifreq request = request_for(device);
  request.ifr_hwaddr.sa_family = 1;  // ARPHRD_ETHER
  std::memcpy(request.ifr_hwaddr.sa_data, address.data(), address.size());
  if (::ioctl(socket.get(), SIOCSIFHWADDR, &request) != 0) {
    return system_error("setting an interface's address", errno);
  }
  request = request_for(device);
  request.ifr_flags = IFF_UP | IFF_NOARP | IFF_BROADCAST | IFF_MULTICAST;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    return system_error("bringing an interface up", errno);
  }
  return {};
}

// An XDP program at a veth device turns generic receive offload on (veth_xdp_set()), which would
// keep packets and look for others of their flow.
Status without_offload(const kernel::Fd& socket, const std::string& device) {
  ethtool_value value{.cmd = ETHTOOL_SGRO, .data = 0};
  ifreq request = request_for(device);
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) != 0) {
    return system_error("switching receive offload off", errno);
  }
  return {};
}

Result<kernel::LoadedObject> load_text(isa::ProgramType type, const std::string& text) {
  isa::Object object;
  object.maps.push_back(counts_map());
  WEIR_TRY(program, isa::assemble(text, object.maps, "wire"));
  object.programs.push_back({.name = "wire",
                             .type = type,
                             .insns = std::move(program.insns),
                             .relocations = std::move(program.relocations)});
  return kernel::load(object);
}

std::string counting_text() {
  return "  r1 = map[counts][0]+" + std::to_string(accept_at) + R"(
  r2 = *(u64 *)(r1 + 0)
  r2 += 1
  *(u64 *)(r1 + 0) = r2
  r0 = 0
  exit
)";
}

}  // namespace

isa::MapSpec counts_map() {
  return {.name = "counts",
          .type = isa::MapType::array,
          .key_size = 4,
          .value_size = 64,
          .max_entries = 1,
          .flags = 0,
          .entries = {}};
}

Result<std::uint64_t> accepted_in(const kernel::Fd& counts) {
  WEIR_TRY(value, kernel::read_element(counts, native_bytes(0, 4), counts_map().value_size, false));
  return load_native(ByteView(value).subspan(accept_at, 8));
}

Result<kernel::Fd> receive_frames(const std::string& device) {
  WEIR_TRY(passing,
           load_text(isa::ProgramType::xdp, "  r0 = " + std::to_string(XDP_PASS) + "\n  exit\n"));
  WEIR_TRY(link, kernel::attach_xdp(passing.programs.front(), ::if_nametoindex(device.c_str()),
                                    kernel::XdpMode::native));
  const kernel::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("opening a socket", errno);
  WEIR_CHECK(without_offload(socket, device));
  return std::move(link);
}

Result<kernel::LoadedObject> ending_program() {
  return load_text(isa::ProgramType::netfilter, counting_text());
}

Result<Wire> Wire::create(const std::string& device) {
  WEIR_TRY(netns, kernel::Netns::create());
  Wire wire(std::move(netns));
  WEIR_CHECK(wire.lay(device.empty() ? default_device : device));
  return wire;
}

Status Wire::lay(const std::string& device) {
  const auto inside = kernel::Inside::enter(netns_);
  if (!inside) return std::unexpected(inside.error());
  // Silent, no packets but ours: no IPv6 address to tell of. Without IPv6 in the kernel there is
  // nothing to silence.
  [[maybe_unused]] const Status silenced =
      kernel::write_sysctl("ipv6/conf/default/addr_gen_mode", "1");
  WEIR_TRY(input, kernel::create_veth(input_device, device));
  input_ = input;
  output_ = ::if_nametoindex(device.c_str());
  const kernel::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("opening a socket", errno);
  WEIR_CHECK(set_up(socket, input_device, sender_address));
  return set_up(socket, device, receiver_address);
}

Result<Wire> Wire::to_driver(const kernel::Fd& taking, kernel::Fd counts,
                             const std::string& device) {
  WEIR_TRY(wire, create(device));
  const auto inside = kernel::Inside::enter(wire.netns_);
  if (!inside) return std::unexpected(inside.error());
  WEIR_TRY(link, kernel::attach_xdp(taking, wire.output_, kernel::XdpMode::native));
  wire.keep(std::move(link));
  wire.counts_ = std::move(counts);
  return std::move(wire);
}

Result<Wire> Wire::to_stack(const std::string& device) {
  WEIR_TRY(wire, create(device));
  const auto inside = kernel::Inside::enter(wire.netns_);
  if (!inside) return std::unexpected(inside.error());
  WEIR_TRY(link, receive_frames(device.empty() ? default_device : device));
  wire.keep(std::move(link));
  WEIR_TRY(counting, ending_program());
  for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
    WEIR_TRY(last, kernel::attach_netfilter(counting.programs.front(), nfproto, NfHook::prerouting,
                                            std::numeric_limits<std::int32_t>::max() - 1));
    wire.keep(std::move(last));
  }
  wire.counts_ = std::move(counting.maps.front());
  return std::move(wire);
}

Result<std::uint64_t> Wire::accepted() const {
  return accepted_in(counts_);
}

Result<Sender> Sender::create(const FrameTrace& trace) {
  WEIR_TRY(object, sending_program(trace));
  WEIR_TRY(loaded, kernel::load(object));
  return Sender(std::move(loaded), Bytes(trace.frame_size()));
}

Status Sender::aim(std::uint32_t device, std::uint32_t first) const {
  Bytes control = native_bytes(first, 4);
  const Bytes index = native_bytes(device, 4);
  control.insert(control.end(), index.begin(), index.end());
  return kernel::write_element(loaded_.maps.at(control_map), native_bytes(0, 4), control);
}

Result<Sent> Sender::send(const Wire& wire, std::uint32_t first, std::uint32_t count) const {
  const auto inside = kernel::Inside::enter(wire.netns());
  if (!inside) return std::unexpected(inside.error());
  while (true) {
    WEIR_CHECK(aim(wire.input(), first));
    WEIR_TRY(before, wire.accepted());
    const double begin = thread_time();
    WEIR_TRY(all, kernel::send_live_frames(loaded_.programs.front(), frame_, count, batch));
    const double end = thread_time();
    WEIR_TRY(after, wire.accepted());
    if (all) return Sent{.ns = end - begin, .accepted = after - before};
  }
}

Result<double> Sender::send(const kernel::Netns& netns, std::uint32_t device, std::uint32_t first,
                            std::uint32_t count) const {
  const auto inside = kernel::Inside::enter(netns);
  if (!inside) return std::unexpected(inside.error());
  while (true) {
    WEIR_CHECK(aim(device, first));
    const double begin = thread_time();
    WEIR_TRY(all, kernel::send_live_frames(loaded_.programs.front(), frame_, count, batch));
    if (all) return thread_time() - begin;
  }
}

Result<double> Sender::send_nowhere(std::uint32_t count) const {
  WEIR_CHECK(aim(0, 0));
  while (true) {
    const double begin = thread_time();
    WEIR_TRY(all, kernel::send_live_frames(loaded_.programs.front(), frame_, count, batch));
    if (all) return thread_time() - begin;
  }
}

}  // namespace weir::bench
