// SPDX-License-Identifier: BSD-2-Clause
#include "backend/lower.h"

#include <algorithm>
#include <string>
#include <variant>

#include "backend/rules.h"
#include "backend/values.h"

namespace weir::backend {

using flow::BlockId;
using flow::Condition;
using flow::ContextKey;
using flow::Op;
using flow::Reg;

namespace {

constexpr std::uint64_t ethernet_header = 14;
constexpr std::uint64_t vlan_tag = 4;
constexpr unsigned max_vlan_tags = 2;

// A 16-bit field as a native load of it gives it.
std::uint64_t wire16(std::uint64_t value) {
  return load_native(big_endian_bytes(value, 2));
}

// ---- What the hook cannot serve ---------------------------------------------------------------

struct Unservable {
  const imr::Ruleset& ruleset;
  const Profile& profile;
  std::string found = {};

  void expr(imr::ExprId id) { std::visit(*this, ruleset[id]); }
  void operator()(const imr::Immediate&) {}
  void operator()(const imr::Payload& payload) {
    if (payload.base == imr::HeaderBase::link && !profile.starts_at_link) {
      found = "the link-layer header";
    }
  }
  void operator()(const imr::HeaderField&) {}
  void operator()(const imr::Meta& meta) {
    if (meta.key == imr::MetaKey::l4proto || meta.key == imr::MetaKey::nfproto ||
        (meta.key == imr::MetaKey::protocol && profile.starts_at_link)) {
      return;
    }
    if (!profile.context_key(meta.key)) found = "meta " + std::string(to_string(meta.key));
  }
  void operator()(const imr::Ct&) {
    if (!profile.has_conntrack) found = "ct state";
  }
  void operator()(const imr::MaskXor& op) { expr(op.source); }
  void operator()(const imr::Shift& op) { expr(op.source); }
  void operator()(const imr::ByteSwap& op) { expr(op.source); }
  void operator()(const imr::Concat& op) {
    for (const imr::ExprId part : op.parts) expr(part);
  }
  void operator()(const imr::MapLookup&) { found = "a map to values"; }
  void operator()(const imr::Match& match) { expr(match.lhs); }
  void operator()(const imr::MatchRange& match) { expr(match.lhs); }
  void operator()(const imr::MatchSet& match) { expr(match.key); }
  void operator()(const imr::VerdictMap& map) { expr(map.key); }
  void operator()(const imr::VerdictStatement&) {}
  void operator()(const imr::Counter&) {}
  void operator()(const imr::MetaWrite& write) {
    found = "writing meta " + std::string(to_string(write.key));
  }
  void operator()(const imr::Native&) {}
};

Status check_servable(const imr::Unit& unit, const Profile& profile) {
  Diagnostic diagnostic{.message = "rules that hook " + to_string(unit.hook) + " cannot serve"};
  for (const imr::ChainId root : unit.roots) {
    for (const imr::ChainId chain : imr::reachable_chains(unit.ruleset, root)) {
      for (const imr::RuleId id : unit.ruleset[chain].rules) {
        const imr::Rule& rule = unit.ruleset[id];
        Unservable search{unit.ruleset, profile};
        for (const imr::Statement& statement : rule.statements) std::visit(search, statement);
        if (search.found.empty()) continue;
        const std::string hooks = search.found == "the link-layer header"
                                      ? "xdp"
                                      : "netfilter:prerouting|input|forward|output|postrouting";
        std::string note = imr::qualified_name(unit.ruleset, rule.chain);
        if (rule.origin.location.line != 0) {
          note = rule.origin.location.file + ":" + std::to_string(rule.origin.location.line) +
                 ": " + note;
        }
        diagnostic.notes.push_back(note + " handle " + std::to_string(rule.origin.handle) + " '" +
                                   rule.origin.text + "': " + search.found +
                                   " is not known there; use " + hooks);
      }
    }
  }
  if (diagnostic.notes.empty()) return {};
  return std::unexpected(std::move(diagnostic));
}

// ---- The way in ---------------------------------------------------------------------------------

class Lowering {
 public:
  Lowering(std::span<const imr::Unit> units, const Profile& profile, const LowerOptions& options,
           SharedMaps& shared, flow::Function& function)
      : units_(units), profile_(profile), options_(options), shared_(shared), out_(function) {}

  void run() {
    out_.at(out_.block());
    opaque_ = opaque_zero();
    if (!profile_.starts_at_link) {
      invariant(units_.size() == 1, "lowering: one unit at this hook");
      unit(units_.front(), {});
      return;
    }
    from_ethernet();
  }

 private:
  Reg opaque_zero();
  void from_ethernet();
  void unit(const imr::Unit& unit, Headers headers);
  [[nodiscard]] Headers parse_ipv4(const imr::Unit& unit, Headers headers);
  [[nodiscard]] Headers parse_ipv6(const imr::Unit& unit, Headers headers);
  void unparsable(const imr::Unit& unit, BlockId block);

