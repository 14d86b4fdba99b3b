// SPDX-License-Identifier: BSD-2-Clause
//
// Scratch namespaces, devices in them (Documentation/networking/tuntap.rst) and routes.
#include "kernel/scratch_net.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "kernel/netlink.h"

namespace weir::kernel {
namespace {

// The most that a TAP device takes: 65,535 bytes less the Ethernet header (tun_net_initialize()).
constexpr int largest_mtu = 65521;

Status configure(const ifreq& named) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("opening a socket", errno);
  ifreq request = named;
  request.ifr_mtu = largest_mtu;
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) {
    return system_error("setting an interface's MTU", errno);
  }
  request.ifr_flags = IFF_UP | IFF_NOARP | IFF_BROADCAST | IFF_MULTICAST;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    return system_error("bringing an interface up", errno);
  }
  return {};
}

}  // namespace

Status in_scratch_network(const std::function<Status()>& work) {
  Status status;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) {
      status = system_error("creating a network namespace", errno);
      return;
    }
    status = work();
  }).join();
  return status;
}

Result<std::uint32_t> create_veth(const std::string& name, const std::string& peer) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  const ifinfomsg interface{};
  message.append(&interface, sizeof(interface));
  message.attribute(IFLA_IFNAME, name);
  const auto link_info = message.open(IFLA_LINKINFO);
  message.attribute(IFLA_INFO_KIND, "veth");
  const auto data = message.open(IFLA_INFO_DATA);
  const auto peer_info = message.open(VETH_INFO_PEER);
  message.append(&interface, sizeof(interface));
  message.attribute(IFLA_IFNAME, peer);
  message.close(peer_info);
  message.close(data);
  message.close(link_info);
  WEIR_TRY(answer, ask(message));
  WEIR_CHECK(answer.status());
  const auto index = ::if_nametoindex(name.c_str());
  if (index == 0) return system_error("looking up interface " + name, errno);
  return index;
}

Result<Tap> create_tap(const std::string& name, std::uint32_t index) {
  Tap tap{.fd = Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)), .index = 0};
  if (!tap.fd.valid()) return system_error("opening /dev/net/tun", errno);
  if (index != 0 && ::ioctl(tap.fd.get(), TUNSETIFINDEX, &index) != 0) {
    return system_error("asking for interface index " + std::to_string(index), errno);
  }
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(tap.fd.get(), TUNSETIFF, &request) != 0) {
    return system_error("creating interface " + name +
                            (index != 0 ? " with index " + std::to_string(index) : std::string()),
                        errno);
  }
  tap.index = ::if_nametoindex(name.c_str());
  if (tap.index == 0) return system_error("looking up interface " + name, errno);
  WEIR_CHECK(configure(request));
  return tap;
}

Status add_default_route(Nfproto nfproto, std::uint32_t device, bool local) {
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  rtmsg route{};
  route.rtm_family = nfproto == Nfproto::ipv4 ? AF_INET : AF_INET6;
  route.rtm_table = local ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = local ? RT_SCOPE_HOST : RT_SCOPE_LINK;
  route.rtm_type = local ? RTN_LOCAL : RTN_UNICAST;
  message.append(&route, sizeof(route));
  message.attribute(RTA_OIF, device);
  WEIR_TRY(answer, ask(message));
  return answer.status();
}

Status write_sysctl(const std::string& name, std::string_view value) {
  const Fd file(::open(("/proc/sys/net/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid() ||
      ::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return system_error("writing net/" + name, errno);
  }
  return {};
}

}  // namespace weir::kernel
