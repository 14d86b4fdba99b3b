// SPDX-License-Identifier: BSD-2-Clause
#include "backend/lower.h"

#include <algorithm>
#include <string>

#include "backend/rules.h"
#include "backend/servable.h"
#include "backend/values.h"
#include "imr/reading.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::ContextKey;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t ethernet_header = 14;
constexpr std::uint64_t ethertype_offset = 12;
constexpr std::uint64_t vlan_tag_size = 4;
constexpr std::uint64_t ethertype_ipv4 = 0x0800;
constexpr std::uint64_t ethertype_ipv6 = 0x86dd;
constexpr std::uint64_t ethertype_arp = 0x0806;
constexpr std::uint64_t ethertype_vlan = 0x8100;
constexpr std::uint64_t ethertype_qinq = 0x88a8;
// Below it stands the length of an IEEE 802.3 frame (ETH_P_802_3_MIN).
constexpr std::uint64_t lowest_ethertype = 0x0600;

std::uint64_t ethertype_of(Nfproto nfproto) {
  return nfproto == Nfproto::ipv4 ? ethertype_ipv4 : ethertype_ipv6;
}

// Whether a rule reads link-layer bytes that a tag in metadata moves.
bool reads_behind_tag(const imr::Unit& unit) {
  Demand demand;
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      for (const imr::RuleId rule : unit.ruleset[chain].rules) {
        add_demand(unit.ruleset, unit.ruleset[rule].statements, demand);
      }
    }
  }
  return std::ranges::any_of(demand, [](const auto& entry) {
    const Leaf& leaf = entry.first;
    return leaf.kind == Leaf::Kind::link && leaf.offset + leaf.size > ethertype_offset;
  });
}

// ---- The way in ---------------------------------------------------------------------------------

// From the first byte of a packet to the rules. What a packet is to them follows imr/reading.h.
class Lowering {
 public:
  Lowering(std::span<const imr::Unit> units, const Profile& profile, const LowerOptions& options,
           SharedMaps& shared, flow::Function& function)
      : units_(units),
        profile_(profile),
        options_(options),
        shared_(shared),
        out_(function),
        reading_(imr::reading_of(units.front())) {}

  void run() {
    out_.at(out_.block());
    start_.opaque = opaque_ = opaque_zero();
    read_set_versions();
    read_turn();
    if (profile_.start != Profile::Start::network) {
      from_link_header();
    } else if (profile_.one_protocol) {
      invariant(units_.size() == 1, "lowering: one unit at this hook");
      unit(units_.front(), {});
    } else {
      from_network_header();
    }
  }

 private:
  Reg opaque_zero();
  void read_set_versions();
  void read_turn();
  void from_network_header();
  void from_link_header();
  void find_network_in_frame(Headers& headers, std::span<const BlockId> bodies, BlockId unseen);
  void find_network_of_skb(Headers& headers, BlockId unseen);
  void skip_tag(Headers& headers, BlockId unseen);
  void leave_if_tagged(Reg type, BlockId tagged);
  void name_lengths(const Headers& headers);
  [[nodiscard]] Headers with_lengths(Headers headers);
  void unit(const imr::Unit& unit, Headers headers);
  [[nodiscard]] Headers parse_ipv4(const imr::Unit& unit, Headers headers, BlockId bad);
  [[nodiscard]] Headers parse_ipv6(const imr::Unit& unit, Headers headers, BlockId bad);
  void unparsable(const imr::Unit& unit, BlockId block);
  // Chains of netdev, bridge and arp count the VLAN tags that the stack takes off, one.
  [[nodiscard]] bool one_tag() const {
    return reading_ == imr::Reading::netdev || reading_ == imr::Reading::ingress;
  }

  std::span<const imr::Unit> units_;
  const Profile& profile_;
  const LowerOptions& options_;
  SharedMaps& shared_;
  Builder out_;
  imr::Reading reading_;
  Start start_;
  Reg opaque_;  // of start_
};

