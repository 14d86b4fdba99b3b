// SPDX-License-Identifier: BSD-2-Clause
#include "backend/values.h"

#include "backend/hash.h"
#include "backend/meters.h"

#include <algorithm>
#include <variant>

#include "backend/sets.h"
#include "imr/reading.h"

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

// Where the first VLAN tag of a frame stands.
constexpr std::uint64_t tag_offset = 12;

}  // namespace

Values::Values(Builder& out, const imr::Unit& unit, const Profile& profile, const Demand& demand,
               const SetMaps& sets, const DynamicMaps& dynamic_sets, isa::MapIndex meters,
               Headers headers, const Start& start, unsigned shared_words)
    : out_(out),
      unit_(unit),
      ruleset_(unit.ruleset),
      profile_(profile),
      demand_(demand),
      sets_(sets),
      dynamic_sets_(dynamic_sets),
      meters_(meters),
      headers_(headers),
      start_(start),
      opaque_(start.opaque) {
  find_writes();
  std::vector<std::pair<unsigned, Leaf>> candidates;
  for (const auto& [leaf, times] : demand_) {
    const bool is_word = leaf.kind != Leaf::Kind::l4proto && leaf.kind != Leaf::Kind::inner &&
                         leaf.kind != Leaf::Kind::extension;
    if (is_word && times >= 2 && !may_change(leaf)) candidates.emplace_back(times, leaf);
  }
  std::ranges::stable_sort(candidates, std::ranges::greater{}, &std::pair<unsigned, Leaf>::first);
  for (const auto& [times, leaf] : candidates) {
    if (chosen_.size() < shared_words) chosen_.insert(leaf);
  }
  choose_items(shared_words);
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
      case Leaf::Kind::inner:
        parse_inner();
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
                               ? make_ct(ct_of(leaf), leaf.size)
                               : make_meta(static_cast<imr::MetaKey>(leaf.offset), leaf.size);
          gathered_[leaf] = word;
        }
        break;
      case Leaf::Kind::extension:
        if (shared(leaf) && !items_.contains(leaf)) {
          gather_items(static_cast<imr::ExtensionKind>(leaf.size));
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
    load_or_zero(word, base, leaf);
    gathered_[leaf] = word;
  }
}

void Values::load_or_zero(Reg dst, Reg base, const Leaf& leaf) {
  const BlockId absent = out_.block();
  const BlockId join = out_.block();
  load_word(dst, base, leaf, absent);
  out_.jump(join);
  out_.at(absent);
  out_.assign_absent(dst, opaque_, leaf.size);
  out_.jump(join);
  out_.at(join);
}

void Values::load_word(Reg dst, Reg base, const Leaf& leaf, BlockId absent) {
  if (leaf.kind == Leaf::Kind::link && profile_.start == Profile::Start::skb) {
    // A device without a link-layer header has none to load from (nft_payload_eval()).
    out_.leave_if(Condition::eq, blurred(headers_.network), 0, absent);
    if (leaf.offset + leaf.size > tag_offset) return load_retagged(dst, leaf, absent);
  }
  out_.assign_load(dst, out_.window(base, leaf.offset, leaf.size, absent), 0, leaf.size);
}

// nft_payload_copy_vlan() in net/netfilter/nft_payload.c: with a tag in metadata, link-layer loads
// see it where it was, the ethertype behind it as the stack knows it, and the rest moved.
void Values::load_retagged(Reg dst, const Leaf& leaf, BlockId absent) {
  constexpr std::uint64_t tag_end = tag_offset + 4;
  constexpr std::uint64_t type_end = tag_end + 2;
  const BlockId tagged = out_.block();
  const BlockId join = out_.block();
  out_.leave_if(Condition::ne, blurred(headers_.vlan_tag), 0, tagged);
  out_.assign_load(dst, out_.window({}, leaf.offset, leaf.size, absent), 0, leaf.size);
  out_.jump(join);

  out_.at(tagged);
  out_.assign_constant(dst, 0);
  const std::uint64_t end = leaf.offset + std::uint64_t{leaf.size};
  for (std::uint64_t at = leaf.offset; at < end;) {
    std::uint64_t stop = end;
    for (const std::uint64_t border : {tag_offset, tag_end, type_end}) {
      if (at < border) stop = std::min(stop, border);
    }
    const std::uint8_t size = cut_sizes(stop - at).front();
    const std::uint64_t mask = (std::uint64_t{1} << (8U * size % 64)) - 1;
    Reg piece;
    if (at >= tag_offset && at < type_end) {
      const bool in_tag = at < tag_end;
      const std::uint64_t skip = 8 * (at - (in_tag ? tag_offset : tag_end));
      piece = out_.binary(Op::shr, in_tag ? headers_.vlan_tag : headers_.link_protocol, skip);
      piece = out_.binary(Op::and_, piece, mask);
    } else {
      const std::uint64_t place = at < tag_offset ? at : at - 4;
      piece = out_.load(out_.window({}, place, size, absent), 0, size);
    }
    if (at != leaf.offset) piece = out_.binary(Op::shl, piece, 8 * (at - leaf.offset));
    out_.accumulate(dst, Op::or_, piece);
    at += size;
  }
  out_.jump(join);
  out_.at(join);
}

