// SPDX-License-Identifier: BSD-2-Clause
//
// Writes to the packet and its facts: nft_payload_set_eval() in net/netfilter/nft_payload.c and
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

Reg sum_of(Builder& out, const Words& words) {
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
  return folded(out, sum);
}

// What a checksum over the one grows by when it is over the other.
Reg growth(Builder& out, const Words& from, const Words& to) {
  const Reg less = opposite(out, sum_of(out, from));
  return folded(out, out.binary(Op::add, sum_of(out, to), less), 1);
}

}  // namespace

void Values::find_writes() {
  for (const imr::ChainId root : unit_.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(ruleset_, root)) {
      for (const imr::RuleId rule : ruleset_[chain].rules) {
        for (const imr::Statement& statement : ruleset_[rule].statements) {
          if (std::holds_alternative<imr::PayloadWrite>(statement)) writes_packet_ = true;
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
