// SPDX-License-Identifier: BSD-2-Clause
//
// The walk along the IPv6 extension headers: ipv6_find_hdr(skb, &thoff, -1, &fragoff,
// IP6_FH_F_AUTH) in net/ipv6/exthdrs_core.c, as include/net/netfilter/nf_tables_ipv6.h calls it.
// What stands there holds here: it ends at the authentication header, a routing header must be
// there with 4 bytes and any other with 2, and a fragment other than the first has a protocol only
// when no further extension header follows; its transport offset then stays 0.
#include "backend/values.h"
#include "imr/reading.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t hop_by_hop = 0;
constexpr std::uint64_t routing = 43;
constexpr std::uint64_t fragment = 44;
constexpr std::uint64_t authentication = 51;
constexpr std::uint64_t none = 59;
constexpr std::uint64_t destination = 60;

// Bit p is set when ipv6_ext_hdr(p).
constexpr std::uint64_t extension_headers = 1ULL << hop_by_hop | 1ULL << routing |
                                            1ULL << fragment | 1ULL << authentication |
                                            1ULL << none | 1ULL << destination;

// The kernel walks to the end of the packet. The verifier wants an end that it can see: packets
// with more headers than this are dropped (a known difference, docs/architecture.md).
constexpr std::uint64_t max_headers = 200;

// Goes on where `protocol` is an extension header, to `other` where not.
void expect_extension(Builder& out, Reg protocol, BlockId other) {
  out.leave_if(Condition::gt, protocol, 63, other);
  const Reg bit = out.binary(Op::shl, out.constant(1), protocol);
  const Reg known = out.binary(Op::and_, bit, extension_headers);
  out.leave_if(Condition::eq, known, 0, other);
}

}  // namespace

Ipv6Walk walk_ipv6(Builder& out, const imr::Unit& unit, Reg network, Reg opaque) {
  flow::Function& function = out.function();
  const Ipv6Walk walk{function.new_register(), function.new_register(), function.new_register()};
  const BlockId unknown = out.block();
  const BlockId found = out.block();
  const BlockId done = out.block();
  const BlockId loop = out.block();

  // The first header's place and the count start from values unknown to the verifier, so that its
  // states of one round cover those of the next.
  const Reg protocol = walk.l4proto;
  const Reg offset = walk.transport;
  const Reg count = function.new_register();
  out.assign_constant(walk.fragment_offset, 0);
  const Reg first = out.window(network, 6, 1, unknown);
  out.assign_load(protocol, first, 0, 1);
  out.assign_opaque(offset, opaque, 40);
  if (network.valid()) {
    out.accumulate(offset, Op::add, network);
  }
  out.assign_opaque(count, opaque);
  out.jump(loop);

  // Every header here has at least 8 bytes, and one window for all of them keeps the loop small.
  // Where the packet ends within a header, the last steps are made outside of the loop.
  const BlockId tail = out.block();
  const BlockId too_many = out.block();
  out.at(loop);
  expect_extension(out, protocol, found);
  out.leave_if(Condition::eq, protocol, none, found);
  out.leave_if(Condition::ge, count, max_headers, too_many);
  out.assign(count, Op::add, count, 1);
  const Reg header = out.window(offset, 0, 8, tail);
  const Reg next = function.new_register();
  const Reg length = function.new_register();
  const Reg size = function.new_register();
  out.assign_load(next, header, 0, 1);
  out.assign_load(length, header, 1, 1);
  const Reg place = out.load(header, 2, 2);
  const BlockId advance = out.block();
  const BlockId is_fragment = out.block();
  out.leave_if(Condition::eq, protocol, authentication, found);
  out.assign(size, Op::add, length, 1);
  out.assign(size, Op::shl, size, 3);
  out.branch(Condition::eq, protocol, fragment, is_fragment, advance);

  out.at(advance);
  out.assign_copy(protocol, next);
  out.accumulate(offset, Op::add, size);
  out.accumulate(offset, Op::add, opaque);  // forget what the verifier has learnt
  out.jump(loop);

  const BlockId later = out.block();
  out.at(is_fragment);
  out.assign(walk.fragment_offset, Op::and_, out.unary(Op::swap16, place), 0xfff8);
  out.assign_constant(size, 8);
  out.branch(Condition::eq, walk.fragment_offset, 0, advance, later);

  // A later fragment: the walk ends here, and with an extension header there is no protocol.
  const BlockId known = out.block();
  out.at(later);
  out.assign_copy(protocol, next);
  expect_extension(out, protocol, known);
  out.branch(Condition::eq, protocol, none, known, unknown);
  out.at(known);
  if (imr::has_nf_tables_quirks(unit)) {
    // The offset keeps the 0 that it began with: skb->data.
    if (network.valid() && !imr::counts_link_header(unit)) {
      out.assign_copy(offset, network);
    } else {
      out.assign_constant(offset, 0);
    }
  }
  out.jump(done);

  // Fewer than 8 bytes are left: another extension header behind this one cannot be read.
  const BlockId past = out.block();
  const BlockId tail_routing = out.block();
  const BlockId tail_fragment = out.block();
  out.at(tail);
  const Reg rest = out.window(offset, 0, 2, unknown);
  out.assign_load(next, rest, 0, 1);
  out.assign_load(length, rest, 1, 1);
  out.leave_if(Condition::eq, protocol, authentication, found);
  out.assign(size, Op::add, length, 1);
  out.assign(size, Op::shl, size, 3);
  out.leave_if(Condition::eq, protocol, fragment, tail_fragment);
  out.branch(Condition::eq, protocol, routing, tail_routing, past);
  out.at(tail_routing);
  (void)out.window(offset, 0, 4, unknown);
  out.jump(past);
  out.at(tail_fragment);
  const Reg tail_place = out.load(out.window(offset, 2, 2, unknown), 0, 2);
  out.assign(walk.fragment_offset, Op::and_, out.unary(Op::swap16, tail_place), 0xfff8);
  out.assign_constant(size, 8);
  out.branch(Condition::eq, walk.fragment_offset, 0, past, later);
  out.at(past);
  out.assign_copy(protocol, next);
  out.accumulate(offset, Op::add, size);
  expect_extension(out, protocol, found);
  out.branch(Condition::eq, protocol, none, found, unknown);

  out.at(too_many);
  out.ret(false);

  out.at(unknown);
  out.assign_constant(protocol, no_protocol);
  out.assign_constant(offset, nowhere);
  out.assign_constant(walk.fragment_offset, 0);
  out.jump(done);

  out.at(found);
  out.leave_if(Condition::gt, offset, 0xffff, unknown);  // thoff > U16_MAX
  out.jump(done);

  // What the verifier has learnt on one of the many ways here would make it walk all rules again
  // for each of them.
  out.at(done);
  for (const Reg reg : {protocol, offset, walk.fragment_offset})
    out.accumulate(reg, Op::add, opaque);
  return walk;
}

}  // namespace weir::backend
