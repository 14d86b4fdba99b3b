// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/kernel_dump.h"

#include <libnftnl/common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <vector>

#include "frontend/nft/netlink.h"

namespace weir::frontend::nft {
namespace {

class Connection {
 public:
  [[nodiscard]] Status open() {
    socket_.reset(mnl_socket_open(NETLINK_NETFILTER));
    if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
      return system_error("cannot open a netfilter netlink socket", errno);
    }
    return {};
  }

  // Sends what stands in `request` and appends the answers, less the closing one, to `out`.
  [[nodiscard]] Status run(const nlmsghdr* request, std::size_t size, Bytes& out) {
    if (mnl_socket_sendto(socket_.get(), request, size) < 0) {
      return system_error("cannot send a netlink request", errno);
    }
    const auto append = [](const nlmsghdr* message, void* to) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(message);
      auto& all = *static_cast<Bytes*>(to);
      all.insert(all.end(), bytes, bytes + message->nlmsg_len);
      all.resize(NLMSG_ALIGN(all.size()));
      return MNL_CB_OK;
    };
    for (;;) {
      const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
      if (got < 0) return system_error("cannot receive from netlink", errno);
      const int more = mnl_cb_run(buffer_.data(), static_cast<std::size_t>(got), sequence_,
                                  mnl_socket_get_portid(socket_.get()), append, &out);
      if (more < 0) return system_error("the kernel refused a netlink request", errno);
      if (more == 0) return {};
    }
  }

  std::uint32_t next_sequence() { return ++sequence_; }

 private:
  Socket socket_;
  std::uint32_t sequence_ = 0;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{1} << 18);
};

Status dump(Connection& connection, std::uint16_t type, Bytes& out) {
  alignas(nlmsghdr) char buffer[256];
  nlmsghdr* request =
      nftnl_nlmsg_build_hdr(buffer, type, AF_UNSPEC, NLM_F_DUMP, connection.next_sequence());
  return connection.run(request, request->nlmsg_len, out);
}

// nf_tables lists the elements of one set at a time.
Status dump_elements(Connection& connection, const Bytes& sets, Bytes& out) {
  int size = static_cast<int>(sets.size());
  const auto* message = reinterpret_cast<const nlmsghdr*>(sets.data());
  for (; mnl_nlmsg_ok(message, size); message = mnl_nlmsg_next(message, &size)) {
    const NlSet set(nftnl_set_alloc());
    if (!set || nftnl_set_nlmsg_parse(message, set.get()) < 0) {
      return system_error("cannot read a set of the kernel's ruleset", errno);
    }
    const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
    alignas(nlmsghdr) char buffer[1024];
    nlmsghdr* request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSETELEM, header->nfgen_family,
                                              NLM_F_DUMP, connection.next_sequence());
    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE,
                      nftnl_set_get_str(set.get(), NFTNL_SET_TABLE));
    mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET,
                      nftnl_set_get_str(set.get(), NFTNL_SET_NAME));
    WEIR_CHECK(connection.run(request, request->nlmsg_len, out));
  }
  return {};
}

}  // namespace

Result<Bytes> dump_chains() {
  Connection connection;
  WEIR_CHECK(connection.open());
  Bytes all;
  WEIR_CHECK(dump(connection, NFT_MSG_GETTABLE, all));
  WEIR_CHECK(dump(connection, NFT_MSG_GETCHAIN, all));
  return all;
}

Result<Bytes> dump_ruleset() {
  Connection connection;
  WEIR_CHECK(connection.open());
  Bytes all;
  WEIR_CHECK(dump(connection, NFT_MSG_GETTABLE, all));
  WEIR_CHECK(dump(connection, NFT_MSG_GETCHAIN, all));
  WEIR_CHECK(dump(connection, NFT_MSG_GETOBJ, all));
  Bytes sets;
  WEIR_CHECK(dump(connection, NFT_MSG_GETSET, sets));
  all.insert(all.end(), sets.begin(), sets.end());
  WEIR_CHECK(dump_elements(connection, sets, all));
  WEIR_CHECK(dump(connection, NFT_MSG_GETRULE, all));
  return all;
}

Status each_message(ByteView messages, const std::function<Status(const nlmsghdr*)>& take) {
  int size = static_cast<int>(messages.size());
  const auto* message = reinterpret_cast<const nlmsghdr*>(messages.data());
  for (; mnl_nlmsg_ok(message, size); message = mnl_nlmsg_next(message, &size)) {
    // libmnl compares lengths as signed numbers: one beyond 2 GiB passes as a negative one.
    if (message->nlmsg_len > static_cast<std::uint32_t>(size) ||
        mnl_nlmsg_get_payload_len(message) < sizeof(nfgenmsg)) {
      return system_error("cannot read a message of the kernel's ruleset");
    }
    WEIR_CHECK(take(message));
  }
  if (size > 0) return system_error("the kernel's ruleset ends within a message");
  return {};
}

Result<std::uint32_t> ruleset_generation() {
  Connection connection;
  WEIR_CHECK(connection.open());
  alignas(nlmsghdr) char buffer[256];
  const nlmsghdr* request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETGEN, AF_UNSPEC, NLM_F_ACK,
                                                  connection.next_sequence());
  Bytes answer;
  WEIR_CHECK(connection.run(request, request->nlmsg_len, answer));
  const NlGeneration generation(nftnl_gen_alloc());
  const auto* message = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (!generation || !mnl_nlmsg_ok(message, static_cast<int>(answer.size())) ||
      nftnl_gen_nlmsg_parse(message, generation.get()) < 0) {
    return system_error("cannot read the generation of the kernel's ruleset");
  }
  return nftnl_gen_get_u32(generation.get(), NFTNL_GEN_ID);
}

}  // namespace weir::frontend::nft