Reg Lowering::opaque_zero() {
  if (!profile_.map_values) return out_.context(ContextKey::zero);
  std::vector<isa::MapSpec>& maps = out_.function().maps;
  if (!shared_.opaque.valid()) {
    maps.push_back({.name = "opaque",
                    .type = isa::MapType::array,
                    .key_size = 4,
                    .value_size = 8,
                    .max_entries = 1,
                    .flags = 0,
                    .entries = {}});
    shared_.opaque = isa::MapIndex(maps.size() - 1);
  }
  const Reg zero = out_.function().new_register();
  out_.append({.op = Op::opaque_zero, .dst = zero, .map = shared_.opaque});
  return zero;
}

void Lowering::read_set_versions() {
  for (const imr::Unit& unit : units_) {
    for (const imr::SetId id : used_sets(unit)) {
      const SetPlace& place = shared_.sets->place(unit.ruleset[id]);
      if (!place.updatable()) continue;
      const std::uint32_t word = place.version.bit / 64;
      if (word >= start_.set_versions.size()) start_.set_versions.resize(word + 1);
      Reg& versions = start_.set_versions[word];
      if (versions.valid()) continue;
      const Reg value = out_.map_value(place.version.map);
      versions = out_.load(out_.binary(Op::add, value, 8U * word), 0, 8);
    }
  }
}

void Lowering::read_turn() {
  if (!shared_.runs || !shared_.runs->turn().valid()) return;
  const bool needed = std::ranges::any_of(units_, [&](const imr::Unit& unit) {
    return std::ranges::any_of(shared_.runs->runs_of(unit), [](const auto& run) {
      return std::holds_alternative<TupleLayout>(run.second->layout);
    });
  });
  if (needed) start_.turn = out_.load(out_.map_value(shared_.runs->turn()), 0, 4);
}

// The stack has checked the packet; each protocol has its unit, and others pass.
void Lowering::from_network_header() {
  const Reg type = out_.context(ContextKey::protocol);
  for (const imr::Unit& one : units_) {
    const BlockId body = out_.block();
    const BlockId next = out_.block();
    out_.branch(Condition::eq, type, wire16(ethertype_of(one.nfproto)), body, next);
    out_.at(body);
    unit(one, {});
    out_.at(next);
  }
  out_.ret(true);
}

void Lowering::leave_if_tagged(Reg type, BlockId tagged) {
  out_.leave_if(Condition::eq, type, wire16(ethertype_vlan), tagged);
  out_.leave_if(Condition::eq, type, wire16(ethertype_qinq), tagged);
}

// Goes on behind one tag that stands at the network header's place.
void Lowering::skip_tag(Headers& headers, BlockId unseen) {
  out_.assign_load(headers.protocol, out_.window(headers.network, 2, 2, unseen), 0, 2);
  out_.assign(headers.network, Op::add, headers.network, vlan_tag_size);
}

// Bodies are those of the units, of which the first one sees most packets: it is asked for before
// the tags are.
void Lowering::find_network_in_frame(Headers& headers, std::span<const BlockId> bodies,
                                     BlockId unseen) {
  const unsigned most_tags = one_tag() ? 1 : 2;
  const BlockId known = out_.block();
  out_.assign_load(headers.protocol, out_.window({}, ethertype_offset, 2, unseen), 0, 2);
  out_.assign_opaque(headers.network, opaque_, ethernet_header);
  if (units_.front().nfproto != Nfproto::other) {
    const std::uint64_t ethertype = wire16(ethertype_of(units_.front().nfproto));
    out_.leave_if(Condition::eq, headers.protocol, ethertype, bodies.front());
  }
  for (unsigned tag = 0; tag < most_tags; ++tag) {
    const BlockId tagged = out_.block();
    leave_if_tagged(headers.protocol, tagged);
    out_.jump(known);
    out_.at(tagged);
    const std::uint64_t end = ethernet_header + (tag + 1) * vlan_tag_size;
    out_.assign_load(headers.protocol, out_.window({}, end - 2, 2, unseen), 0, 2);
    out_.assign_opaque(headers.network, opaque_, end);
  }
  out_.jump(known);
  out_.at(known);
}

