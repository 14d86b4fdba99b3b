// SPDX-License-Identifier: BSD-2-Clause
//
// nfnetlink: a rule of nf_tables that reads ct, which is what switches tracking on
// (nf_ct_netns_get() in net/netfilter/nft_ct.c), and ctnetlink
// (net/netfilter/nf_conntrack_netlink.c).
#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "kernel/netlink.h"

namespace weir::kernel {
namespace {

constexpr const char* table_name = "weir_scratch";
constexpr const char* chain_name = "tracking";
constexpr std::uint32_t timeout_seconds = 3600;

std::uint16_t type_of(int subsystem, int message) {
  return static_cast<std::uint16_t>(subsystem << 8 | message);
}

Message message_to(std::uint16_t type, std::uint16_t flags, std::uint8_t family,
                   std::uint16_t resource = 0) {
  Message message(type, flags);
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  message.append(&header, sizeof(header));
  return message;
}

std::size_t nest(Message& message, int type) {
  return message.open(static_cast<std::uint16_t>(type | NLA_F_NESTED));
}

// Sends what stands in `requests` and waits for as many acknowledgements.
Status exchange(const Fd& socket, const Bytes& requests, std::size_t acknowledgements,
                const char* what) {
  if (::send(socket.get(), requests.data(), requests.size(), 0) < 0) {
    return system_error(what, errno);
  }
  int refused = 0;
  while (acknowledgements > 0) {
    Bytes buffer(std::size_t{16} << 10);
    const auto size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return system_error(what, errno);
    ByteView rest = ByteView(buffer).first(static_cast<std::size_t>(size));
    while (rest.size() >= sizeof(nlmsghdr) + sizeof(nlmsgerr) && acknowledgements > 0) {
      nlmsghdr header{};
      std::memcpy(&header, rest.data(), sizeof(header));
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size()) {
        return system_error(std::string(what) + ": netlink answered with a message cut short");
      }
      if (header.nlmsg_type == NLMSG_ERROR) {
        nlmsgerr error{};
        std::memcpy(&error, rest.data() + sizeof(header), sizeof(error));
        if (error.error != 0) refused = -error.error;
        --acknowledgements;
      }
      rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    }
    // A batch that is refused as a whole is answered once (nfnetlink_rcv_batch()).
    if (refused != 0) return system_error(what, refused);
  }
  return {};
}

Message new_table() {
  Message message =
      message_to(type_of(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE), NLM_F_CREATE, NFPROTO_INET);
  message.attribute(NFTA_TABLE_NAME, table_name);
  return message;
}

Message new_chain() {
  Message message =
      message_to(type_of(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWCHAIN), NLM_F_CREATE, NFPROTO_INET);
  message.attribute(NFTA_CHAIN_TABLE, table_name);
  message.attribute(NFTA_CHAIN_NAME, chain_name);
  return message;
}

// "ct state", in a chain that no hook reaches.
Message new_rule() {
  Message message = message_to(type_of(NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWRULE),
                               NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET);
  message.attribute(NFTA_RULE_TABLE, table_name);
  message.attribute(NFTA_RULE_CHAIN, chain_name);
  const auto expressions = nest(message, NFTA_RULE_EXPRESSIONS);
  const auto element = nest(message, NFTA_LIST_ELEM);
  message.attribute(NFTA_EXPR_NAME, "ct");
  const auto data = nest(message, NFTA_EXPR_DATA);
  message.attribute(NFTA_CT_DREG, htonl(NFT_REG_1));
  message.attribute(NFTA_CT_KEY, htonl(NFT_CT_STATE));
  message.close(data);
  message.close(element);
  message.close(expressions);
  return message;
}

// The messages around a batch are acknowledged by newer kernels only, so they do not ask for it.
Bytes batch_end(std::uint16_t type) {
  Bytes bytes = message_to(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES).finish();
  const std::uint16_t flags = NLM_F_REQUEST;
  std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_flags), &flags, sizeof(flags));
  return bytes;
}

Status switch_tracking_on(const Fd& socket) {
  Bytes batch;
  for (const Bytes& bytes :
       {batch_end(NFNL_MSG_BATCH_BEGIN), new_table().finish(), new_chain().finish(),
        new_rule().finish(), batch_end(NFNL_MSG_BATCH_END)}) {
    batch.insert(batch.end(), bytes.begin(), bytes.end());
  }
  return exchange(socket, batch, 3, "switching connection tracking on");
}

