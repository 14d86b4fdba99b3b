// SPDX-License-Identifier: BSD-2-Clause
#include "backend/values.h"

#include <algorithm>
#include <variant>

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::ContextKey;
using flow::Op;
using flow::Reg;

namespace {

// Of the IPv4 header: version and header length, flags and fragment offset, protocol.
constexpr Leaf first_byte{Leaf::Kind::network, 0, 1};
constexpr Leaf fragment_word{Leaf::Kind::network, 6, 2};
constexpr Leaf protocol_byte{Leaf::Kind::network, 9, 1};

}  // namespace

Values::Values(Builder& out, const imr::Unit& unit, const Profile& profile, const Demand& demand,
               Headers headers, Reg opaque, unsigned shared_words)
    : out_(out),
      unit_(unit),
      ruleset_(unit.ruleset),
      profile_(profile),
      demand_(demand),
      headers_(headers),
      opaque_(opaque) {
  std::vector<std::pair<unsigned, Leaf>> candidates;
  for (const auto& [leaf, times] : demand_) {
    if (leaf.kind != Leaf::Kind::l4proto && times >= 2) candidates.emplace_back(times, leaf);
  }
  std::ranges::stable_sort(candidates, std::ranges::greater{}, &std::pair<unsigned, Leaf>::first);
  for (const auto& [times, leaf] : candidates) {
    if (chosen_.size() < shared_words) chosen_.insert(leaf);
  }
  const bool transport = std::ranges::any_of(demand_, [](const auto& entry) {
    return entry.first.kind == Leaf::Kind::transport || entry.first.kind == Leaf::Kind::l4proto;
  });
  // What tells where the transport header is comes with the other words of the network header.
  if (transport && !headers_.transport.valid() && unit_.nfproto == Nfproto::ipv4) {
    chosen_.insert({first_byte, fragment_word, protocol_byte});
  }
}

bool Values::shared(const Leaf& leaf) const {
  return chosen_.contains(leaf);
}

void Values::gather(const Demand& needed) {
  for (const auto& [leaf, times] : needed) {
    switch (leaf.kind) {
      case Leaf::Kind::l4proto:
        parse_transport();
        break;
      case Leaf::Kind::transport:
        parse_transport();
        if (shared(leaf) && !gathered_.contains(leaf)) gather_packet(leaf.kind);
        break;
      case Leaf::Kind::link:
      case Leaf::Kind::network:
        if (shared(leaf) && !gathered_.contains(leaf)) gather_packet(leaf.kind);
        break;
      case Leaf::Kind::meta:
      case Leaf::Kind::ct:
        if (shared(leaf) && !gathered_.contains(leaf)) {
          // Made before it is entered: length() takes what is entered for made.
          const Reg word = leaf.kind == Leaf::Kind::ct
                               ? make_ct_state()
                               : make_meta(static_cast<imr::MetaKey>(leaf.offset), leaf.size);
          gathered_[leaf] = word;
        }
        break;
    }
  }
}

// All shared words of one header at once: their windows stand in a row, and the flow pass that
// merges bounds checks makes one of them.
void Values::gather_packet(Leaf::Kind kind) {
  for (const Leaf& leaf : chosen_) {
    if (leaf.kind != kind || gathered_.contains(leaf)) continue;
    Reg base;
    if (kind == Leaf::Kind::network) base = headers_.network;
    if (kind == Leaf::Kind::transport) base = headers_.transport;
    const Reg word = out_.function().new_register();
    load_or_zero(word, base, leaf.offset, leaf.size);
    gathered_[leaf] = word;
  }
}

void Values::load_or_zero(Reg dst, Reg base, std::uint64_t offset, std::uint8_t size) {
  const BlockId absent = out_.block();
  const BlockId join = out_.block();
  const Reg window = out_.window(base, offset, size, absent);
  out_.assign_load(dst, window, 0, size);
  out_.jump(join);
  out_.at(absent);
  out_.assign_opaque(dst, opaque_);
  out_.jump(join);
  out_.at(join);
}