  std::span<const imr::Unit> units_;
  const Profile& profile_;
  const LowerOptions& options_;
  SharedMaps& shared_;
  Builder out_;
  Reg opaque_;
};

Reg Lowering::opaque_zero() {
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

// Up to two VLAN tags are skipped, then the ethertype chooses the unit.
void Lowering::from_ethernet() {
  flow::Function& function = out_.function();
  const BlockId other = out_.block();
  const BlockId known = out_.block();
  const Reg type = function.new_register();
  Headers headers;
  headers.network = function.new_register();
  out_.assign_load(type, out_.window({}, 12, 2, other), 0, 2);
  out_.assign_opaque(headers.network, opaque_, ethernet_header);
  for (unsigned tag = 0; tag < max_vlan_tags; ++tag) {
    const BlockId tagged = out_.block();
    out_.leave_if(Condition::eq, type, wire16(0x8100), tagged);
    out_.branch(Condition::eq, type, wire16(0x88a8), tagged, known);
    out_.at(tagged);
    const std::uint64_t end = ethernet_header + (tag + 1) * vlan_tag;
    out_.assign_load(type, out_.window({}, end - 2, 2, other), 0, 2);
    out_.assign_opaque(headers.network, opaque_, end);
  }
  out_.jump(known);

  out_.at(known);
  headers.length = out_.context(ContextKey::length);
  for (const imr::Unit& one : units_) {
    const BlockId body = out_.block();
    const BlockId next = out_.block();
    const bool ipv4 = one.nfproto == Nfproto::ipv4;
    out_.branch(Condition::eq, type, wire16(ipv4 ? 0x0800 : 0x86dd), body, next);
    out_.at(body);
    unit(one, ipv4 ? parse_ipv4(one, headers) : parse_ipv6(one, headers));
    out_.at(next);
  }
  out_.jump(other);
  out_.at(other);
  out_.ret(true);
}

// What __nft_set_pktinfo_ipv4_validate() asks of a packet that no stack has seen yet.
Headers Lowering::parse_ipv4(const imr::Unit& unit, Headers headers) {
  const BlockId bad = out_.block();
  const Reg header = out_.window(headers.network, 0, 20, bad);
  const Reg first = out_.load(header, 0, 1);
  const Reg total = out_.unary(Op::swap16, out_.load(header, 2, 2));
  const Reg fragment = out_.unary(Op::swap16, out_.load(header, 6, 2));
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
  // The transport header reaches to the end of the frame; later fragments have none.
  headers.available = out_.function().new_register();
  const BlockId join = out_.block();
  out_.assign_opaque(headers.available, opaque_);
  out_.leave_if(Condition::ne, out_.binary(Op::and_, fragment, 0x1fff), 0, join);
  out_.append(
      {.op = Op::sub, .dst = headers.available, .a = headers.length, .b = headers.transport});
  out_.jump(join);
  unparsable(unit, bad);
  out_.at(join);
  headers.available_any = headers.available;
  return headers;
}

// nft_set_pktinfo_ipv6_validate().
Headers Lowering::parse_ipv6(const imr::Unit& unit, Headers headers) {
  const BlockId bad = out_.block();
  const Reg header = out_.window(headers.network, 0, 40, bad);
  const Reg first = out_.load(header, 0, 1);
  const Reg payload = out_.unary(Op::swap16, out_.load(header, 4, 2));
  out_.leave_if(Condition::ne, out_.binary(Op::shr, first, 4), 6, bad);
  const Reg end = out_.binary(Op::add, out_.binary(Op::add, payload, 40), headers.network);
  const BlockId whole = out_.block();
  out_.branch(Condition::ge, headers.length, end, whole, bad);
  out_.at(whole);
  const Ipv6Walk walk = walk_ipv6(out_, profile_, headers.network, opaque_);
  out_.leave_if(Condition::ge, walk.l4proto, no_protocol, bad);
  headers.l4proto = walk.l4proto;
  headers.transport = walk.transport;
  headers.available = out_.function().new_register();
  const BlockId join = out_.block();
  const BlockId some = out_.block();
  out_.assign_opaque(headers.available, opaque_);
  out_.leave_if(Condition::ne, walk.fragment_offset, 0, join);
  out_.branch(Condition::ge, headers.length, walk.transport, some, join);
  out_.at(some);
  out_.append({.op = Op::sub, .dst = headers.available, .a = headers.length, .b = walk.transport});
  out_.jump(join);
  unparsable(unit, bad);
  out_.at(join);
  headers.available_any = headers.available;
  return headers;
}

// No rule sees the packet; the policies decide.
void Lowering::unparsable(const imr::Unit& unit, BlockId block) {
  const bool drop =
      options_.drop_unparsable && std::ranges::any_of(unit.roots, [&](imr::ChainId root) {
        return unit.ruleset[root].base->drop_by_policy;
      });
  out_.at(block);
  if (shared_.trace.valid()) {
    out_.append({.op = Op::trace, .imm = 0xffffffff, .map = shared_.trace});
  }
  out_.ret(!drop);
}

void Lowering::unit(const imr::Unit& unit, Headers headers) {
  for (std::size_t i = 0; i < unit.roots.size(); ++i) {
    const BlockId passed = out_.block();
    RootLowering root(out_, unit, unit.roots[i], profile_, shared_, headers, opaque_, passed,
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
  Lowering(units, profile, options, shared, function).run();
  return {};
}

}  // namespace weir::backend