// The same value without what the verifier knows about it. A shared value that may be a constant on
// one way and not on another doubles the states of all that follows.
Reg Values::blurred(Reg reg) {
  return out_.binary(Op::add, reg, opaque_);
}

Reg Values::length() {
  if (headers_.counted.valid()) return headers_.counted;
  return extent();
}

Reg Values::extent() {
  if (headers_.length.valid()) return headers_.length;
  const Leaf leaf{Leaf::Kind::meta, static_cast<std::uint16_t>(imr::MetaKey::length), 0};
  if (const auto found = gathered_.find(leaf); found != gathered_.end()) return found->second;
  return out_.context(ContextKey::length);
}

void Values::parse_transport() {
  if (headers_.transport.valid()) return;
  headers_.length = extent();
  switch (unit_.nfproto) {
    case Nfproto::ipv4:
      return parse_ipv4();
    case Nfproto::ipv6:
      return parse_ipv6();
    case Nfproto::other:
      return no_transport();
  }
  throw InvariantError("protocol out of range");
}

// nft_set_pktinfo_unspec()
void Values::no_transport() {
  headers_.l4proto = out_.function().new_register();
  headers_.transport = out_.function().new_register();
  headers_.available = out_.function().new_register();
  out_.assign_opaque(headers_.l4proto, opaque_, no_protocol);
  out_.assign_opaque(headers_.transport, opaque_, nowhere);
  out_.assign_opaque(headers_.available, opaque_);
  headers_.available_any = headers_.available;
}

// The stack has checked the header of any packet that reaches here unparsed (ip_rcv_core()), so
// its first 20 bytes are there.
void Values::parse_ipv4() {
  gather_packet(Leaf::Kind::network);
  const Reg first = gathered_.at(first_byte);
  const Reg fragment = gathered_.at(fragment_word);
  headers_.l4proto = gathered_.at(protocol_byte);
  Reg transport = out_.binary(Op::shl, out_.binary(Op::and_, first, 15), 2);
  if (headers_.network.valid()) transport = out_.binary(Op::add, transport, headers_.network);
  headers_.transport = transport;
  backend::finish_transport(out_, imr::has_nf_tables_quirks(unit_), headers_,
                            out_.binary(Op::and_, fragment, wire16(0x1fff)), opaque_, false);
}

void Values::parse_ipv6() {
  const Ipv6Walk walk = walk_ipv6(out_, unit_, headers_.network, opaque_);
  headers_.l4proto = walk.l4proto;
  headers_.transport = walk.transport;
  backend::finish_transport(out_, imr::has_nf_tables_quirks(unit_), headers_, walk.fragment_offset,
                            opaque_, false);
}

