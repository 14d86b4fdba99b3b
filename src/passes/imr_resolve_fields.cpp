// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_resolve_fields.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "imr/reading.h"
#include "imr/visit.h"
#include "packet/fields.h"
#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

using imr::ExprId;

class Resolver {
 public:
  explicit Resolver(imr::Unit& unit) : unit_(unit), ruleset_(unit.ruleset) {}

  void rule(imr::RuleId id) {
    const imr::Rule& rule = std::as_const(ruleset_)[id];
    if (std::ranges::all_of(rule.statements, [&](const auto& s) { return stays(s); })) return;
    std::vector<imr::Statement> out;
    for (imr::Statement statement : rule.statements) {
      imr::match_on(
          statement, [&](imr::Match& s) { s.lhs = resolved(s.lhs, out); },
          [&](imr::MatchRange& s) { s.lhs = resolved(s.lhs, out); },
          [&](imr::MatchSet& s) { s.key = resolved(s.key, out); },
          [&](imr::VerdictMap& s) { s.key = resolved(s.key, out); }, [](imr::VerdictStatement&) {},
          [](imr::Counter&) {}, [](imr::Meter&) {},
          [&](imr::Choice& s) { s.place = resolved(s.place, out); },
          [&](imr::MetaWrite& s) { s.value = resolved(s.value, out); },
          [&](imr::PayloadWrite& s) { s.value = resolved(s.value, out); },
          [&](imr::OptionWrite& s) { s.value = resolved(s.value, out); }, [](imr::OptionStrip&) {},
          [&](imr::DynamicSet& s) {
            s.key = resolved(s.key, out);
            if (s.data) s.data = resolved(*s.data, out);
          },
          [&](imr::Forward& s) { s.device = resolved(s.device, out); },
          [&](imr::Duplicate& s) { s.device = resolved(s.device, out); }, [](imr::Answer&) {},
          [](imr::Log&) {}, [](imr::Native&) {});
      out.push_back(std::move(statement));
    }
    ruleset_[id].statements = std::move(out);
  }

 private:
  // What an operand becomes, and the tests that stand in front of it.
  struct Resolved {
    ExprId expr;
    std::vector<imr::Statement> guards;
  };

  const Resolved& resolve(ExprId id) {
    const auto found = known_.find(id);
    if (found != known_.end()) return found->second;
    guards_.clear();
    const ExprId made = expr(id);
    return known_.emplace(id, Resolved{made, std::move(guards_)}).first->second;
  }

  ExprId resolved(ExprId id, std::vector<imr::Statement>& out) {
    const Resolved& made = resolve(id);
    out.insert(out.end(), made.guards.begin(), made.guards.end());
    return made.expr;
  }

  bool stays(const imr::Statement& statement) {
    return std::ranges::all_of(imr::operands(statement), [&](ExprId operand) {
      const Resolved& made = resolve(operand);
      return made.expr == operand && made.guards.empty();
    });
  }

  // The same expression without named fields; a new one if there was any.
  ExprId expr(ExprId id) {
    const imr::Expr copy = ruleset_[id];
    const auto rebuilt = [&](auto op) {
      const ExprId source = expr(op.source);
      if (source == op.source) return id;
      op.source = source;
      return ruleset_.add(imr::Expr(op));
    };
    return imr::match_on(
        copy, [&](const imr::HeaderField& field) { return load_of(field); },
        [&](const imr::MaskXor& op) { return rebuilt(op); },
        [&](const imr::Shift& op) { return rebuilt(op); },
        [&](const imr::ByteSwap& op) { return rebuilt(op); },
        [&](const imr::Concat& op) {
          imr::Concat made;
          for (const ExprId part : op.parts) made.parts.push_back(expr(part));
          return made == op ? id : ruleset_.add(imr::Expr(std::move(made)));
        },
        [&](const imr::MapLookup& op) {
          const ExprId key = expr(op.key);
          return key == op.key ? id : ruleset_.add(imr::Expr(imr::MapLookup{key, op.map}));
        },
        [&](const imr::Immediate&) { return id; },
        [&](const imr::Payload& load) { return has_header(load.base) ? id : absent(id); },
        [&](const imr::Extension& item) { return extension(item, id); },
        [&](const imr::Meta& meta) { return fact(meta.key, id); },
        [&](const imr::Ct&) { return id; }, [&](const imr::Numgen&) { return id; },
        [&](const imr::Random&) { return id; }, [&](const imr::Hash& op) { return rebuilt(op); },
        [&](const imr::Nexthop& op) {
          const bool meant = unit_.nfproto == imr::protocol_of(ruleset_, op);
          return meant ? rebuilt(op) : absent(id);
        });
  }

