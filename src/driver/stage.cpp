// SPDX-License-Identifier: BSD-2-Clause
//
// Packets come in by a TAP device, where a program of TC gives them their mark and type, or leave
// by a raw socket. Routes take them to the hook.
#include "driver/stage.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "driver/connections.h"
#include "isa/isa.h"
#include "kernel/conntrack.h"
#include "kernel/scratch_cgroup.h"
#include "kernel/scratch_net.h"
#include "packet/headers.h"
#include "packet/vlan.h"

namespace weir::driver {
namespace {

enum class Way : std::uint8_t {
  received,   // comes in by the input device
  delivered,  // the same, and every address is this host's
  forwarded,  // the same, and leaves by the output device
  handed_on,  // the same, without any routing
  sent,       // by a socket here
};

Way way_to(const Attachment& attachment, const packet::Device& in) {
  switch (attachment.hook.kind) {
    case Hook::Kind::xdp:
    case Hook::Kind::tc_ingress:
    case Hook::Kind::socket:
      return Way::received;
    case Hook::Kind::tc_egress:
      return Way::handed_on;
    case Hook::Kind::cgroup_ingress:
      return Way::delivered;
    case Hook::Kind::cgroup_egress:
      return Way::sent;
    case Hook::Kind::netfilter:
      break;
  }
  switch (attachment.hook.nf_hook) {
    case NfHook::prerouting:
      return Way::received;
    case NfHook::input:
      return Way::delivered;
    case NfHook::forward:
      return Way::forwarded;
    case NfHook::output:
      return Way::sent;
    case NfHook::postrouting:
      return in.index != 0 ? Way::forwarded : Way::sent;
    case NfHook::ingress:
    case NfHook::egress:
      break;
  }
  throw InvariantError("a netfilter hook that no program is attached to");
}

bool has_input(Way way) {
  return way != Way::sent;
}
bool has_output(Way way) {
  return way == Way::forwarded || way == Way::handed_on || way == Way::sent;
}

// ---- The program in front of all others at the input device

// Elements of its map: what packets are to have.
struct Wanted {
  std::uint32_t mark = 0;
  std::uint32_t type = 0;
  std::uint32_t egress = 0;  // the device to hand packets to; 0: they go on here
};

constexpr const char* preparer_text = R"(
  r6 = r1
  r7 = map[wanted][0]+0
  r1 = *(u32 *)(r7 + 0)
  *(u32 *)(r6 + 8) = r1
  r1 = r6
  r2 = *(u32 *)(r7 + 4)
  call #32
  r1 = *(u32 *)(r7 + 8)
  if r1 == 0 goto here
  r2 = 0
  call redirect
  exit
here:
  r0 = -1
  exit
)";

isa::Object preparer() {
  isa::Object object;
  object.maps.push_back({.name = "wanted",
                         .type = isa::MapType::array,
                         .key_size = 4,
                         .value_size = sizeof(Wanted),
                         .max_entries = 1,
                         .flags = 0,
                         .entries = {}});
  auto text = isa::assemble(preparer_text, object.maps, "preparer");
  invariant(text.has_value(), "the preparer is no program");
  isa::Program program{.name = "weir_prepare", .type = isa::ProgramType::sched_cls};
  program.insns = std::move(text->insns);
  program.relocations = std::move(text->relocations);
  object.programs.push_back(std::move(program));
  return object;
}

// Drops what this host sends itself.
isa::Object silence() {
  isa::Program program{.name = "weir_silence", .type = isa::ProgramType::netfilter};
  program.insns = {isa::make(isa::Opcode::mov64_imm), isa::make(isa::Opcode::exit)};
  isa::Object object;
  object.programs.push_back(std::move(program));
  return object;
}

// ---- What the stack may not change, answer or refuse

// A router sends messages of its own (MLD reports about the groups that it is in).
Status configure_stack(bool forwards) {
  using Setting = std::pair<const char*, const char*>;
  const char* const router = forwards ? "1" : "0";
  WEIR_CHECK(kernel::write_sysctl("ipv4/ip_forward", router));
  for (const std::string conf : {"ipv4/conf/all/", "ipv4/conf/default/"}) {
    for (const auto& [name, value] :
         {Setting{"rp_filter", "0"}, Setting{"accept_local", "1"}, Setting{"route_localnet", "1"},
          Setting{"send_redirects", "0"}, Setting{"accept_source_route", "1"}}) {
      WEIR_CHECK(kernel::write_sysctl(conf + name, value));
    }
  }
  for (const std::string conf : {"ipv6/conf/all/", "ipv6/conf/default/"}) {
    for (const auto& [name, value] :
         {Setting{"forwarding", router}, Setting{"accept_ra", "0"}, Setting{"accept_dad", "0"},
          Setting{"dad_transmits", "0"}, Setting{"accept_source_route", "1"},
          Setting{"addr_gen_mode", "1"}}) {  // no link-local address, and no messages about one
      WEIR_CHECK(kernel::write_sysctl(conf + name, value));
    }
  }
  return {};
}

// ---- Raw sockets

constexpr std::array both_protocols = {Nfproto::ipv4, Nfproto::ipv6};

int family_of(Nfproto nfproto) {
  return nfproto == Nfproto::ipv4 ? AF_INET : AF_INET6;
}

// Sends packets with the IP header that they have.
Result<kernel::Fd> sending_socket(Nfproto nfproto) {
  kernel::Fd socket(::socket(family_of(nfproto), SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  const int on = 1;
  const bool v4 = nfproto == Nfproto::ipv4;
  if (!socket.valid() ||
      (v4 && ::setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) != 0) ||
      ::setsockopt(socket.get(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6},
                   v4 ? IP_HDRINCL : IPV6_HDRINCL, &on, sizeof(on)) != 0) {
    return system_error("opening a raw socket", errno);
  }
  return socket;
}

// One socket for each protocol behind the IP header, but for IPv6 extension headers: the stack
// delivers a packet at those as well, on its way to the last one.
Status open_receivers(std::vector<kernel::Fd>& sockets) {
  constexpr std::array extension_headers = {0, 43, 44, 51, 59, 60, 135, 139, 140};
  for (const Nfproto nfproto : both_protocols) {
    for (int protocol = 1; protocol < 255; ++protocol) {
      const bool extends =
          std::ranges::find(extension_headers, protocol) != extension_headers.end();
      if (nfproto == Nfproto::ipv6 && extends) continue;
      kernel::Fd socket(
          ::socket(family_of(nfproto), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
      if (!socket.valid()) return system_error("opening a raw socket", errno);
      sockets.push_back(std::move(socket));
    }
  }
  return {};
}

Status send_raw(const kernel::Fd& socket, Nfproto nfproto, std::uint32_t device, ByteView bytes,
                std::uint32_t mark) {
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) {
    return system_error("setting a socket's mark", errno);
  }
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const bool is_v4 = nfproto == Nfproto::ipv4;
  if (bytes.size() < (is_v4 ? 20U : 40U)) return system_error("it has no whole IP header");
  if (is_v4) {
    v4.sin_family = AF_INET;
    std::copy_n(bytes.begin() + 16, 4, reinterpret_cast<std::uint8_t*>(&v4.sin_addr));
  } else {
    v6.sin6_family = AF_INET6;
    v6.sin6_scope_id = device;
    std::copy_n(bytes.begin() + 24, 16, v6.sin6_addr.s6_addr);
  }
  const auto* address =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  // The observer drops it, which the sender is told.
  if (::sendto(socket.get(), bytes.data(), bytes.size(), 0, address,
               is_v4 ? sizeof(v4) : sizeof(v6)) < 0 &&
      errno != EPERM) {
    return system_error("sending it", errno);
  }
  return {};
}

// What must come in so that `bytes` come to the hooks behind forwarding, where the time to live is
// one less (ip_forward(), ip6_forward()).
Result<Bytes> before_forwarding(ByteView bytes, std::uint16_t ethertype) {
  Bytes out(bytes.begin(), bytes.end());
  const bool v4 = ethertype == packet::ethertype_ipv4;
  if (out.size() < (v4 ? 20U : 40U)) return system_error("it has no whole IP header");
  std::uint8_t& hops = v4 ? out[8] : out[7];
  if (hops == 255) return system_error("a forwarded packet has no time to live of 255");
  ++hops;
  if (!v4) return out;
  // The inverse of ip_decrease_ttl(), which adds one to the sum as it is stored, with the carry.
  std::uint16_t sum = 0;
  std::memcpy(&sum, &out[10], sizeof(sum));
  sum = static_cast<std::uint16_t>(sum != 0 ? sum - 1 : 0xfffe);
  std::memcpy(&out[10], &sum, sizeof(sum));
  return out;
}

Bytes with_link_header(ByteView network, std::uint16_t ethertype) {
  Bytes frame = {0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02};
  frame.push_back(static_cast<std::uint8_t>(ethertype >> 8));
  frame.push_back(static_cast<std::uint8_t>(ethertype));
  frame.insert(frame.end(), network.begin(), network.end());
  return frame;
}

}  // namespace

struct Stage::Impl {
  Attachment attachment;
  Shape shape;
  Way way = Way::received;
  kernel::Tap in;
  kernel::Tap out;
  kernel::LoadedObject prepare;
  std::vector<std::variant<kernel::Fd, kernel::TcFilter>> links;
  std::optional<kernel::ScratchCgroup> cgroup;
  std::vector<kernel::Fd> receivers;  // in the cgroup, or with the program as filter
  std::array<kernel::Fd, 2> senders;  // of IPv4 and IPv6
  std::optional<kernel::Conntrack> connections;

  Status build(const kernel::Fd& program);
  Status make_devices();
  Status make_routes();
  Status silence_host();
  Status attach(const kernel::Fd& program);
  Status attach_netfilter(const kernel::Fd& program);
  Status attach_in_cgroup(const kernel::Fd& program);
  Status attach_to_packet_socket(const kernel::Fd& program);
  Status write(const packet::Packet& packet);
};

// Devices that were asked for by index come first, so that no other takes theirs.
Status Stage::Impl::make_devices() {
  const auto make = [&](const packet::Device& wanted, const char* name) -> Result<kernel::Tap> {
    return kernel::create_tap(wanted.index != 0 ? wanted.name : name, wanted.index);
  };
  const bool same = shape.in.index != 0 && shape.in.index == shape.out.index;
  if (same && has_input(way) && has_output(way)) {
    return system_error("an input device that is the output device as well");
  }
  for (const bool asked : {true, false}) {
    if (has_input(way) && (shape.in.index != 0) == asked) {
      WEIR_TRY(tap, make(shape.in, "weir-in"));
      in = std::move(tap);
    }
    if (has_output(way) && (shape.out.index != 0) == asked) {
      WEIR_TRY(tap, make(shape.out, "weir-out"));
      out = std::move(tap);
    }
  }
  return {};
}

Status Stage::Impl::make_routes() {
  for (const Nfproto nfproto : both_protocols) {
    if (way == Way::delivered) {
      WEIR_CHECK(kernel::add_default_route(nfproto, in.index, true));
    }
    if (way == Way::forwarded || way == Way::sent) {
      WEIR_CHECK(kernel::add_default_route(nfproto, out.index, false));
    }
  }
  return {};
}

// Postrouting sees what is forwarded and what is sent.
Status Stage::Impl::silence_host() {
  WEIR_TRY(loaded, kernel::load(silence()));
  WEIR_TRY(link, kernel::attach_netfilter(loaded.programs.front(), Nfproto::ipv6, NfHook::output,
                                          INT32_MIN + 1));
  links.emplace_back(std::move(link));
  return {};
}

// At the priority of the chain, or behind it where something of the kernel's own has that.
Status Stage::Impl::attach_netfilter(const kernel::Fd& program) {
  constexpr std::int32_t neighbours = 4;
  for (std::int32_t i = 0;; ++i) {
    auto link = kernel::attach_netfilter(program, attachment.nfproto, attachment.hook.nf_hook,
                                         attachment.priority + i, attachment.defragments);
    if (!link && i < neighbours) continue;
    if (!link) return std::unexpected(link.error());
    links.emplace_back(std::move(*link));
    return {};
  }
}

// A socket belongs to the cgroup of the process that makes it.
Status Stage::Impl::attach_in_cgroup(const kernel::Fd& program) {
  WEIR_TRY(made, kernel::ScratchCgroup::create("weir_test_" + std::to_string(::gettid())));
  cgroup.emplace(std::move(made));
  const bool ingress = attachment.hook.kind == Hook::Kind::cgroup_ingress;
  WEIR_CHECK(cgroup->enter());
  const auto open = [&]() -> Status {
    if (ingress) return open_receivers(receivers);
    for (std::size_t i = 0; i < both_protocols.size(); ++i) {
      WEIR_TRY(socket, sending_socket(both_protocols[i]));
      senders[i] = std::move(socket);
    }
    return {};
  };
  const Status opened = open();
  WEIR_CHECK(cgroup->leave());
  WEIR_CHECK(opened);
  WEIR_TRY(link, kernel::attach_cgroup(program, cgroup->path(),
                                       ingress ? isa::Direction::ingress : isa::Direction::egress));
  links.emplace_back(std::move(link));
  return {};
}

Status Stage::Impl::attach_to_packet_socket(const kernel::Fd& program) {
  kernel::Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_ll place{};
  place.sll_family = AF_PACKET;
  place.sll_protocol = htons(ETH_P_ALL);
  place.sll_ifindex = static_cast<int>(in.index);
  if (!socket.valid() ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&place), sizeof(place)) != 0) {
    return system_error("opening a packet socket", errno);
  }
  WEIR_CHECK(kernel::attach_socket(program, socket.get()));
  receivers.push_back(std::move(socket));
  return {};
}

