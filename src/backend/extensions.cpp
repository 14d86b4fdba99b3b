// SPDX-License-Identifier: BSD-2-Clause
//
// What stands in net/netfilter/nft_exthdr.c and ipv6_find_hdr() holds here; imr/extensions.cpp says
// it in plain steps.
#include "backend/extensions.h"

#include <algorithm>

#include "backend/values.h"
#include "imr/reading.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t ip_protocol_tcp = 6;
constexpr std::uint64_t ip_protocol_sctp = 132;

constexpr std::uint8_t routing = 43;
constexpr std::uint8_t fragment = 44;
constexpr std::uint8_t authentication = 51;
constexpr std::uint8_t none = 59;

// As in the walk to the transport header.
constexpr std::uint64_t most_headers = 200;
// As many: of 4 bytes each, 1,500 bytes have room for 367, but few types are as short.
constexpr std::uint64_t most_chunks = 200;
// From the 20th byte on to the one before the last of 60.
constexpr std::uint64_t most_tcp_options = 40;

bool is_walked(std::uint8_t protocol) {
  return protocol == 0 || protocol == routing || protocol == fragment ||
         protocol == authentication || protocol == 60;
}

std::vector<Item> no_items(const ItemLoop& loop) {
  std::vector<Item> items(loop.types.size());
  for (Item& item : items) {
    item = {loop.out.function().new_register(), loop.out.function().new_register()};
    loop.out.assign_opaque(item.place, loop.opaque);
    loop.out.assign_opaque(item.have, loop.opaque);
  }
  return items;
}

// Behind a loop: what was learnt on one of the many ways here is forgotten.
void blur(const ItemLoop& loop, const std::vector<Item>& items) {
  for (const Item& item : items) {
    loop.out.accumulate(item.place, Op::add, loop.opaque);
    loop.out.accumulate(item.have, Op::add, loop.opaque);
  }
}

// Comparisons without a branch: what meets again in a loop, the verifier walks twice all the same,
// since it keeps few states there (is_state_visited() in kernel/bpf/verifier.c).

// 1 where a value below 2^`bits` is not 0, else 0.
Reg not_zero(Builder& out, Reg value, unsigned bits) {
  const std::uint64_t ones = (std::uint64_t{1} << bits) - 1;
  return out.binary(Op::shr, out.binary(Op::add, value, ones), bits);
}

Reg opposite(Builder& out, Reg bit) {
  return out.binary(Op::xor_, bit, 1);
}

// 1 where a <= b, both far below 2^63.
Reg not_above(Builder& out, Reg a, Reg b) {
  return opposite(out, out.binary(Op::shr, out.binary(Op::sub, b, a), 63));
}

// 1 where the byte `type` says that this is the first item of type number `index`.
Reg is_first(const ItemLoop& loop, const std::vector<Item>& items, std::size_t index, Reg type) {
  constexpr unsigned place_bits = 20;
  Builder& out = loop.out;
  const Reg other = not_zero(out, out.binary(Op::xor_, type, loop.types[index]), 8);
  const Reg seen = not_zero(out, items[index].place, place_bits);
  return opposite(out, out.binary(Op::or_, other, seen));
}

// The item begins at `at` and has so many bytes, where `bit` is 1.
void take_where(const ItemLoop& loop, const Item& item, Reg bit, Reg at, Reg have) {
  loop.out.accumulate(item.place, Op::add, loop.out.binary(Op::mul, at, bit));
  loop.out.accumulate(item.have, Op::add, loop.out.binary(Op::mul, have, bit));
}

// Of TCP options and SCTP chunks: the items that begin at `at` and have `size` bytes. What is cut
// off at `end` has `cut_off`. Leaves to `done` when nothing else is looked for.
void take_items(const ItemLoop& loop, const std::vector<Item>& items, Reg type, Reg at, Reg size,
                Reg end, std::uint64_t cut_off, BlockId done) {
  Builder& out = loop.out;
  const auto have = [&] {
    const Reg whole = not_above(out, out.binary(Op::add, at, size), end);
    const Reg usable = out.binary(Op::mul, out.binary(Op::add, size, 1 - cut_off), whole);
    return cut_off == 0 ? usable : out.binary(Op::add, usable, cut_off);
  };
  if (items.size() > 1) {
    const Reg bytes = have();
    for (std::size_t i = 0; i < items.size(); ++i) {
      take_where(loop, items[i], is_first(loop, items, i, type), at, bytes);
    }
    return;
  }
  const BlockId next = out.block();
  leave_if_other(loop, type, loop.types.front(), next);
  assign_blurred(loop, items.front().place, at);
  assign_blurred(loop, items.front().have, have());
  out.jump(done);
  out.at(next);
}