// How many bytes the transport header has, for the two kinds of loads.
void finish_transport(Builder& out, bool quirks, Headers& headers, Reg fragment_offset, Reg opaque,
                      bool reaches) {
  flow::Function& function = out.function();
  headers.fragment = fragment_offset;
  headers.available = function.new_register();
  headers.available_any = quirks ? function.new_register() : headers.available;
  const BlockId join = out.block();
  const BlockId later = out.block();
  out.assign_opaque(headers.available, opaque);
  if (quirks) out.assign_opaque(headers.available_any, opaque);
  out.leave_if(Condition::ne, fragment_offset, 0, later);

  const auto bytes_behind = [&](Reg end, Reg dst) {
    const bool sure = reaches && end == headers.length;
    if (!sure) {
      const BlockId some = out.block();
      out.branch(Condition::ge, end, headers.transport, some, join);
      out.at(some);
    }
    out.append({.op = Op::sub, .dst = dst, .a = end, .b = headers.transport});
  };
  bytes_behind(headers.length, headers.available);
  if (quirks) out.assign_copy(headers.available_any, headers.available);
  out.jump(join);

  out.at(later);
  if (quirks) {
    // nft_payload_fast_eval() looks at the linear part of the packet only; what reaches beyond it
    // goes the slow way, which sees the fragment offset.
    bytes_behind(out.context(ContextKey::linear_length), headers.available_any);
  }
  out.jump(join);
  out.at(join);
}

std::uint64_t Values::sure_bytes(imr::HeaderBase base) const {
  if (base == imr::HeaderBase::inner) return 0;
  if (base == imr::HeaderBase::link) return profile_.start == Profile::Start::frame ? 14 : 0;
  switch (unit_.nfproto) {
    case Nfproto::ipv4:
      return 20;
    case Nfproto::ipv6:
      return 40;
    case Nfproto::other:
      return 0;
  }
  throw InvariantError("protocol out of range");
}

// Leaves where the packet has less than `end` bytes from the header at `start` on.
void Values::expect_bytes(imr::HeaderBase header, Reg start, std::uint64_t end, BlockId absent) {
  Reg have = extent();
  if (header == imr::HeaderBase::link && profile_.start == Profile::Start::skb) {
    out_.leave_if(Condition::eq, blurred(headers_.network), 0, absent);
    if (headers_.vlan_tag.valid()) {
      // A tag in metadata has its place in the header, too.
      const BlockId join = out_.block();
      const Reg whole = out_.function().new_register();
      out_.assign_copy(whole, have);
      out_.leave_if(Condition::eq, blurred(headers_.vlan_tag), 0, join);
      out_.assign(whole, Op::add, whole, 4);
      out_.jump(join);
      out_.at(join);
      have = whole;
    }
  }
  if (start.valid()) have = out_.binary(Op::sub, have, start);
  out_.leave_if(Condition::lt, blurred(have), end, absent);
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
    case imr::HeaderBase::inner:
      leaf.kind = Leaf::Kind::inner;
      base = headers_.inner;
      break;
  }
  // Shared words hold zero where they are not there, the fixed headers aside, which always are.
  bool checked = payload.base == imr::HeaderBase::transport || end <= sure_bytes(payload.base);
  Words words;
  for (const std::uint8_t size : cut_sizes(payload.length)) {
    leaf.size = size;
    const auto found = gathered_.find(leaf);
    if (found == gathered_.end()) {
      const Reg word = out_.function().new_register();
      load_word(word, base, leaf, absent);
      words.push_back({word, size});
    } else {
      if (!checked) expect_bytes(payload.base, base, end, absent);
      checked = true;
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
      return out_.constant(imr::nfproto_value(unit_));
    case imr::MetaKey::protocol:
      if (unit_.nfproto != Nfproto::other && headers_.protocol.valid()) {
        // The unit runs for this ethertype only.
        return out_.constant(
            load_native(big_endian_bytes(unit_.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd, 2)));
      }
      if (headers_.protocol.valid()) return headers_.protocol;
      break;
    case imr::MetaKey::pkttype:
      return make_pkttype();
    case imr::MetaKey::length:
      return length();
    case imr::MetaKey::iif:
    case imr::MetaKey::iifname:
      if (!imr::has_input_device(unit_)) return out_.constant(0);
      break;
    case imr::MetaKey::oif:
    case imr::MetaKey::oifname:
      if (!imr::has_output_device(unit_)) return out_.constant(0);
      break;
    case imr::MetaKey::iiftype:
    case imr::MetaKey::oiftype:
    case imr::MetaKey::iifgroup:
    case imr::MetaKey::oifgroup:
    case imr::MetaKey::iifkind:
    case imr::MetaKey::oifkind:
    case imr::MetaKey::l4proto:
    case imr::MetaKey::mark:
    case imr::MetaKey::priority:
    case imr::MetaKey::cpu:
    case imr::MetaKey::skuid:
    case imr::MetaKey::skgid:
    case imr::MetaKey::cgroup:
    case imr::MetaKey::rtclassid:
    case imr::MetaKey::rtipsec:
      break;
    case imr::MetaKey::time:
      return wall_clock();
    case imr::MetaKey::hour:
      return second_of_day();
  }
  const auto fact = profile_.context_key(key);
  invariant(fact.has_value(), "lowering: a meta key that the hook does not know");
  return out_.context(static_cast<ContextKey>(static_cast<unsigned>(*fact) + half));
}

