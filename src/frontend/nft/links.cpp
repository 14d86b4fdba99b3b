// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/links.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <array>
#include <cerrno>
#include <memory>

#include "frontend/nft/netlink.h"

namespace weir::frontend::nft {
namespace {

ifinfomsg* put_ifinfo(nlmsghdr* message, std::uint32_t index) {
  auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
  info->ifi_family = AF_UNSPEC;
  info->ifi_index = static_cast<int>(index);
  return info;
}

}  // namespace

Status make_link(const imr::Interface& link, std::uint32_t ordinal) {
  const std::uint32_t peer_index = first_peer_index + ordinal;
  const std::string peer_name = "weirpeer" + std::to_string(ordinal);

  std::array<char, 1024> buffer;
  nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
  message->nlmsg_type = RTM_NEWLINK;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
  message->nlmsg_seq = 1;
  put_ifinfo(message, link.index);
  mnl_attr_put_strz(message, IFLA_IFNAME, link.name.c_str());
  nlattr* linkinfo = mnl_attr_nest_start(message, IFLA_LINKINFO);
  mnl_attr_put_str(message, IFLA_INFO_KIND, "veth");
  nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
  // The peer's attributes follow a struct ifinfomsg of its own (veth_newlink in the kernel).
  nlattr* peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
  put_ifinfo(message, peer_index);
  mnl_attr_put_strz(message, IFLA_IFNAME, peer_name.c_str());
  mnl_attr_nest_end(message, peer);
  mnl_attr_nest_end(message, data);
  mnl_attr_nest_end(message, linkinfo);

  const std::string what = "cannot make interface '" + link.name + "' with index " +
                           std::to_string(link.index) + " in the scratch namespace";
  const Socket socket(mnl_socket_open(NETLINK_ROUTE));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0 ||
      mnl_socket_sendto(socket.get(), message, message->nlmsg_len) < 0) {
    return system_error(what, errno);
  }
  std::array<char, 8192> answer;
  const ssize_t size = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
  if (size < 0 || mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 1,
                             mnl_socket_get_portid(socket.get()), nullptr, nullptr) < 0) {
    return system_error(what, errno);
  }
  return {};
}

}  // namespace weir::frontend::nft