// The counter of a loop of at most `most` rounds, which leaves to `too_many`.
struct Rounds {
  Rounds(const ItemLoop& loop, std::uint64_t most)
      : out(loop.out), count(loop.out.function().new_register()), limit(most) {
    out.assign_opaque(count, loop.opaque);
  }
  void next(BlockId too_many) const {
    out.leave_if(Condition::ge, count, limit, too_many);
    out.assign(count, Op::add, count, 1);
  }

  Builder& out;
  Reg count;
  std::uint64_t limit;
};

// What an extension header at hand says: of a window of its first 8 bytes, with a protocol of 63 at
// most. Without a branch, for the same reason.
struct Ipv6Step {
  Reg next;             // the protocol behind it
  Reg size;             // bytes to there
  Reg fragment_offset;  // 0 but in later fragments
};

Ipv6Step step_over_header(Builder& out, Reg protocol, Reg header) {
  const auto is = [&](std::uint64_t which) {
    const Reg bits = out.constant(1ULL << which);
    return out.binary(Op::and_, out.binary(Op::shr, bits, protocol), 1);
  };
  const Reg next = out.load(header, 0, 1);
  const Reg units = out.load(header, 1, 1);
  const Reg place = out.load(header, 2, 2);
  // Of fragment headers the length is reserved, and they have 8 bytes; that of an authentication
  // header counts words of 4 bytes, less 2.
  const Reg is_fragment = is(fragment);
  const Reg is_authentication = is(authentication);
  const Reg counted = out.binary(Op::mul, units, opposite(out, is_fragment));
  const Reg total = out.binary(Op::add, out.binary(Op::add, counted, 1), is_authentication);
  const Reg size = out.binary(Op::shl, total, out.binary(Op::xor_, is_authentication, 3));
  const Reg offset = out.binary(Op::and_, out.unary(Op::swap16, place), 0xfff8);
  return {next, size, out.binary(Op::mul, offset, is_fragment)};
}

// A header that is no extension header, where the chain names it: it need not be there.
void take_last(const ItemLoop& loop, const std::vector<Item>& items, Reg protocol, Reg offset) {
  Builder& out = loop.out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (is_walked(loop.types[i])) continue;
    const BlockId next = out.block();
    leave_if_other(loop, protocol, loop.types[i], next);
    assign_blurred(loop, items[i].place, offset);
    out.assign_opaque(items[i].have, loop.opaque, to_the_end);
    out.jump(next);
    out.at(next);
  }
}

// Fewer than 8 bytes are left, of an extension header: another one behind it cannot be read. Of
// this one itself, 2 or 4 bytes are enough.
void take_from_tail(const ItemLoop& loop, const std::vector<Item>& items, Reg protocol, Reg offset,
                    BlockId done) {
  Builder& out = loop.out;
  const BlockId past = out.block();
  const BlockId long_one = out.block();
  const BlockId is_fragment = out.block();
  const BlockId is_there = out.block();
  const Reg next = out.load(out.window(offset, 0, 2, done), 0, 1);
  leave_if_same(loop, protocol, routing, long_one);
  leave_if_same(loop, protocol, fragment, long_one);
  out.jump(is_there);
  out.at(long_one);
  static_cast<void>(out.window(offset, 0, 4, done));
  out.jump(is_there);
  out.at(is_there);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!is_walked(loop.types[i])) continue;
    const BlockId other = out.block();
    leave_if_other(loop, protocol, loop.types[i], other);
    out.leave_if(Condition::ne, blurred(loop, items[i].place), 0, other);
    assign_blurred(loop, items[i].place, offset);
    out.assign_opaque(items[i].have, loop.opaque, to_the_end);
    out.jump(other);
    out.at(other);
  }
  leave_if_same(loop, protocol, fragment, is_fragment);
  out.jump(past);
  out.at(is_fragment);
  const Reg place = out.unary(Op::swap16, out.load(out.window(offset, 2, 2, done), 0, 2));
  out.leave_if(Condition::ne, out.binary(Op::and_, place, 0xfff8), 0, done);
  out.jump(past);
  out.at(past);
  const Reg beyond = out.function().new_register();
  out.assign_opaque(beyond, loop.opaque, nowhere);
  take_last(loop, items, next, beyond);
  out.jump(done);
}