void append_short(Message& message, int type, std::uint16_t number) {
  message.attribute_of(static_cast<std::uint16_t>(type), big_endian_bytes(number, 2));
}

void append_byte(Message& message, int type, std::uint8_t number) {
  message.attribute_of(static_cast<std::uint16_t>(type), Bytes{number});
}

bool has_identifier(std::uint8_t protocol) {
  return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

void append_tuple(Message& message, int type, const ConnectionTuple& tuple) {
  const bool v4 = tuple.nfproto == Nfproto::ipv4;
  const auto whole = nest(message, type);
  const auto addresses = nest(message, CTA_TUPLE_IP);
  message.attribute_of(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, tuple.source);
  message.attribute_of(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, tuple.destination);
  message.close(addresses);
  const auto protocol = nest(message, CTA_TUPLE_PROTO);
  append_byte(message, CTA_PROTO_NUM, tuple.protocol);
  if (has_identifier(tuple.protocol)) {
    append_short(message, v4 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID, tuple.source_port);
    append_byte(message, v4 ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE, tuple.icmp_type);
    append_byte(message, v4 ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE, tuple.icmp_code);
  } else {
    append_short(message, CTA_PROTO_SRC_PORT, tuple.source_port);
    append_short(message, CTA_PROTO_DST_PORT, tuple.destination_port);
  }
  message.close(protocol);
  message.close(whole);
}

void append_tcp_state(Message& message) {
  const auto info = nest(message, CTA_PROTOINFO);
  const auto tcp = nest(message, CTA_PROTOINFO_TCP);
  append_byte(message, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
  // struct nf_ct_tcp_flags {flags, mask}: out-of-window packets belong to it as well.
  const Bytes liberal = {IP_CT_TCP_FLAG_BE_LIBERAL, IP_CT_TCP_FLAG_BE_LIBERAL};
  message.attribute_of(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, liberal);
  message.attribute_of(CTA_PROTOINFO_TCP_FLAGS_REPLY, liberal);
  message.close(tcp);
  message.close(info);
}

Message new_connection(const ConnectionTuple& original, const ConnectionTuple& reply) {
  const std::uint8_t family = original.nfproto == Nfproto::ipv4 ? AF_INET : AF_INET6;
  Message message = message_to(type_of(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW),
                               NLM_F_CREATE | NLM_F_EXCL, family);
  append_tuple(message, CTA_TUPLE_ORIG, original);
  append_tuple(message, CTA_TUPLE_REPLY, reply);
  message.attribute(CTA_TIMEOUT, htonl(timeout_seconds));
  return message;
}

}  // namespace

Result<Conntrack> Conntrack::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket.valid()) return system_error("opening a netlink socket", errno);
  WEIR_CHECK(switch_tracking_on(socket));
  return Conntrack(std::move(socket));
}

Status Conntrack::forget_all() {
  const Message message =
      message_to(type_of(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE), 0, AF_UNSPEC);
  return exchange(socket_, message.finish(), 1, "forgetting connections");
}

Status Conntrack::add(const ConnectionTuple& original, const ConnectionTuple& reply) {
  Message message = new_connection(original, reply);
  message.attribute(CTA_STATUS, htonl(IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED));
  if (original.protocol == IPPROTO_TCP) append_tcp_state(message);
  return exchange(socket_, message.finish(), 1, "adding a connection");
}

Status Conntrack::add_expected(const ConnectionTuple& original, const ConnectionTuple& reply) {
  // Between addresses for documentation (RFC 5737, RFC 3849).
  const bool v4 = original.nfproto == Nfproto::ipv4;
  ConnectionTuple master{.nfproto = original.nfproto,
                         .protocol = IPPROTO_TCP,
                         .source = v4 ? Bytes{192, 0, 2, 1} : Bytes{0x20, 1, 0x0d, 0xb8},
                         .destination = v4 ? Bytes{192, 0, 2, 2} : Bytes{0x20, 1, 0x0d, 0xb8},
                         .source_port = 21,
                         .destination_port = 21};
  master.source.resize(original.source.size(), 1);
  master.destination.resize(original.source.size(), 2);
  ConnectionTuple back = master;
  std::swap(back.source, back.destination);
  WEIR_CHECK(add(master, back));
  Message message = new_connection(original, reply);
  message.attribute(CTA_STATUS, htonl(IPS_CONFIRMED));
  append_tuple(message, CTA_TUPLE_MASTER, master);
  return exchange(socket_, message.finish(), 1, "adding an expected connection");
}

}  // namespace weir::kernel