// The same value without what the verifier knows about it. A shared value that may be a constant on
// one way and not on another doubles the states of all that follows.
Reg Values::blurred(Reg reg) {
  return out_.binary(Op::add, reg, opaque_);
}

Reg Values::length() {
  if (headers_.length.valid()) return headers_.length;
  const Leaf leaf{Leaf::Kind::meta, static_cast<std::uint16_t>(imr::MetaKey::length), 0};
  if (const auto found = gathered_.find(leaf); found != gathered_.end()) return found->second;
  return out_.context(ContextKey::length);
}

void Values::parse_transport() {
  if (headers_.transport.valid()) return;
  headers_.length = length();
  if (unit_.nfproto == Nfproto::ipv4) {
    parse_ipv4();
  } else {
    parse_ipv6();
  }
}

// The stack has checked the header of any packet that a netfilter hook sees (ip_rcv_core()), so
// its first 20 bytes are there.
void Values::parse_ipv4() {
  gather_packet(Leaf::Kind::network);
  const Reg first = gathered_.at(first_byte);
  const Reg fragment = gathered_.at(fragment_word);
  headers_.l4proto = gathered_.at(protocol_byte);
  Reg transport = out_.binary(Op::shl, out_.binary(Op::and_, first, 15), 2);
  if (headers_.network.valid()) transport = out_.binary(Op::add, transport, headers_.network);
  headers_.transport = transport;
  finish_transport(out_.binary(Op::and_, out_.unary(Op::swap16, fragment), 0x1fff));
}

void Values::parse_ipv6() {
  const Ipv6Walk walk = walk_ipv6(out_, profile_, headers_.network, opaque_);
  headers_.l4proto = walk.l4proto;
  headers_.transport = walk.transport;
  finish_transport(walk.fragment_offset);
}

// How many bytes the transport header has, for the two kinds of loads.
void Values::finish_transport(Reg fragment_offset) {
  flow::Function& function = out_.function();
  headers_.available = function.new_register();
  headers_.available_any = function.new_register();
  const BlockId join = out_.block();
  const BlockId later = out_.block();
  out_.assign_opaque(headers_.available, opaque_);
  out_.assign_opaque(headers_.available_any, opaque_);
  out_.leave_if(Condition::ne, fragment_offset, 0, later);

  const auto bytes_behind = [&](Reg end, Reg dst) {
    // end < transport: none.
    const BlockId some = out_.block();
    out_.branch(Condition::ge, end, headers_.transport, some, join);
    out_.at(some);
    out_.append({.op = Op::sub, .dst = dst, .a = end, .b = headers_.transport});
  };
  bytes_behind(headers_.length, headers_.available);
  out_.assign_copy(headers_.available_any, headers_.available);
  out_.jump(join);

  out_.at(later);
  if (profile_.nf_tables_quirks) {
    // nft_payload_fast_eval() looks at the linear part of the packet only; what reaches beyond it
    // goes the slow way, which sees the fragment offset.
    bytes_behind(out_.context(ContextKey::linear_length), headers_.available_any);
  }
  out_.jump(join);
  out_.at(join);
}