Reg Values::wall_clock() {
  const Reg offset = out_.context(ContextKey::wall_offset);
  const Reg now = out_.function().new_register();
  out_.append({.op = Op::clock, .dst = now});
  return out_.binary(Op::add, now, offset);
}

// The kernel's second begins with the first tick of its own (ktime_get_real_seconds()).
Reg Values::second_of_day() {
  constexpr std::uint64_t second = 1'000'000'000;
  constexpr std::uint64_t day = 24 * 60 * 60;
  const Reg seconds = out_.binary(Op::div, wall_clock(), second);
  const Reg midnight = out_.binary(Op::mul, out_.binary(Op::div, seconds, day), day);
  return out_.binary(Op::sub, seconds, midnight);
}

// Leaves where the word says that there is no value.
void Values::leave_without(imr::MetaKey key, Words& words, BlockId absent) {
  if (!imr::may_be_absent(key)) return;
  if (key == imr::MetaKey::pkttype) {
    out_.leave_if(Condition::ge, blurred(words.front().reg), no_type, absent);
    return;
  }
  // A bit above those of the value is set; kinds are never empty.
  out_.leave_if(Condition::eq, blurred(words.front().reg), 0, absent);
  Word& word = words.front();
  if (words.size() > 1) return;
  word.reg = out_.binary(Op::and_, word.reg, (std::uint64_t{1} << 8U * word.size) - 1);
}

// nft_meta_get_eval_pkttype_lo() in net/netfilter/nft_meta.c: looped-back packets count as
// broadcast or multicast by their destination, and are of no type where it does not know how.
Reg Values::make_pkttype() {
  constexpr std::uint64_t broadcast = 1;
  constexpr std::uint64_t multicast = 2;
  constexpr std::uint64_t loopback = 5;
  const Family family = imr::family_of(unit_);
  const Reg type = out_.function().new_register();
  out_.assign_copy(type, out_.context(ContextKey::pkttype));
  const BlockId is_loopback = out_.block();
  const BlockId join = out_.block();
  out_.branch(Condition::eq, type, loopback, is_loopback, join);
  out_.at(is_loopback);
  const auto of_ipv4 = [&] {
    out_.assign_constant(type, no_type);
    const Reg first = out_.load(out_.window(headers_.network, 0, 20, join), 16, 1);
    const BlockId is_broadcast = out_.block();
    out_.assign_constant(type, multicast);
    out_.branch(Condition::eq, out_.binary(Op::and_, first, 0xf0), 0xe0, join, is_broadcast);
    out_.at(is_broadcast);
    out_.assign_constant(type, broadcast);
  };
  if (!is_ip(family) && family != Family::netdev) {
    out_.assign_constant(type, no_type);
  } else if (unit_.nfproto == Nfproto::ipv6) {
    out_.assign_constant(type, multicast);
  } else if (unit_.nfproto == Nfproto::ipv4) {
    of_ipv4();
  } else {
    out_.assign_constant(type, multicast);
    out_.leave_if(Condition::eq, headers_.protocol, load_native(big_endian_bytes(0x86dd, 2)), join);
    out_.assign_constant(type, no_type);
    out_.leave_if(Condition::ne, headers_.protocol, load_native(big_endian_bytes(0x0800, 2)), join);
    of_ipv4();
  }
  out_.jump(join);
  out_.at(join);
  return type;
}

