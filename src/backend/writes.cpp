// SPDX-License-Identifier: BSD-2-Clause
//
// Writes to the packet and its facts: nft_payload_set_eval() in net/netfilter/nft_payload.c,
// nft_exthdr_tcp_set_eval() and nft_exthdr_tcp_strip_eval() in nft_exthdr.c, and
// nft_meta_set_eval() in nft_meta.c. What reads the packet behind a write has its own load there.
#include <algorithm>
#include <array>
#include <variant>

#include "backend/values.h"
#include "imr/reading.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t ones16 = 0xffff;

// Checksums are sums of words of 2 bytes, with what is carried out of them added at the lower end
// (RFC 1071); in any byte order, so in that of registers.

// A sum of up to 16 words of 4 bytes, as one of 2 bytes.
Reg folded(Builder& out, Reg sum, int rounds = 3) {
  for (int round = 0; round < rounds; ++round) {
    sum = out.binary(Op::add, out.binary(Op::and_, sum, ones16), out.binary(Op::shr, sum, 16));
  }
  return sum;
}

Reg opposite(Builder& out, Reg sum) {
  return out.binary(Op::xor_, sum, ones16);
}

Reg unfolded_sum_of(Builder& out, const Words& words) {
  Reg sum;
  const auto add = [&](Reg word) { sum = sum.valid() ? out.binary(Op::add, sum, word) : word; };
  for (const Word& word : words) {
    if (word.size < 8) {
      add(word.reg);
      continue;
    }
    add(out.binary(Op::and_, word.reg, 0xffffffff));
    add(out.binary(Op::shr, word.reg, 32));
  }
  return sum;
}

Reg sum_of(Builder& out, const Words& words) {
  return folded(out, unfolded_sum_of(out, words));
}

// What a checksum over the one grows by when it is over the other.
Reg growth(Builder& out, const Words& from, const Words& to) {
  const Reg less = opposite(out, sum_of(out, from));
  return folded(out, out.binary(Op::add, sum_of(out, to), less), 1);
}

// The same of one word of 2 or 4 bytes, as one of 4, which is what helpers take.
Reg growth_of_word(Builder& out, const Word& from, const Word& to) {
  const std::uint64_t ones = from.size == 2 ? ones16 : 0xffffffff;
  const Reg sum = out.binary(Op::add, to.reg, out.binary(Op::xor_, from.reg, ones));
  if (from.size == 2) return sum;
  return out.binary(Op::add, out.binary(Op::and_, sum, ones), out.binary(Op::shr, sum, 32));
}

}  // namespace

void Values::find_writes() {
  for (const imr::ChainId root : unit_.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(ruleset_, root)) {
      for (const imr::RuleId rule : ruleset_[chain].rules) {
        for (const imr::Statement& statement : ruleset_[rule].statements) {
          if (imr::writes_packet(statement)) writes_packet_ = true;
          const auto* meta = std::get_if<imr::MetaWrite>(&statement);
          if (meta != nullptr) writes_meta_.insert(meta->key);
        }
      }
    }
  }
}

bool Values::may_change(const Leaf& leaf) const {
  switch (leaf.kind) {
    case Leaf::Kind::link:
    case Leaf::Kind::network:
    case Leaf::Kind::transport:
    case Leaf::Kind::extension:
      return writes_packet_;
    case Leaf::Kind::l4proto:
    case Leaf::Kind::inner:
    case Leaf::Kind::ct:
      return false;
    case Leaf::Kind::meta: {
      const auto key = static_cast<imr::MetaKey>(leaf.offset);
      if (key == imr::MetaKey::mark) return false;  // write_meta() gives it its new value
      // That of a looped packet is told by its destination.
      return writes_meta_.contains(key) || (writes_packet_ && key == imr::MetaKey::pkttype);
    }
  }
  throw InvariantError("leaf kind out of range");
}

void Values::write_meta(imr::MetaKey key, const Words& value) {
  const Reg word = value.front().reg;
  switch (key) {
    case imr::MetaKey::mark: {
      out_.append({.op = Op::set_mark, .a = word});
      // A shared word goes on with the new mark; where there is none, each use reads the packet's.
      const Leaf leaf{Leaf::Kind::meta, static_cast<std::uint16_t>(key), 0};
      const auto shared = gathered_.find(leaf);
      if (shared != gathered_.end()) out_.assign_copy(shared->second, word);
      return;
    }
    case imr::MetaKey::priority:
      out_.append({.op = Op::set_priority, .a = word});
      return;
    case imr::MetaKey::pkttype:
      out_.append({.op = Op::set_pkttype, .a = word});
      return;
    default:
      throw InvariantError("lowering: a write of what cannot be written");
  }
}

