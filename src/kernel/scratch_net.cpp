// SPDX-License-Identifier: BSD-2-Clause
//
// Scratch namespaces, and the one rtnetlink request that the probes need in them.
#include "kernel/scratch_net.h"

#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>

#include <cerrno>
#include <thread>

#include "kernel/netlink.h"

namespace weir::kernel {

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

}  // namespace weir::kernel
