// SPDX-License-Identifier: BSD-2-Clause
#include "passes/imr_resolve_fields.h"

#include "imr/visit.h"
#include "packet/fields.h"
#include "passes/imr_tools.h"

namespace weir::passes {
namespace {

using imr::ExprId;

class Resolver {
 public:
  explicit Resolver(imr::Unit& unit) : ruleset_(unit.ruleset) {}

  void rule(imr::Rule& rule) {
    std::vector<imr::Statement> out;
    for (imr::Statement& statement : rule.statements) {
      guards_.clear();
      imr::match_on(
          statement, [&](imr::Match& s) { s.lhs = expr(s.lhs); },
          [&](imr::MatchRange& s) { s.lhs = expr(s.lhs); },
          [&](imr::MatchSet& s) { s.key = expr(s.key); },
          [&](imr::VerdictMap& s) { s.key = expr(s.key); }, [](imr::VerdictStatement&) {},
          [](imr::Counter&) {}, [&](imr::MetaWrite& s) { s.value = expr(s.value); },
          [](imr::Native&) {});
      out.insert(out.end(), guards_.begin(), guards_.end());
      out.push_back(std::move(statement));
    }
    rule.statements = std::move(out);
  }

 private:
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
        [&](const imr::Immediate&) { return id; }, [&](const imr::Payload&) { return id; },
        [&](const imr::Meta&) { return id; }, [&](const imr::Ct&) { return id; });
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
    return ruleset_.add(imr::Expr(place));
  }

  void guard(ExprId lhs, Bytes rhs) {
    guards_.emplace_back(imr::Match{.lhs = lhs, .op = imr::Relop::eq, .rhs = std::move(rhs)});
  }

  imr::Ruleset& ruleset_;
  std::vector<imr::Statement> guards_;
};

}  // namespace

void imr_resolve_fields(imr::Unit& unit) {
  Resolver resolver(unit);
  for (const imr::ChainId chain : unit_chains(unit)) {
    for (const imr::RuleId id : unit.ruleset[chain].rules) resolver.rule(unit.ruleset[id]);
  }
}

}  // namespace weir::passes