Words Values::evaluate_to_equal(imr::ExprId id, BlockId absent) {
  const auto* meta = std::get_if<imr::Meta>(&ruleset_[id]);
  if (meta != nullptr && meta->key == imr::MetaKey::l4proto) return {{headers_.l4proto, 1}};
  return evaluate(id, absent);
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
    Words operator()(const imr::Extension& item) const {
      return self.extension_value(item, absent);
    }
    Words operator()(const imr::Meta& meta) const {
      if (meta.key == imr::MetaKey::l4proto) {
        if (self.unit_.nfproto != Nfproto::ipv4) {
          // On a copy: the verifier is to know the same of it on both ways.
          self.out_.leave_if(Condition::ge, self.blurred(self.headers_.l4proto), no_protocol,
                             absent);
        }
        return {{self.headers_.l4proto, 1}};
      }
      Words words;
      unsigned half = 0;
      for (const std::uint8_t size : cut_sizes(imr::value_size(meta.key))) {
        words.push_back({self.meta_word(meta.key, half++), size});
      }
      self.leave_without(meta.key, words, absent);
      return words;
    }
    Words operator()(const imr::Ct& ct) const { return self.ct_value(ct, absent); }
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
    Words operator()(const imr::MapLookup& op) const {
      const imr::Set& map = self.ruleset_[op.map];
      Words key = self.evaluate(op.key, absent);
      if (total_size(key) != map.key_size) key = recut(self.out_, key, cut_sizes(map.key_size));
      if (map.dynamic) {
        DynamicCode code(self.out_, map, self.dynamic_sets_.place(map));
        return code.data_of(code.find(key, absent));
      }
      return look_up(self.out_, map, self.sets_.place(map), key, absent, self.start_);
    }
    Words operator()(const imr::Numgen& numgen) const {
      const imr::MeterState& meter = self.ruleset_.meters.at(numgen.meter.index());
      const Reg number = next_number(self.out_, place_of(self.meters_, numgen.meter), meter);
      const Reg sum = self.out_.binary(Op::add, number, numgen.offset);
      return {{self.out_.binary(Op::and_, sum, 0xffffffff), 4}};
    }
    Words operator()(const imr::Random& random) const {
      const Reg drawn = self.out_.function().new_register();
      self.out_.append({.op = Op::random, .dst = drawn});
      return below(drawn, random.modulus, random.offset);
    }
    Words operator()(const imr::Hash& hash) const {
      const Words source = self.evaluate(hash.source, absent);
      return below(jhash(self.out_, source, hash.length, hash.seed), hash.modulus, hash.offset);
    }
    Words operator()(const imr::Nexthop& hop) const { return self.next_hop(hop, absent); }
    // imr::scaled(), where there is a modulus, and the offset on top of it.
    [[nodiscard]] Words below(Reg number, std::uint32_t modulus, std::uint32_t offset) const {
      if (modulus != 0) {
        number = self.out_.binary(Op::shr, self.out_.binary(Op::mul, number, modulus), 32);
      }
      if (offset == 0) return {{number, 4}};
      const Reg sum = self.out_.binary(Op::add, number, offset);
      return {{self.out_.binary(Op::and_, sum, 0xffffffff), 4}};
    }
  };
  return std::visit(Visitor{*this, absent}, ruleset_[id]);
}

// Without a branch, so that the verifier has no more ways to follow.
Words Values::next_hop(const imr::Nexthop& hop, BlockId absent) {
  constexpr std::uint64_t gateway_bit = 33;
  const bool ipv4 = unit_.nfproto == Nfproto::ipv4;
  invariant(unit_.nfproto == imr::protocol_of(ruleset_, hop),
            "lowering: a next hop of another protocol; resolve_fields has not run");
  const Reg route = out_.context(ipv4 ? ContextKey::gateway4 : ContextKey::has_gateway6);
  out_.leave_if(Condition::eq, blurred(route), 0, absent);
  Words words = evaluate(hop.source, absent);
  const Reg no_gateway = out_.binary(Op::sub, out_.binary(Op::shr, route, gateway_bit), 1);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Reg gateway = ipv4     ? out_.binary(Op::and_, route, 0xffffffff)
                        : i == 0 ? out_.context(ContextKey::gateway6_0)
                                 : out_.context(ContextKey::gateway6_1);
    const Reg other = out_.binary(Op::xor_, words[i].reg, gateway);
    words[i].reg = out_.binary(Op::xor_, gateway, out_.binary(Op::and_, other, no_gateway));
  }
  return words;
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
