// SPDX-License-Identifier: BSD-2-Clause
//
// Scratch namespaces, and the one rtnetlink request that the probes need in them.
#include "kernel/scratch_net.h"

#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>

#include "base/bytes.h"
#include "kernel/kernel.h"

namespace weir::kernel {
namespace {

// A netlink message under construction. Attributes nest by remembering where they began.
class Message {
 public:
  explicit Message(std::uint16_t type, std::uint16_t flags) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    append(&header, sizeof(header));
  }

  void append(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
    bytes_.resize((bytes_.size() + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO);
  }

  void attribute(std::uint16_t type, std::string_view text) {
    const auto start = open(type);
    append(text.data(), text.size());
    close(start, RTA_LENGTH(text.size()));
  }

  std::size_t open(std::uint16_t type) {
    const auto start = bytes_.size();
    rtattr header{};
    header.rta_type = type;
    append(&header, sizeof(header));
    return start;
  }

  void close(std::size_t start) { close(start, bytes_.size() - start); }

  const Bytes& finish() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof(size));
    return bytes_;
  }

 private:
  void close(std::size_t start, std::size_t length) {
    const auto size = static_cast<std::uint16_t>(length);
    std::memcpy(bytes_.data() + start, &size, sizeof(size));
  }

  Bytes bytes_;
};

// Sends `message` and waits for its acknowledgement.
Status talk(const Bytes& message) {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return system_error("opening a netlink socket", errno);
  if (::send(socket.get(), message.data(), message.size(), 0) < 0) {
    return system_error("sending to netlink", errno);
  }
  alignas(nlmsghdr) std::uint8_t reply[4096];
  const auto size = ::recv(socket.get(), reply, sizeof(reply), 0);
  if (size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) {
    return system_error("netlink answered too briefly");
  }
  nlmsgerr error{};
  std::memcpy(&error, reply + NLMSG_HDRLEN, sizeof(error));
  if (error.error != 0) return system_error("netlink", -error.error);
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
  Message message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
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
  WEIR_CHECK(talk(message.finish()));
  const auto index = ::if_nametoindex(name.c_str());
  if (index == 0) return system_error("looking up interface " + name, errno);
  return index;
}

}  // namespace weir::kernel