// The stack knows both; without kernel functions, the frame counts as Ethernet's. A tag that it has
// taken out of the bytes is the outer one: chains of the IP families look behind a second one, or
// behind two in the bytes.
void Lowering::find_network_of_skb(Headers& headers, BlockId unseen) {
  out_.assign_copy(headers.protocol, out_.context(ContextKey::protocol));
  headers.link_protocol = out_.context(ContextKey::protocol);
  if (profile_.kernel_functions) {
    out_.assign_copy(headers.network, out_.context(ContextKey::network_offset));
  } else {
    out_.assign_opaque(headers.network, opaque_, ethernet_header);
  }
  if (std::ranges::any_of(units_, reads_behind_tag)) {
    headers.vlan_tag = out_.context(ContextKey::vlan_tag);
  }
  if (one_tag()) return;
  const BlockId known = out_.block();
  const BlockId tagged = out_.block();
  const BlockId twice = out_.block();
  leave_if_tagged(headers.protocol, tagged);
  out_.jump(known);
  out_.at(tagged);
  skip_tag(headers, unseen);
  out_.leave_if(Condition::ne, out_.context(ContextKey::vlan_tag), 0, known);
  leave_if_tagged(headers.protocol, twice);
  out_.jump(known);
  out_.at(twice);
  skip_tag(headers, unseen);
  out_.jump(known);
  out_.at(known);
}

// What the stack makes of the length that an IEEE 802.3 frame has instead of an ethertype
// (eth_type_trans()): ETH_P_802_2, or ETH_P_802_3 in front of Novell's 0xffff.
void Lowering::name_lengths(const Headers& headers) {
  const BlockId done = out_.block();
  // Like a load to the verifier, which otherwise would walk all that follows once for each.
  const auto blurred_protocol = [&](std::uint64_t ethertype) {
    const Reg number = out_.binary(Op::add, opaque_, ethertype);
    out_.append({.op = Op::swap16, .dst = headers.protocol, .a = number});
  };
  out_.leave_if(Condition::ge, out_.unary(Op::swap16, headers.protocol), lowest_ethertype, done);
  blurred_protocol(4);
  const Reg start = out_.load(out_.window(headers.network, 0, 2, done), 0, 2);
  out_.leave_if(Condition::ne, start, 0xffff, done);
  blurred_protocol(1);
  out_.jump(done);
  out_.at(done);
}

Headers Lowering::with_lengths(Headers headers) {
  headers.length = out_.context(ContextKey::length);
  if (!imr::counts_link_header(units_.front())) {
    headers.counted = out_.binary(Op::sub, headers.length, headers.network);
  }
  return headers;
}

void Lowering::from_link_header() {
  const bool in_frame = profile_.start == Profile::Start::frame;
  const BlockId unseen = out_.block();
  const BlockId other = out_.block();
  Headers headers;
  headers.network = out_.function().new_register();
  headers.protocol = out_.function().new_register();
  std::vector<BlockId> bodies;
  for (const imr::Unit& one : units_) {
    bodies.push_back(one.nfproto == Nfproto::other ? unseen : out_.block());
  }
  if (in_frame) {
    find_network_in_frame(headers, bodies, unseen);
  } else {
    find_network_of_skb(headers, unseen);
  }
  const imr::Unit* rest = nullptr;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const imr::Unit& one = units_[i];
    if (one.nfproto == Nfproto::other) {
      rest = &one;
      continue;
    }
    const BlockId next = out_.block();
    out_.branch(Condition::eq, headers.protocol, wire16(ethertype_of(one.nfproto)), bodies[i],
                next);
    out_.at(bodies[i]);
    const bool takes_malformed = reading_ == imr::Reading::netdev;
    const BlockId bad = takes_malformed ? other : out_.block();
    const Headers measured = with_lengths(headers);
    unit(one, one.nfproto == Nfproto::ipv4 ? parse_ipv4(one, measured, bad)
                                           : parse_ipv6(one, measured, bad));
    if (!takes_malformed) unparsable(one, bad);
    out_.at(next);
  }
  if (reading_ == imr::Reading::arp) {
    out_.leave_if(Condition::ne, headers.protocol, wire16(ethertype_arp), unseen);
  }
  if (rest != nullptr && in_frame && reading_ == imr::Reading::netdev) name_lengths(headers);
  out_.jump(rest != nullptr ? other : unseen);
  out_.at(other);
  if (rest != nullptr) {
    unit(*rest, with_lengths(headers));
  } else {
    out_.ret(true);
  }
  out_.at(unseen);
  out_.ret(true);
}