// The extension headers looked for that begin at `offset`. Leaves to `done` when nothing else is.
void take_headers(const ItemLoop& loop, const std::vector<Item>& items, Reg protocol, Reg offset,
                  BlockId done) {
  Builder& out = loop.out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!is_walked(loop.types[i])) continue;
    if (items.size() > 1) {
      take_where(loop, items[i], is_first(loop, items, i, protocol), offset,
                 out.constant(to_the_end));
      continue;
    }
    const BlockId next = out.block();
    leave_if_other(loop, protocol, loop.types[i], next);
    assign_blurred(loop, items[i].place, offset);
    out.assign_opaque(items[i].have, loop.opaque, to_the_end);
    out.jump(done);
    out.at(next);
  }
}

// Leaves where no further header follows: extension headers are 0, 43, 44, 51 and 60.
void expect_walked(const ItemLoop& loop, Reg protocol, BlockId elsewhere) {
  constexpr std::uint64_t walked =
      1ULL | 1ULL << routing | 1ULL << fragment | 1ULL << authentication | 1ULL << 60;
  Builder& out = loop.out;
  out.leave_if(Condition::gt, protocol, 63, elsewhere);
  const Reg bit = out.binary(Op::shl, out.constant(1), protocol);
  out.leave_if(Condition::eq, out.binary(Op::and_, bit, walked), 0, elsewhere);
}

}  // namespace

void assign_blurred(const ItemLoop& loop, Reg dst, Reg reg) {
  loop.out.append({.op = Op::add, .dst = dst, .a = reg, .b = loop.opaque});
}

void leave_if_other(const ItemLoop& loop, Reg byte, std::uint64_t type, BlockId elsewhere) {
  const Reg difference = loop.out.binary(Op::xor_, byte, type);
  loop.out.leave_if(Condition::ne, difference, 0, elsewhere);
}

void leave_if_same(const ItemLoop& loop, Reg byte, std::uint64_t type, BlockId elsewhere) {
  const Reg difference = loop.out.binary(Op::xor_, byte, type);
  loop.out.leave_if(Condition::eq, difference, 0, elsewhere);
}

void leave_if(Builder& out, Condition condition, Reg a, Reg b, BlockId elsewhere) {
  const BlockId on = out.block();
  out.branch(condition, a, b, elsewhere, on);
  out.at(on);
}

Reg is_there(Builder& out, const Item& item) {
  return out.binary(Op::shr, out.binary(Op::add, item.have, to_the_end - 1), 17);
}

std::vector<Item> find_ipv6_headers(const ItemLoop& loop) {
  Builder& out = loop.out;
  flow::Function& function = out.function();
  const std::vector<Item> items = no_items(loop);
  const BlockId head = out.block();
  const BlockId last = out.block();
  const BlockId tail = out.block();
  const BlockId too_many = out.block();
  const BlockId done = out.block();
  const Reg protocol = function.new_register();
  const Reg offset = function.new_register();
  const Reg first = out.window(loop.headers.network, 6, 1, done);
  out.assign_load(protocol, first, 0, 1);
  out.assign_opaque(offset, loop.opaque, 40);
  if (loop.headers.network.valid()) out.accumulate(offset, Op::add, loop.headers.network);
  const Rounds rounds(loop, most_headers);
  out.jump(head);

  out.at(head);
  expect_walked(loop, protocol, last);
  rounds.next(too_many);
  // Any header has 8 bytes: one window for all of them keeps the loop small.
  const Reg header = out.window(offset, 0, 8, tail);
  take_headers(loop, items, protocol, offset, done);
  const Ipv6Step step = step_over_header(out, protocol, header);
  // Behind a later fragment nothing follows.
  out.leave_if(Condition::ne, step.fragment_offset, 0, done);
  out.assign_copy(protocol, step.next);
  out.accumulate(offset, Op::add, step.size);
  out.accumulate(offset, Op::add, loop.opaque);
  out.jump(head);

  out.at(last);
  take_last(loop, items, protocol, offset);
  out.jump(done);
  out.at(tail);
  take_from_tail(loop, items, protocol, offset, done);
  out.at(too_many);
  out.ret(false);
  out.at(done);
  blur(loop, items);
  return items;
}

