// SPDX-License-Identifier: BSD-2-Clause
//
// What rules ask of connections, as nft_ct_get_eval() in net/netfilter/nft_ct.c answers it.
#include "backend/values.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::ContextKey;
using flow::Op;
using flow::Reg;

namespace {

constexpr unsigned direction_shift = 8;

}  // namespace

imr::Ct ct_of(const Leaf& leaf) {
  return {.key = static_cast<imr::CtKey>(leaf.offset & 0xff),
          .direction = static_cast<imr::CtDirection>(leaf.offset >> direction_shift)};
}

Leaf ct_leaf(const imr::Ct& ct, std::size_t half) {
  const auto direction = static_cast<unsigned>(ct.direction) << direction_shift;
  return {Leaf::Kind::ct, static_cast<std::uint16_t>(static_cast<unsigned>(ct.key) | direction),
          static_cast<std::uint8_t>(half)};
}

// NF_CT_STATE_BIT(ctinfo) of linux/netfilter/nf_conntrack_common.h, as nft_ct_get_eval() gives it.
Reg Values::make_ct_state() {
  // Byte i is the state of ctinfo i: of a connection, and without one (untracked is 7).
  constexpr std::uint64_t tracked = 0x0402'0804'0208'0402;
  constexpr std::uint64_t untracked = 0x4001'0101'0101'0101;
  const Reg info = out_.context(ContextKey::ct_info);
  const Reg states = out_.function().new_register();
  const BlockId has_connection = out_.block();
  const BlockId join = out_.block();
  out_.assign_constant(states, untracked);
  out_.branch(Condition::set, info, 8, has_connection, join);
  out_.at(has_connection);
  out_.assign_constant(states, tracked);
  out_.jump(join);
  out_.at(join);
  const Reg place = out_.binary(Op::shl, out_.binary(Op::and_, info, 7), 3);
  return out_.binary(Op::and_, out_.binary(Op::shr, states, place), 0xff);
}

// nf_ct_zone_id() in include/net/netfilter/nf_conntrack_zones.h: struct nf_conntrack_zone has the
// directions that it is of in its highest byte.
Reg Values::make_ct_zone(imr::CtDirection direction) {
  const Reg zone = out_.context(ContextKey::ct_zone);
  const Reg id = out_.binary(Op::and_, zone, 0xffff);
  if (direction == imr::CtDirection::none) return id;
  const std::uint64_t bit = direction == imr::CtDirection::original ? 24 : 25;
  const Reg is_of = out_.binary(Op::and_, out_.binary(Op::shr, zone, bit), 1);
  return out_.binary(Op::mul, id, is_of);
}

Reg Values::make_ct(const imr::Ct& ct, unsigned half) {
  const bool reply = ct.direction == imr::CtDirection::reply;
  const auto of = [&](ContextKey original, ContextKey of_reply) {
    return out_.context(
        static_cast<ContextKey>(static_cast<unsigned>(reply ? of_reply : original) + half));
  };
  const auto of_both = [&](ContextKey original, ContextKey of_reply) {
    if (ct.direction != imr::CtDirection::none) return of(original, of_reply);
    return out_.binary(Op::add, out_.context(original), out_.context(of_reply));
  };
  switch (ct.key) {
    case imr::CtKey::state:
      return make_ct_state();
    case imr::CtKey::direction:
      // CTINFO2DIR(): 1 from IP_CT_IS_REPLY (3) on.
      return out_.binary(
          Op::shr,
          out_.binary(Op::add, out_.binary(Op::and_, out_.context(ContextKey::ct_info), 7), 5), 3);
    case imr::CtKey::status:
      return out_.context(ContextKey::ct_status);
    case imr::CtKey::mark:
      return out_.context(ContextKey::ct_mark);
    case imr::CtKey::helper:
      return of(ContextKey::ct_helper0, ContextKey::ct_helper0);
    case imr::CtKey::l3proto:
      return out_.binary(Op::and_, out_.context(ContextKey::ct_l3proto), 0xff);
    case imr::CtKey::protocol:
      return out_.context(ContextKey::ct_protocol);
    case imr::CtKey::src_ip:
      return out_.binary(Op::and_, of(ContextKey::ct_original_src0, ContextKey::ct_reply_src0),
                         0xffffffff);
    case imr::CtKey::dst_ip:
      return out_.binary(Op::and_, of(ContextKey::ct_original_dst0, ContextKey::ct_reply_dst0),
                         0xffffffff);
    case imr::CtKey::src_ip6:
      return of(ContextKey::ct_original_src0, ContextKey::ct_reply_src0);
    case imr::CtKey::dst_ip6:
      return of(ContextKey::ct_original_dst0, ContextKey::ct_reply_dst0);
    case imr::CtKey::proto_src:
      return of(ContextKey::ct_original_proto_src, ContextKey::ct_reply_proto_src);
    case imr::CtKey::proto_dst:
      return of(ContextKey::ct_original_proto_dst, ContextKey::ct_reply_proto_dst);
    case imr::CtKey::labels:
      return of(ContextKey::ct_labels0, ContextKey::ct_labels0);
    case imr::CtKey::zone:
      return make_ct_zone(ct.direction);
    case imr::CtKey::bytes:
      return of_both(ContextKey::ct_original_bytes, ContextKey::ct_reply_bytes);
    case imr::CtKey::packets:
      return of_both(ContextKey::ct_original_packets, ContextKey::ct_reply_packets);
    case imr::CtKey::avgpkt:
      if (ct.direction == imr::CtDirection::none) return out_.context(ContextKey::ct_avgpkt);
      return of(ContextKey::ct_original_avgpkt, ContextKey::ct_reply_avgpkt);
  }
  throw InvariantError("ct key out of range");
}

Words Values::ct_value(const imr::Ct& ct, BlockId absent) {
  Words words;
  unsigned half = 0;
  for (const std::uint8_t size : cut_sizes(imr::value_size(ct.key))) {
    const auto found = gathered_.find(ct_leaf(ct, half));
    words.push_back({found != gathered_.end() ? found->second : make_ct(ct, half), size});
    ++half;
  }
  if (!imr::may_be_absent(ct.key)) return words;
  const Reg there = out_.binary(Op::and_, out_.context(ContextKey::ct_info), 8);
  out_.leave_if(Condition::eq, blurred(there), 0, absent);
  const bool ipv4 = ct.key == imr::CtKey::src_ip || ct.key == imr::CtKey::dst_ip;
  const bool ipv6 = ct.key == imr::CtKey::src_ip6 || ct.key == imr::CtKey::dst_ip6;
  if (ipv4 || ipv6) {
    const auto family = static_cast<std::uint64_t>(ipv4 ? Nfproto::ipv4 : Nfproto::ipv6);
    out_.leave_if(Condition::ne, blurred(out_.context(ContextKey::ct_l3proto)), family, absent);
  }
  if (ct.key == imr::CtKey::helper) {
    out_.leave_if(Condition::eq, blurred(words.front().reg), 0, absent);
  }
  return words;
}

}  // namespace weir::backend