Words Values::packet_value(const imr::Payload& payload, BlockId absent) {
  const std::uint64_t end = std::uint64_t{payload.offset} + payload.length;
  Leaf leaf{.kind = Leaf::Kind::network, .offset = payload.offset};
  Reg base;
  switch (payload.base) {
    case imr::HeaderBase::link:
      leaf.kind = Leaf::Kind::link;
      break;
    case imr::HeaderBase::network:
      base = headers_.network;
      break;
    case imr::HeaderBase::transport:
      leaf.kind = Leaf::Kind::transport;
      base = headers_.transport;
      out_.leave_if(
          Condition::lt,
          blurred(payload.in_later_fragments ? headers_.available_any : headers_.available), end,
          absent);
      break;
  }
  // The fixed headers are always there; other shared words hold zero when they are not.
  const std::uint64_t sure = payload.base == imr::HeaderBase::link ? 14
                             : unit_.nfproto == Nfproto::ipv4      ? 20
                                                                   : 40;
  bool checked = payload.base == imr::HeaderBase::transport || end <= sure;
  Words words;
  for (const std::uint8_t size : cut_sizes(payload.length)) {
    leaf.size = size;
    const auto found = gathered_.find(leaf);
    if (found == gathered_.end()) {
      words.push_back({out_.load(out_.window(base, leaf.offset, size, absent), 0, size), size});
    } else {
      if (!checked) {
        Reg have = length();
        if (base.valid()) have = out_.binary(Op::sub, have, base);
        out_.leave_if(Condition::lt, blurred(have), end, absent);
        checked = true;
      }
      words.push_back({found->second, size});
    }
    leaf.offset = static_cast<std::uint16_t>(leaf.offset + size);
  }
  return words;
}

Reg Values::meta_word(imr::MetaKey key, unsigned half) {
  const Leaf leaf{Leaf::Kind::meta, static_cast<std::uint16_t>(key),
                  static_cast<std::uint8_t>(half)};
  const auto found = gathered_.find(leaf);
  return found != gathered_.end() ? found->second : make_meta(key, half);
}

Reg Values::make_meta(imr::MetaKey key, unsigned half) {
  switch (key) {
    case imr::MetaKey::nfproto:
      return out_.constant(static_cast<std::uint64_t>(unit_.nfproto));
    case imr::MetaKey::protocol:
      if (profile_.starts_at_link) {
        // The unit runs for this ethertype only.
        return out_.constant(
            load_native(big_endian_bytes(unit_.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd, 2)));
      }
      break;
    case imr::MetaKey::pkttype:
      return make_pkttype();
    case imr::MetaKey::length:
      return length();
    default:
      break;
  }
  const auto fact = profile_.context_key(key);
  invariant(fact.has_value(), "lowering: a meta key that the hook does not know");
  return out_.context(static_cast<ContextKey>(static_cast<unsigned>(*fact) + half));
}