Status Stage::Impl::attach(const kernel::Fd& program) {
  const auto keep = [&](auto&& link) -> Status {
    if (!link) return std::unexpected(link.error());
    links.emplace_back(std::move(*link));
    return {};
  };
  switch (attachment.hook.kind) {
    case Hook::Kind::netfilter:
      return attach_netfilter(program);
    case Hook::Kind::xdp:
      return keep(kernel::attach_xdp(program, in.index, kernel::XdpMode::generic));
    case Hook::Kind::tc_ingress:
      return keep(kernel::attach_tcx(program, in.index, isa::Direction::ingress));
    case Hook::Kind::tc_egress:
      return keep(kernel::attach_tcx(program, out.index, isa::Direction::egress));
    case Hook::Kind::cgroup_ingress:
    case Hook::Kind::cgroup_egress:
      return attach_in_cgroup(program);
    case Hook::Kind::socket:
      return attach_to_packet_socket(program);
  }
  throw InvariantError("hook kind out of range");
}

Status Stage::Impl::build(const kernel::Fd& program) {
  WEIR_CHECK(configure_stack(way == Way::forwarded));
  if (way == Way::forwarded && attachment.hook.nf_hook == NfHook::postrouting) {
    WEIR_CHECK(silence_host());
  }
  WEIR_CHECK(make_devices());
  WEIR_CHECK(make_routes());
  if (has_input(way)) {
    WEIR_TRY(loaded, kernel::load(preparer()));
    prepare = std::move(loaded);
    WEIR_TRY(link, kernel::attach_tc(prepare.programs.front(), in.index, isa::Direction::ingress,
                                     kernel::TcMode::automatic));
    links.push_back(std::move(link));
  } else if (attachment.hook.kind == Hook::Kind::netfilter) {
    for (std::size_t i = 0; i < both_protocols.size(); ++i) {
      WEIR_TRY(socket, sending_socket(both_protocols[i]));
      senders[i] = std::move(socket);
    }
  }
  if (shape.connections) {
    WEIR_TRY(opened, kernel::Conntrack::open());
    connections.emplace(std::move(opened));
  }
  return attach(program);
}

