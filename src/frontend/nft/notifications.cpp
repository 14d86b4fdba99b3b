// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/notifications.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace weir::frontend::nft {
namespace {

// Room for what a rule with sets of some thousand elements brings.
constexpr int queue_bytes = 8 << 20;

}  // namespace

Status Notifications::open() {
  socket_.reset(mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC));
  int group = NFNLGRP_NFTABLES;
  if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0 ||
      mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) {
    return system_error("cannot listen to nf_tables", errno);
  }
  // Without it, long sets are read in another way.
  (void)setsockopt(mnl_socket_get_fd(socket_.get()), SOL_SOCKET, SO_RCVBUFFORCE, &queue_bytes,
                   sizeof queue_bytes);
  return {};
}

Result<Bytes> Notifications::take() {
  std::array<char, 1 << 16> buffer;
  Bytes out;
  for (;;) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return out;
    if (got < 0) return system_error("cannot receive what nf_tables tells", errno);
    int size = static_cast<int>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, size); message = mnl_nlmsg_next(message, &size)) {
      if ((message->nlmsg_type & 0xff) == NFT_MSG_NEWGEN) continue;
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(message);
      out.insert(out.end(), bytes, bytes + message->nlmsg_len);
      out.resize(NLMSG_ALIGN(out.size()));
    }
  }
}

}  // namespace weir::frontend::nft