  // Items of a network protocol are looked for in its packets only (skb->protocol); what is said to
  // be one and cannot be parsed is in the unit of other packets. There no transport header is
  // found.
  ExprId extension(const imr::Extension& item, ExprId id) {
    switch (item.kind) {
      case imr::ExtensionKind::ipv6:
        return of_network(Nfproto::ipv6, 0x86dd, id);
      case imr::ExtensionKind::ipv4:
        return of_network(Nfproto::ipv4, 0x0800, id);
      case imr::ExtensionKind::tcp:
      case imr::ExtensionKind::sctp:
        if (unit_.nfproto != Nfproto::other) return id;
        return item.presence ? ruleset_.add(imr::Immediate{{0}}) : absent(id);
    }
    throw InvariantError("extension kind out of range");
  }

  ExprId of_network(Nfproto nfproto, std::uint16_t ethertype, ExprId id) {
    if (unit_.nfproto == nfproto) return id;
    if (unit_.nfproto != Nfproto::other) return absent(id);
    const ExprId protocol = ruleset_.add(imr::Meta{imr::MetaKey::protocol});
    guard(fact(imr::MetaKey::protocol, protocol), big_endian_bytes(ethertype, 2));
    return id;
  }

  // An ARP packet that goes out has no link header yet where nf_tables sees it: arp_create() in
  // net/ipv4/arp.c pushes one, but skb_mac_header_was_set() does not hold before the device.
  [[nodiscard]] bool has_header(imr::HeaderBase base) const {
    return base != imr::HeaderBase::link || imr::reading_of(unit_) != imr::Reading::arp ||
           unit_.hook.kind != Hook::Kind::tc_egress;
  }

  // What is the same for all packets of the unit need not be known to the hook.
  ExprId fact(imr::MetaKey key, ExprId id) {
    const Family family = imr::family_of(unit_);
    const auto constant = [&](Bytes value) {
      return ruleset_.add(imr::Immediate{std::move(value)});
    };
    const auto unless = [&](bool known) {
      return known ? id : constant(Bytes(imr::value_size(key)));
    };
    switch (key) {
      case imr::MetaKey::nfproto:
        return is_ip(family) ? id : constant({imr::nfproto_value(unit_)});
      case imr::MetaKey::protocol:
        return family == Family::arp ? constant({0x08, 0x06}) : id;
      case imr::MetaKey::iif:
      case imr::MetaKey::iifname:
        return unless(imr::has_input_device(unit_));
      case imr::MetaKey::oif:
      case imr::MetaKey::oifname:
        return unless(imr::has_output_device(unit_));
      case imr::MetaKey::iiftype:
        return device_type(id);
      case imr::MetaKey::iifgroup:
      case imr::MetaKey::iifkind:
        return imr::has_input_device(unit_) ? id : absent(id);
      case imr::MetaKey::oiftype:
      case imr::MetaKey::oifgroup:
      case imr::MetaKey::oifkind:
        return imr::has_output_device(unit_) ? id : absent(id);
      case imr::MetaKey::l4proto:
      case imr::MetaKey::mark:
      case imr::MetaKey::length:
      case imr::MetaKey::pkttype:
      case imr::MetaKey::priority:
      case imr::MetaKey::cpu:
      case imr::MetaKey::skuid:
      case imr::MetaKey::skgid:
      case imr::MetaKey::cgroup:
      case imr::MetaKey::rtclassid:
      case imr::MetaKey::rtipsec:
      case imr::MetaKey::time:
      case imr::MetaKey::hour:
        return id;
    }
    throw InvariantError("meta key out of range");
  }