// Packets of IP hooks get a link header of their own; those of the others are frames.
Status Stage::Impl::write(const packet::Packet& packet) {
  const Wanted wanted{.mark = packet.mark,
                      .type = static_cast<std::uint32_t>(packet.type),
                      .egress = way == Way::handed_on ? out.index : 0};
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&wanted);
  WEIR_CHECK(kernel::write_element(prepare.maps.front(), native_bytes(0, 4),
                                   ByteView(bytes, sizeof(wanted))));
  Bytes frame;
  if (sees_frames(attachment.hook)) {
    frame = packet::on_wire(packet);
  } else if (way == Way::forwarded) {
    WEIR_TRY(network, before_forwarding(packet.network(), packet.ethertype));
    frame = with_link_header(network, packet.ethertype);
  } else {
    frame = with_link_header(packet.network(), packet.ethertype);
  }
  if (::write(in.fd.get(), frame.data(), frame.size()) < 0) {
    return system_error("a device takes no such frame", errno);
  }
  return {};
}

Stage::Stage(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stage::Stage(Stage&&) noexcept = default;
Stage& Stage::operator=(Stage&&) noexcept = default;
Stage::~Stage() = default;

const Stage::Shape& Stage::shape() const {
  return impl_->shape;
}

Result<Stage> Stage::create(const Attachment& attachment, const kernel::Fd& program,
                            const Shape& shape) {
  auto impl = std::make_unique<Impl>();
  impl->attachment = attachment;
  impl->shape = shape;
  impl->way = way_to(attachment, shape.in);
  WEIR_CHECK(kernel::in_scratch_network([&] { return impl->build(program); }));
  return Stage(std::move(impl));
}

Status Stage::send(const packet::Packet& packet) {
  if (impl_->connections) WEIR_CHECK(put_connection(*impl_->connections, packet));
  if (impl_->way != Way::sent) return impl_->write(packet);
  const bool v4 = packet.ethertype == packet::ethertype_ipv4;
  if (!v4 && packet.ethertype != packet::ethertype_ipv6) {
    return system_error("it is no IP packet, and hosts send no others there");
  }
  return send_raw(impl_->senders[v4 ? 0 : 1], v4 ? Nfproto::ipv4 : Nfproto::ipv6, impl_->out.index,
                  packet.network(), packet.mark);
}

}  // namespace weir::driver