std::vector<Item> find_tcp_options(const ItemLoop& loop, BlockId no_header) {
  Builder& out = loop.out;
  flow::Function& function = out.function();
  const Headers& headers = loop.headers;
  const std::vector<Item> items = no_items(loop);
  const BlockId head = out.block();
  const BlockId done = out.block();
  if (!no_header.valid()) no_header = done;
  leave_if_other(loop, headers.l4proto, ip_protocol_tcp, no_header);
  const Reg available = blurred(loop, headers.available);
  out.leave_if(Condition::lt, available, 20, no_header);
  const Reg words = out.load(out.window(headers.transport, 12, 1, no_header), 0, 1);
  const Reg header = out.binary(Op::shl, out.binary(Op::shr, words, 4), 2);
  out.leave_if(Condition::lt, header, 20, no_header);
  leave_if(out, Condition::lt, available, header, no_header);
  const Reg end = function.new_register();
  const Reg last = function.new_register();
  const Reg at = function.new_register();
  assign_blurred(loop, end, out.binary(Op::add, headers.transport, header));
  assign_blurred(loop, last, out.binary(Op::sub, end, 1));
  assign_blurred(loop, at, out.binary(Op::add, headers.transport, 20));
  const Rounds rounds(loop, most_tcp_options);
  out.jump(head);

  out.at(head);
  // The last byte of the header is not looked at.
  leave_if(out, Condition::ge, at, last, done);
  rounds.next(done);
  const Reg option = out.window(at, 0, 2, done);
  const Reg type = out.load(option, 0, 1);
  const Reg length = out.load(option, 1, 1);
  // Types 0 and 1 have no length, and one of 0 counts as 1.
  const Reg has_length = not_zero(out, out.binary(Op::shr, type, 1), 7);
  const Reg size = out.binary(Op::mul, length, has_length);
  out.accumulate(size, Op::add, out.binary(Op::shr, out.binary(Op::sub, size, 1), 63));
  take_items(loop, items, type, at, size, end, 0, done);
  out.accumulate(at, Op::add, size);
  out.accumulate(at, Op::add, loop.opaque);
  out.jump(head);

  out.at(done);
  blur(loop, items);
  return items;
}

std::vector<Item> find_sctp_chunks(const ItemLoop& loop, bool in_later_fragments) {
  Builder& out = loop.out;
  const Headers& headers = loop.headers;
  const std::vector<Item> items = no_items(loop);
  const BlockId head = out.block();
  const BlockId too_many = out.block();
  const BlockId done = out.block();
  leave_if_other(loop, headers.l4proto, ip_protocol_sctp, done);
  if (!in_later_fragments) {
    out.leave_if(Condition::lt, blurred(loop, headers.available), 16, done);
  }
  const Reg at = out.function().new_register();
  assign_blurred(loop, at, out.binary(Op::add, headers.transport, 12));
  const Reg end = blurred(loop, headers.length);
  const Rounds rounds(loop, most_chunks);
  out.jump(head);

  out.at(head);
  const Reg chunk = out.window(at, 0, 4, done);
  rounds.next(too_many);
  const Reg type = out.load(chunk, 0, 1);
  const Reg size = blurred(loop, out.unary(Op::swap16, out.load(chunk, 2, 2)));
  out.leave_if(Condition::eq, blurred(loop, size), 0, done);
  // Of a chunk that is cut off, only that it is there is known.
  take_items(loop, items, type, at, size, end, 1, done);
  const Reg padded = out.binary(Op::and_, out.binary(Op::add, size, 3), 0x1fffc);
  out.accumulate(at, Op::add, padded);
  out.accumulate(at, Op::add, loop.opaque);
  out.jump(head);

  out.at(too_many);
  out.ret(false);
  out.at(done);
  blur(loop, items);
  return items;
}