void Values::write_packet(const imr::PayloadWrite& write, BlockId absent) {
  const std::vector<std::uint8_t> sizes = cut_sizes(write.length);
  Words value = evaluate(write.value, absent);
  if (total_size(value) != write.length) value = recut(out_, value, sizes);
  const Reg header = start_of_written(write, absent);
  const Reg window = out_.window(header, write.offset, write.length, absent);
  if (write.checksum || write.pseudo_header) {
    Words old;
    std::uint64_t at = 0;
    for (const std::uint8_t size : sizes) {
      old.push_back({out_.load(window, at, size), size});
      at += size;
    }
    const Reg difference = growth(out_, old, value);
    if (write.checksum && write.base == imr::HeaderBase::network) {
      mend_header_sum(header, *write.checksum, difference, absent);
    } else if (write.checksum) {
      (void)out_.window(header, *write.checksum, 2, absent);
      out_.append({.op = Op::add_to_sum, .a = header, .b = difference, .imm = *write.checksum});
    }
    if (write.pseudo_header) mend_transport_sum(difference, absent);
  }
  std::uint64_t at = write.offset;
  for (const Word& word : value) {
    out_.append({.op = Op::store, .a = header, .b = word.reg, .imm = at, .size = word.size});
    at += word.size;
  }
}

Item Values::option_to_write(std::uint8_t type, BlockId absent) {
  return find_tcp_options(loop_for(std::span(&type, 1)), absent).front();
}

void Values::mend_tcp_sum(Reg difference) {
  constexpr std::uint64_t checksum = 16;
  out_.append(
      {.op = Op::add_to_tcp_sum, .a = headers_.transport, .b = difference, .imm = checksum});
}

// Words count in the order in which they stand, be their place odd or even.
void Values::write_option(const imr::OptionWrite& write, BlockId absent) {
  constexpr std::uint8_t maximum_segment_size = 2;
  Words value = evaluate(write.value, absent);
  if (total_size(value) != write.length) value = recut(out_, value, cut_sizes(write.length));
  const Reg to = value.front().reg;
  const Item option = option_to_write(write.type, absent);
  const BlockId done = out_.block();
  out_.leave_if(Condition::eq, option.place, 0, done);
  out_.leave_if(Condition::le, option.have, std::uint64_t{write.offset} + write.length, absent);
  const Reg window = out_.window(option.place, write.offset, write.length, absent);
  const Reg from = out_.load(window, 0, write.length);
  if (write.type == maximum_segment_size && write.length == 2) {
    leave_if(out_, Condition::le, out_.unary(Op::swap16, from), out_.unary(Op::swap16, to), done);
  } else {
    out_.leave_if(Condition::eq, out_.binary(Op::xor_, from, to), 0, done);
  }
  mend_tcp_sum(growth_of_word(out_, {from, write.length}, {to, write.length}));
  out_.append(
      {.op = Op::store, .a = option.place, .b = to, .imm = write.offset, .size = write.length});
  out_.jump(done);
  out_.at(done);
}

// `size` bytes at the place, which are there; their sum, not folded.
Reg Values::nop_out(Reg place, std::uint64_t size) {
  constexpr std::uint64_t nops = 0x0101010101010101;
  const auto word = static_cast<std::uint8_t>(std::min<std::uint64_t>(size, 8));
  const BlockId gone = out_.block();
  const BlockId on = out_.block();
  const Reg window = out_.window(place, 0, size, gone);
  Words old;
  for (std::uint64_t at = 0; at < size; at += word)
    old.push_back({out_.load(window, at, word), word});
  const Reg sum = unfolded_sum_of(out_, old);
  const Reg value = out_.constant(nops);
  for (std::uint64_t at = 0; at < size; at += word) {
    out_.append({.op = Op::store, .a = place, .b = value, .imm = at, .size = word});
  }
  out_.jump(on);
  out_.at(gone);
  out_.ret(false);
  out_.at(on);
  return sum;
}