// What __nft_set_pktinfo_ipv4_validate() asks of a packet that no stack has seen yet.
Headers Lowering::parse_ipv4(const imr::Unit& unit, Headers headers, BlockId bad) {
  const Reg header = out_.window(headers.network, 0, 20, bad);
  const Reg first = out_.load(header, 0, 1);
  const Reg total = out_.unary(Op::swap16, out_.load(header, 2, 2));
  const Reg fragment = out_.load(header, 6, 2);
  headers.l4proto = out_.load(header, 9, 1);
  out_.leave_if(Condition::ne, out_.binary(Op::shr, first, 4), 4, bad);
  const Reg header_length = out_.binary(Op::shl, out_.binary(Op::and_, first, 15), 2);
  out_.leave_if(Condition::lt, header_length, 20, bad);
  const auto require_at_least = [&](Reg a, Reg b) {
    const BlockId on = out_.block();
    out_.branch(Condition::ge, a, b, on, bad);
    out_.at(on);
  };
  require_at_least(total, header_length);
  require_at_least(out_.binary(Op::sub, headers.length, headers.network), total);
  headers.transport = out_.binary(Op::add, header_length, headers.network);
  finish_transport(out_, imr::has_nf_tables_quirks(unit), headers,
                   out_.binary(Op::and_, fragment, wire16(0x1fff)), opaque_, true);
  return headers;
}

// nft_set_pktinfo_ipv6_validate().
Headers Lowering::parse_ipv6(const imr::Unit& unit, Headers headers, BlockId bad) {
  const Reg header = out_.window(headers.network, 0, 40, bad);
  const Reg first = out_.load(header, 0, 1);
  const Reg payload = out_.unary(Op::swap16, out_.load(header, 4, 2));
  out_.leave_if(Condition::ne, out_.binary(Op::shr, first, 4), 6, bad);
  const Reg end = out_.binary(Op::add, out_.binary(Op::add, payload, 40), headers.network);
  const BlockId whole = out_.block();
  out_.branch(Condition::ge, headers.length, end, whole, bad);
  out_.at(whole);
  const Ipv6Walk walk = walk_ipv6(out_, unit, headers.network, opaque_);
  out_.leave_if(Condition::ge, walk.l4proto, no_protocol, bad);
  headers.l4proto = walk.l4proto;
  headers.transport = walk.transport;
  finish_transport(out_, imr::has_nf_tables_quirks(unit), headers, walk.fragment_offset, opaque_,
                   false);
  return headers;
}

// No rule sees the packet; the policies decide, or where the kernel drops it at once, nobody.
void Lowering::unparsable(const imr::Unit& unit, BlockId block) {
  const bool drop =
      reading_ == imr::Reading::ingress ||
      (options_.drop_unparsable && std::ranges::any_of(unit.roots, [&](imr::ChainId root) {
         return unit.ruleset[root].base->drop_by_policy;
       }));
  out_.at(block);
  if (shared_.trace.valid()) {
    out_.append({.op = Op::trace, .imm = 0xffffffff, .map = shared_.trace});
  }
  out_.ret(!drop);
}

void Lowering::unit(const imr::Unit& unit, Headers headers) {
  for (std::size_t i = 0; i < unit.roots.size(); ++i) {
    const BlockId passed = out_.block();
    RootLowering root(out_, unit, unit.roots[i], profile_, shared_, headers, start_, passed,
                      options_);
    root.run();
    out_.at(passed);
  }
  out_.ret(true);
}

}  // namespace

Status lower(std::span<const imr::Unit> units, const Profile& profile, const LowerOptions& options,
             SharedMaps& shared, flow::Function& function) {
  for (const imr::Unit& unit : units) WEIR_CHECK(check_servable(unit, profile));
  std::vector<const imr::Unit*> all;
  for (const imr::Unit& unit : units) all.push_back(&unit);
  if (!shared.sets) {
    WEIR_TRY(sets, SetMaps::make(all, function.maps));
    shared.sets = std::move(sets);
  }
  if (!shared.dynamic_sets) {
    WEIR_TRY(dynamic_sets, DynamicMaps::make(all, function.maps));
    shared.dynamic_sets = std::move(dynamic_sets);
  }
  if (!shared.runs) {
    shared.runs = RunMaps::make(all, {.traced = shared.trace.valid()}, {}, function.maps);
  }
  Lowering(units, profile, options, shared, function).run();
  return {};
}

}  // namespace weir::backend
