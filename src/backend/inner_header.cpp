// SPDX-License-Identifier: BSD-2-Clause
//
// Where that begins which a transport header is in front of: nft_payload_inner_offset() in
// net/netfilter/nft_payload.c. It is found once, in front of the first rule that looks there.
#include "backend/values.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t ip_in_ip = 4;
constexpr std::uint64_t tcp = 6;
constexpr std::uint64_t udp = 17;
constexpr std::uint64_t gre = 47;

// Of TCP's header: what tells its length in words of 4 bytes.
Reg tcp_size(Builder& out, Reg transport, BlockId absent) {
  constexpr std::uint64_t header = 20;
  const Reg window = out.window(transport, 0, header, absent);
  const Reg words = out.binary(Op::shr, out.load(window, 12, 1), 4);
  return out.binary(Op::shl, words, 2);
}

// The first byte has bits for a checksum, 0x80, routing, 0x40, a key, 0x20, and a sequence number,
// 0x10. All but routing have 4 bytes in the header. The second has the version.
Reg gre_size(Builder& out, Reg transport, BlockId absent) {
  constexpr std::uint64_t header = 4;
  constexpr std::uint64_t routing = 0x40;
  constexpr std::uint64_t version = 0x07;
  const Reg window = out.window(transport, 0, header, absent);
  const Reg flags = out.load(window, 0, 1);
  out.leave_if(Condition::ne, out.binary(Op::and_, flags, routing), 0, absent);
  out.leave_if(Condition::ne, out.binary(Op::and_, out.load(window, 1, 1), version), 0, absent);
  Reg size = out.constant(header);
  for (const std::uint64_t shift : {7, 5, 4}) {
    const Reg bit = out.binary(Op::and_, out.binary(Op::shr, flags, shift), 1);
    size = out.binary(Op::add, size, out.binary(Op::shl, bit, 2));
  }
  return size;
}

}  // namespace

void Values::parse_inner() {
  if (headers_.inner.valid()) return;
  parse_transport();
  headers_.inner = out_.function().new_register();
  out_.assign_opaque(headers_.inner, opaque_, nowhere);
  if (unit_.nfproto == Nfproto::other) return;
  const BlockId join = out_.block();
  out_.leave_if(Condition::ne, blurred(headers_.fragment), 0, join);
  const Reg protocol = blurred(headers_.l4proto);
  const auto of = [&](std::uint64_t number, const auto& size) {
    const BlockId other = out_.block();
    out_.leave_if(Condition::ne, protocol, number, other);
    const Reg end = out_.binary(Op::add, headers_.transport, size());
    out_.assign(headers_.inner, Op::and_, end, 0xffff);
    out_.jump(join);
    out_.at(other);
  };
  of(udp, [&] { return out_.constant(8); });
  of(tcp, [&] { return tcp_size(out_, headers_.transport, join); });
  of(gre, [&] { return gre_size(out_, headers_.transport, join); });
  of(ip_in_ip, [&] { return out_.constant(0); });
  out_.jump(join);
  out_.at(join);
  // What was learnt on one of the ways here is forgotten.
  out_.accumulate(headers_.inner, Op::add, opaque_);
}

}  // namespace weir::backend