// The option's bytes in pieces of falling sizes, so that all but the last one have even sizes: each
// stands as odd or even as the first does.
void Values::strip_option(const imr::OptionStrip& strip, BlockId absent, BlockId drop) {
  const Item option = option_to_write(strip.type, absent);
  const BlockId done = out_.block();
  out_.leave_if(Condition::eq, option.place, 0, done);
  out_.leave_if(Condition::eq, option.have, 0, drop);
  const Reg size = out_.binary(Op::sub, option.have, 1);
  const Reg place = blurred(option.place);
  const Reg from = out_.function().new_register();
  out_.assign_opaque(from, opaque_);
  for (const std::uint64_t piece : {32, 16, 8, 4, 2, 1}) {
    const BlockId next = out_.block();
    out_.leave_if(Condition::eq, out_.binary(Op::and_, size, piece), 0, next);
    out_.accumulate(from, Op::add, nop_out(place, piece));
    out_.assign(place, Op::add, place, piece);
    out_.jump(next);
    out_.at(next);
  }
  const Reg pairs = out_.binary(Op::mul, out_.binary(Op::shr, size, 1), 0x0101);
  const Reg to = out_.binary(Op::add, pairs, out_.binary(Op::and_, size, 1));
  const Reg grown = folded(out_, out_.binary(Op::add, to, opposite(out_, folded(out_, from))), 1);
  // Bytes at an odd place are the upper ones of their words: the difference, times 256.
  const Reg odd = out_.binary(Op::and_, out_.binary(Op::sub, option.place, headers_.transport), 1);
  const Reg shift = out_.binary(Op::shl, odd, 3);
  mend_tcp_sum(folded(out_, out_.binary(Op::shl, grown, shift), 1));
  out_.jump(done);
  out_.at(done);
}

// The offset of the header; leaves where no packet may be written at.
Reg Values::start_of_written(const imr::PayloadWrite& write, BlockId absent) {
  switch (write.base) {
    case imr::HeaderBase::link: {
      const bool unset = imr::reading_of(unit_) == imr::Reading::arp &&
                         profile_.direction == isa::Direction::egress;
      if (profile_.start == Profile::Start::skb) {
        const Reg network = unset ? opaque_ : headers_.network;
        out_.leave_if(Condition::eq, blurred(network), 0, absent);
      }
      return out_.constant(0);
    }
    case imr::HeaderBase::network:
      return headers_.network;
    case imr::HeaderBase::transport:
      out_.leave_if(Condition::lt, blurred(headers_.available),
                    std::uint64_t{write.offset} + write.length, absent);
      return headers_.transport;
    case imr::HeaderBase::inner:
      throw InvariantError("lowering: a write behind the transport header");
  }
  throw InvariantError("header base out of range");
}

// nft_csum_replace(): a sum of 0 is written as 0xffff.
void Values::mend_header_sum(Reg header, std::uint64_t offset, Reg difference, BlockId absent) {
  const Reg old = out_.load(out_.window(header, offset, 2, absent), 0, 2);
  const Reg sum = folded(out_, out_.binary(Op::add, opposite(out_, old), difference), 1);
  const Reg is_zero = out_.binary(Op::shr, out_.binary(Op::add, sum, 1), 16);
  const Reg mended =
      out_.binary(Op::add, opposite(out_, sum), out_.binary(Op::mul, is_zero, ones16));
  out_.append({.op = Op::store, .a = header, .b = mended, .imm = offset, .size = 2});
}

// nft_payload_l4csum_offset(): of which protocols the checksum is over the pseudo header, and where
// it stands. That of UDP may be 0, for none.
void Values::mend_transport_sum(Reg difference, BlockId absent) {
  struct Place {
    std::uint64_t protocol = 0;
    std::uint64_t offset = 0;
  };
  constexpr std::array<Place, 3> places = {{{6, 16}, {136, 6}, {58, 2}}};
  constexpr Place udp{17, 6};
  constexpr std::uint64_t udp_header = 8;
  if (unit_.nfproto == Nfproto::other) return;
  const BlockId found = out_.block();
  const BlockId mended = out_.block();
  out_.leave_if(Condition::ne, blurred(headers_.fragment), 0, mended);
  const Reg place = out_.function().new_register();
  for (const Place& one : places) {
    const BlockId here = out_.block();
    const BlockId other = out_.block();
    out_.branch(Condition::eq, blurred(headers_.l4proto), one.protocol, here, other);
    out_.at(here);
    out_.assign(place, Op::add, headers_.transport, one.offset);
    out_.jump(found);
    out_.at(other);
  }
  out_.leave_if(Condition::ne, blurred(headers_.l4proto), udp.protocol, mended);
  const Reg window = out_.window(headers_.transport, 0, udp_header, mended);
  out_.leave_if(Condition::eq, out_.load(window, udp.offset, 2), 0, mended);
  out_.assign(place, Op::add, headers_.transport, udp.offset);
  out_.jump(found);

  out_.at(found);
  (void)out_.window(place, 0, 2, absent);
  out_.append({.op = Op::add_to_pseudo_sum, .a = place, .b = difference});
  out_.jump(mended);
  out_.at(mended);
}

}  // namespace weir::backend