// ---- Values of items ----------------------------------------------------------------------------

Leaf leaf_of(const imr::Extension& item) {
  return {Leaf::Kind::extension, item.type, static_cast<std::uint8_t>(item.kind)};
}

// One loop looks for all types of a list that rules ask for, if there is any to share.
void Values::choose_items(unsigned shared_words) {
  std::map<std::uint8_t, unsigned> times;
  for (const auto& [leaf, count] : demand_) {
    if (leaf.kind == Leaf::Kind::extension) times[leaf.size] += count;
  }
  if (writes_packet_) return;
  // Each takes two registers, and the loop one test for each.
  unsigned room = shared_words / 2;
  for (const auto& [leaf, count] : demand_) {
    if (leaf.kind != Leaf::Kind::extension || times[leaf.size] < 2 || room == 0) continue;
    chosen_.insert(leaf);
    --room;
  }
}

void Values::gather_items(imr::ExtensionKind kind) {
  std::vector<std::uint8_t> types;
  for (const Leaf& leaf : chosen_) {
    const bool wanted =
        leaf.kind == Leaf::Kind::extension && leaf.size == static_cast<std::uint8_t>(kind);
    if (wanted) types.push_back(static_cast<std::uint8_t>(leaf.offset));
  }
  const std::vector<Item> items = find_items(kind, types);
  for (std::size_t i = 0; i < types.size(); ++i) {
    items_[leaf_of({.kind = kind, .type = types[i]})] = items[i];
  }
}

ItemLoop Values::loop_for(std::span<const std::uint8_t> types) {
  // What was learnt of these on the ways here would have the verifier walk the loop for each way.
  for (const Reg reg : {headers_.network, headers_.length, headers_.l4proto, headers_.transport,
                        headers_.available}) {
    if (reg.valid()) out_.accumulate(reg, Op::add, opaque_);
  }
  return {.out = out_, .headers = headers_, .opaque = opaque_, .types = types};
}

std::vector<Item> Values::find_items(imr::ExtensionKind kind, std::span<const std::uint8_t> types) {
  const ItemLoop loop = loop_for(types);
  const bool as_nf_tables = imr::has_nf_tables_quirks(unit_);
  switch (kind) {
    case imr::ExtensionKind::ipv6:
      return find_ipv6_headers(loop);
    case imr::ExtensionKind::tcp:
      return find_tcp_options(loop);
    case imr::ExtensionKind::ipv4: {
      // nf_tables takes skb->data for the header's place.
      const bool at_start = as_nf_tables && imr::counts_link_header(unit_);
      return find_ipv4_options(loop, at_start ? Reg() : headers_.network, extent());
    }
    case imr::ExtensionKind::sctp:
      return find_sctp_chunks(loop, as_nf_tables);
  }
  throw InvariantError("extension kind out of range");
}

Words Values::extension_value(const imr::Extension& wanted, BlockId absent) {
  const auto known = items_.find(leaf_of(wanted));
  const Item item = known != items_.end()
                        ? known->second
                        : find_items(wanted.kind, std::span(&wanted.type, 1)).front();
  if (wanted.presence) return {{is_there(out_, item), 1}};
  const std::uint64_t end = std::uint64_t{wanted.offset} + wanted.length;
  out_.leave_if(Condition::le, blurred(item.have), end, absent);
  const Reg window = out_.window(item.place, wanted.offset, wanted.length, absent);
  Words words;
  std::uint64_t at = 0;
  for (const std::uint8_t size : cut_sizes(wanted.length)) {
    words.push_back({out_.load(window, at, size), size});
    at += size;
  }
  return words;
}

}  // namespace weir::backend
