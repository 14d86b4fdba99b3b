// SPDX-License-Identifier: BSD-2-Clause
//
// Sets a namespace up to forward almost anything, and to say nothing of its own.
#include "kernel/support/forwarding_world.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::test {
namespace {

// The stack's own packets (ICMP errors about what was sent, multicast reports) would pass for
// arrivals; they are dropped on their way out, behind every chain that a ruleset may have there.
constexpr const char* guard =
    "table inet weir_world {\n"
    "  chain silence { type filter hook output priority 2147483000; policy drop; }\n"
    "}\n";

// Conntrack, and defragmentation with it, is on while a rule asks for it, even one in a chain that
// nothing jumps to (nf_ct_netns_get() in the expression's init).
constexpr const char* tracking =
    "table inet weir_world {\n"
    "  chain tracking { ct state new; }\n"
    "}\n";

void set(const std::string& name, std::string_view value) {
  if (!set_sysctl(name, value)) give_up("setting net/" + name, errno);
}

void bring_up(const std::string& device) {
  expect(run_command({"ip", "link", "set", device, "mtu", "65535", "txqueuelen", "1000", "up"}));
  // Without a queue the packet reaches the device in the context of its sender.
  expect(run_command({"tc", "qdisc", "replace", "dev", device, "root", "noqueue"}));
}

}  // namespace

// `default` is what devices made later begin with.
void configure_forwarding() {
  set("ipv4/ip_forward", "1");
  for (const std::string conf : {"ipv4/conf/all/", "ipv4/conf/default/"}) {
    set(conf + "rp_filter", "0");
    set(conf + "accept_local", "1");
    set(conf + "route_localnet", "1");
    set(conf + "send_redirects", "0");
    set(conf + "accept_source_route", "1");
  }
  for (const std::string conf : {"ipv6/conf/all/", "ipv6/conf/default/"}) {
    set(conf + "forwarding", "1");
    set(conf + "accept_ra", "0");
    set(conf + "accept_dad", "0");
    set(conf + "dad_transmits", "0");
    set(conf + "accept_source_route", "1");
    set(conf + "addr_gen_mode", "1");  // no link-local address of its own
  }
}

ForwardingWorld::ForwardingWorld(const Devices& devices) : netns_(Netns::create()), nft_(netns_) {
  const Inside inside(netns_);
  configure_forwarding();
  expect(nft_.run(guard));
  in_ = std::make_unique<Tun>(devices.in);
  out_ = std::make_unique<Tun>(devices.out);
  if (interface_index(devices.in) != in_index || interface_index(devices.out) != out_index) {
    give_up("the devices of a new namespace have other indices than 2 and 3");
  }
  bring_up(devices.in);
  bring_up(devices.out);
  // The loopback device stays down, so that no address at all is this host's own.
  expect(run_command({"ip", "-4", "route", "add", "default", "dev", devices.out}));
  expect(run_command({"ip", "-6", "route", "add", "default", "dev", devices.out}));
  // What comes in by the second device leaves by the first.
  for (const std::string version : {"-4", "-6"}) {
    expect(
        run_command({"ip", version, "route", "add", "default", "dev", devices.in, "table", "7"}));
    expect(run_command({"ip", version, "rule", "add", "iif", devices.out, "lookup", "7"}));
  }
}

void ForwardingWorld::drain() {
  while (out_->read()) ++late_arrivals_;
  while (in_->read()) ++late_arrivals_;
}

bool ForwardingWorld::send(ByteView packet, std::uint16_t linear, Way way) {
  Tun& from = way == Way::forth ? *in_ : *out_;
  Tun& to = way == Way::forth ? *out_ : *in_;
  if (!from.write(packet, linear)) return false;
  bool arrived = false;
  while (to.read()) arrived = true;
  return arrived;
}

std::vector<bool> ForwardingWorld::send_batch(std::span<const Bytes> packets) {
  drain();
  std::vector<bool> arrived;
  arrived.reserve(packets.size());
  for (const auto& packet : packets) arrived.push_back(send(packet));
  drain();
  return arrived;
}

std::vector<Bytes> ForwardingWorld::exchange(ByteView packet, std::uint16_t linear, Way way) {
  drain();
  std::vector<Bytes> arrived;
  Tun& from = way == Way::forth ? *in_ : *out_;
  Tun& to = way == Way::forth ? *out_ : *in_;
  if (!from.write(packet, linear)) return arrived;
  while (const auto bytes = to.read()) arrived.emplace_back(bytes->begin(), bytes->end());
  return arrived;
}

Status ForwardingWorld::load_ruleset(std::string_view text) {
  WEIR_CHECK(nft_.run("flush ruleset\n" + std::string(guard) + std::string(text)));
  return {};
}

Status ForwardingWorld::track_connections() {
  WEIR_CHECK(nft_.run(tracking));
  return {};
}

Status ForwardingWorld::forget_connections() {
  struct {
    nlmsghdr header;
    nfgenmsg message;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  const Inside inside(netns_);
  const kernel::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket.valid()) return system_error("opening a netlink socket", errno);
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } reply{};
  if (::send(socket.get(), &request, sizeof(request), 0) < 0 ||
      ::recv(socket.get(), &reply, sizeof(reply), 0) < 0) {
    return system_error("talking to conntrack", errno);
  }
  if (reply.error.error != 0) return system_error("flushing connections", -reply.error.error);
  return {};
}

Result<kernel::Fd> ForwardingWorld::attach(const kernel::Fd& program, Nfproto nfproto, NfHook hook,
                                           std::int32_t priority, bool defragment) {
  const Inside inside(netns_);
  return kernel::attach_netfilter(program, nfproto, hook, priority, defragment);
}

}  // namespace weir::test