  // Where packets are frames, they are those of an Ethernet device (ARPHRD_ETHER); no rule can
  // tell. It is the type of skb->dev, at egress that of the device that they leave by.
  ExprId device_type(ExprId id) {
    const bool received = unit_.hook.kind == Hook::Kind::xdp ||
                          unit_.hook.kind == Hook::Kind::tc_ingress ||
                          imr::reading_of(unit_) == imr::Reading::netdev ||
                          imr::reading_of(unit_) == imr::Reading::arp;
    if (imr::reading_of(unit_) == imr::Reading::stack || !received) return id;
    return ruleset_.add(imr::Immediate{native_bytes(1, 2)});
  }

  // A value that no packet of the unit has: a guard that never holds, and any value behind it.
  ExprId absent(ExprId id) {
    guard(ruleset_.add(imr::Immediate{{0}}), {1});
    return ruleset_.add(imr::Immediate{Bytes(imr::value_size(ruleset_, id))});
  }

  ExprId load_of(const imr::HeaderField& named) {
    const packet::Field* field = packet::find_field(named.name);
    invariant(field != nullptr, "resolve_fields: unknown field " + named.name);
    const packet::Protocol& protocol = *field->protocol;
    imr::Payload place{
        .base = imr::HeaderBase::link,
        .offset = static_cast<std::uint16_t>(protocol.layer_offset + field->byte_offset()),
        .length = field->byte_length()};
    switch (protocol.layer) {
      case packet::Layer::link:
        if (protocol.ethertype) {
          guard(ruleset_.add(imr::Expr(
                    imr::Payload{.base = imr::HeaderBase::link, .offset = 12, .length = 2})),
                big_endian_bytes(*protocol.ethertype, 2));
        }
        break;
      case packet::Layer::network: {
        place.base = imr::HeaderBase::network;
        if (!is_ip(imr::family_of(unit_))) {
          const ExprId found = ruleset_.add(imr::Meta{imr::MetaKey::protocol});
          guard(fact(imr::MetaKey::protocol, found), big_endian_bytes(*protocol.ethertype, 2));
          break;
        }
        const Nfproto wanted = protocol.ethertype == 0x0800 ? Nfproto::ipv4 : Nfproto::ipv6;
        // ARP fields, for instance, are in no IP packet: compare with a protocol that does not
        // exist.
        const bool is_ip = protocol.ethertype == 0x0800 || protocol.ethertype == 0x86dd;
        guard(ruleset_.add(imr::Expr(imr::Meta{imr::MetaKey::nfproto})),
              {is_ip ? static_cast<std::uint8_t>(wanted) : std::uint8_t{0}});
        break;
      }
      case packet::Layer::transport:
        place.base = imr::HeaderBase::transport;
        // Fields of "th" are those of any transport protocol.
        if (protocol.ip_protocol) {
          guard(ruleset_.add(imr::Expr(imr::Meta{imr::MetaKey::l4proto})), {*protocol.ip_protocol});
        }
        break;
      case packet::Layer::extension:
        throw InvariantError("resolve_fields: a field without a fixed place: " + named.name);
    }
    const ExprId load = ruleset_.add(imr::Expr(place));
    return has_header(place.base) ? load : absent(load);
  }

  void guard(ExprId lhs, const Bytes& rhs) {
    guards_.emplace_back(imr::Match{.lhs = lhs, .op = imr::Relop::eq, .rhs = rhs});
  }

  const imr::Unit& unit_;
  imr::Ruleset& ruleset_;
  std::vector<imr::Statement> guards_;
  std::unordered_map<ExprId, Resolved> known_;
};

}  // namespace

void imr_resolve_fields(imr::Unit& unit) {
  Resolver resolver(unit);
  for (const imr::ChainId chain : unit_chains(unit)) {
    for (const imr::RuleId id : unit.ruleset[chain].rules) resolver.rule(id);
  }
}

}  // namespace weir::passes