// nft_meta_get_eval_pkttype_lo() in net/netfilter/nft_meta.c: looped-back packets count as
// broadcast or multicast by their destination.
Reg Values::make_pkttype() {
  constexpr std::uint64_t broadcast = 1;
  constexpr std::uint64_t multicast = 2;
  constexpr std::uint64_t loopback = 5;
  const Reg type = out_.function().new_register();
  out_.assign_copy(type, out_.context(ContextKey::pkttype));
  const BlockId is_loopback = out_.block();
  const BlockId join = out_.block();
  out_.branch(Condition::eq, type, loopback, is_loopback, join);
  out_.at(is_loopback);
  out_.assign_constant(type, multicast);
  if (unit_.nfproto == Nfproto::ipv4) {
    const Reg first = out_.load(out_.window(headers_.network, 16, 1, join), 0, 1);
    const BlockId is_broadcast = out_.block();
    out_.branch(Condition::eq, out_.binary(Op::and_, first, 0xf0), 0xe0, join, is_broadcast);
    out_.at(is_broadcast);
    out_.assign_constant(type, broadcast);
  }
  out_.jump(join);
  out_.at(join);
  return type;
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

Words Values::evaluate(imr::ExprId id, BlockId absent) {
  struct Visitor {
    Values& self;
    BlockId absent;

    Words operator()(const imr::Immediate& immediate) const {
      Words words;
      std::size_t at = 0;
      for (const std::uint8_t size : cut_sizes(immediate.value.size())) {
        words.push_back(
            {self.out_.constant(load_native(ByteView(immediate.value).subspan(at, size))), size});
        at += size;
      }
      return words;
    }
    Words operator()(const imr::Payload& payload) const {
      return self.packet_value(payload, absent);
    }
    Words operator()(const imr::HeaderField&) const {
      throw InvariantError("lowering: a named field is left; resolve_fields has not run");
    }
    Words operator()(const imr::Meta& meta) const {
      if (meta.key == imr::MetaKey::l4proto) {
        if (self.unit_.nfproto == Nfproto::ipv6) {
          self.out_.leave_if(Condition::ge, self.headers_.l4proto, no_protocol, absent);
        }
        return {{self.headers_.l4proto, 1}};
      }
      Words words;
      unsigned half = 0;
      for (const std::uint8_t size : cut_sizes(imr::value_size(meta.key))) {
        words.push_back({self.meta_word(meta.key, half++), size});
      }
      return words;
    }
    Words operator()(const imr::Ct& ct) const {
      const auto found =
          self.gathered_.find({Leaf::Kind::ct, static_cast<std::uint16_t>(ct.key), 0});
      return {{found != self.gathered_.end() ? found->second : self.make_ct_state(), 4}};
    }
    Words operator()(const imr::MaskXor& op) const {
      Words words = self.evaluate(op.source, absent);
      std::size_t at = 0;
      for (Word& word : words) {
        const std::uint64_t mask = load_native(ByteView(op.mask).subspan(at, word.size));
        const std::uint64_t flip = load_native(ByteView(op.flip).subspan(at, word.size));
        word.reg = self.out_.binary(Op::and_, word.reg, mask);
        if (flip != 0) word.reg = self.out_.binary(Op::xor_, word.reg, flip);
        at += word.size;
      }
      return words;
    }
    Words operator()(const imr::Shift& op) const { return self.shifted(op, absent); }
    Words operator()(const imr::ByteSwap& op) const {
      Words words = self.evaluate(op.source, absent);
      const std::size_t size = total_size(words);
      words = recut(self.out_, words, std::vector<std::uint8_t>(size / op.unit, op.unit));
      for (Word& word : words) {
        word.reg = self.out_.unary(op.unit == 2   ? Op::swap16
                                   : op.unit == 4 ? Op::swap32
                                                  : Op::swap64,
                                   word.reg);
      }
      return recut(self.out_, words, cut_sizes(size));
    }
    Words operator()(const imr::Concat& op) const {
      Words whole;
      for (const imr::ExprId part : op.parts) {
        const Words words = self.evaluate(part, absent);
        const Words padded =
            recut(self.out_, words, cut_sizes(imr::padded_size(total_size(words))));
        whole.insert(whole.end(), padded.begin(), padded.end());
      }
      return recut(self.out_, whole, cut_sizes(total_size(whole)));
    }
    Words operator()(const imr::MapLookup&) const {
      throw InvariantError("lowering: a map to values, which no profile serves");
    }
  };
  return std::visit(Visitor{*this, absent}, ruleset_[id]);
}

// nft_bitwise_eval_lshift() and _rshift(): words of 4 bytes in host order, the first one the most
// significant.
Words Values::shifted(const imr::Shift& shift, BlockId absent) {
  Words words = evaluate(shift.source, absent);
  const std::size_t count = (total_size(words) + 3) / 4;
  words = recut(out_, words, std::vector<std::uint8_t>(count, 4));
  const bool left = shift.direction == imr::Shift::Direction::left;
  const auto cut = [&](Reg reg) { return out_.binary(Op::and_, reg, 0xffffffff); };
  Reg carry;
  for (std::size_t i = 0; i < count; ++i) {
    Word& word = words[left ? count - 1 - i : i];
    const Reg source = word.reg;
    const auto bits = shift.bits;
    Reg moved = left ? cut(out_.binary(Op::shl, source, bits)) : out_.binary(Op::shr, source, bits);
    if (carry.valid()) moved = out_.binary(Op::or_, moved, carry);
    if (i + 1 < count) {
      carry = left ? out_.binary(Op::shr, source, 32U - bits)
                   : cut(out_.binary(Op::shl, source, 32U - bits));
    }
    word.reg = moved;
  }
  return recut(out_, words, cut_sizes(4 * count));
}

}  // namespace weir::backend
