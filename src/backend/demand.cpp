// SPDX-License-Identifier: BSD-2-Clause
//
// Demand analysis: which words of the packet and of the context a rule needs.
#include <variant>

#include "backend/values.h"

namespace weir::backend {
namespace {

Leaf::Kind kind_of(imr::HeaderBase base) {
  switch (base) {
    case imr::HeaderBase::link:
      return Leaf::Kind::link;
    case imr::HeaderBase::network:
      return Leaf::Kind::network;
    case imr::HeaderBase::transport:
      return Leaf::Kind::transport;
    case imr::HeaderBase::inner:
      return Leaf::Kind::inner;
  }
  throw InvariantError("header base out of range");
}

struct Collector {
  const imr::Ruleset& ruleset;
  Demand& demand;

  void expr(imr::ExprId id) { std::visit(*this, ruleset[id]); }

  void operator()(const imr::Immediate&) {}
  void operator()(const imr::HeaderField&) {
    throw InvariantError("demand: a named field is left; resolve_fields has not run");
  }
  void operator()(const imr::Payload& payload) {
    // Where it is, is what rules share, and asks for the transport header.
    if (payload.base == imr::HeaderBase::inner) {
      ++demand[{.kind = Leaf::Kind::inner}];
      ++demand[{.kind = Leaf::Kind::l4proto}];
      return;
    }
    std::uint16_t offset = payload.offset;
    for (const std::uint8_t size : cut_sizes(payload.length)) {
      ++demand[{kind_of(payload.base), offset, size}];
      offset = static_cast<std::uint16_t>(offset + size);
    }
  }
  void operator()(const imr::Extension& item) {
    ++demand[leaf_of(item)];
    // Which asks for the transport header.
    const bool in_transport =
        item.kind == imr::ExtensionKind::tcp || item.kind == imr::ExtensionKind::sctp;
    if (in_transport) ++demand[{.kind = Leaf::Kind::l4proto}];
  }
  void operator()(const imr::Meta& meta) {
    if (meta.key == imr::MetaKey::l4proto) {
      ++demand[{.kind = Leaf::Kind::l4proto}];
      return;
    }
    const std::size_t halves = imr::value_size(meta.key) > 8 ? 2 : 1;
    for (std::size_t half = 0; half < halves; ++half) {
      ++demand[{Leaf::Kind::meta, static_cast<std::uint16_t>(meta.key),
                static_cast<std::uint8_t>(half)}];
    }
  }
  void operator()(const imr::Ct& ct) {
    const std::size_t halves = imr::value_size(ct.key) > 8 ? 2 : 1;
    for (std::size_t half = 0; half < halves; ++half) ++demand[ct_leaf(ct, half)];
  }
  void operator()(const imr::MaskXor& op) { expr(op.source); }
  void operator()(const imr::Shift& op) { expr(op.source); }
  void operator()(const imr::ByteSwap& op) { expr(op.source); }
  void operator()(const imr::Concat& op) {
    for (const imr::ExprId part : op.parts) expr(part);
  }
  void operator()(const imr::MapLookup& op) { expr(op.key); }
  void operator()(const imr::Numgen&) {}
  void operator()(const imr::Random&) {}
  void operator()(const imr::Hash& hash) { expr(hash.source); }
  void operator()(const imr::Nexthop& hop) { expr(hop.source); }

  void operator()(const imr::Match& match) { expr(match.lhs); }
  void operator()(const imr::MatchRange& match) { expr(match.lhs); }
  void operator()(const imr::MatchSet& match) {
    expr(match.key);
    statements(match.set);
  }
  void operator()(const imr::DynamicSet& change) {
    expr(change.key);
    if (change.data) expr(*change.data);
    if (change.op != imr::DynamicSet::Op::remove) statements(change.set);
  }
  // What the elements of a dynamic set do.
  void statements(imr::SetId set) {
    if (!ruleset[set].dynamic) return;
    for (const imr::ElementStatement& statement : ruleset[set].dynamic->statements) {
      const auto* meter = std::get_if<imr::MeterState>(&statement);
      if (meter == nullptr || meter->kind != imr::MeterState::Kind::packet_rate) length();
    }
  }
  void length() {
    ++demand[{Leaf::Kind::meta, static_cast<std::uint16_t>(imr::MetaKey::length), 0}];
  }
  void operator()(const imr::VerdictMap& map) { expr(map.key); }
  void operator()(const imr::VerdictStatement&) {}
  void operator()(const imr::Counter&) { length(); }
  void operator()(const imr::Meter& meter) { take(meter.meter); }
  void operator()(const imr::Choice& choice) {
    expr(choice.place);
    if (!choice.counters.empty()) length();
    for (const imr::MeterId meter : choice.meters) take(meter);
  }
  void take(imr::MeterId meter) {
    if (ruleset.meters.at(meter.index()).kind != imr::MeterState::Kind::packet_rate) length();
  }
  void operator()(const imr::MetaWrite& write) { expr(write.value); }
  void operator()(const imr::Answer&) {}
  void operator()(const imr::Forward& forward) { expr(forward.device); }
  void operator()(const imr::Duplicate& duplicate) { expr(duplicate.device); }
  void operator()(const imr::Log&) {}
  void operator()(const imr::PayloadWrite& write) {
    expr(write.value);
    // Which asks for the transport header.
    const bool transport = write.base == imr::HeaderBase::transport || write.pseudo_header;
    if (transport) ++demand[{.kind = Leaf::Kind::l4proto}];
  }
  // Which asks for the transport header.
  void operator()(const imr::OptionWrite& write) {
    expr(write.value);
    ++demand[{.kind = Leaf::Kind::l4proto}];
  }
  void operator()(const imr::OptionStrip&) { ++demand[{.kind = Leaf::Kind::l4proto}]; }
  void operator()(const imr::Native&) {
    throw InvariantError("demand: a native statement is left");
  }
};

}  // namespace

void add_demand(const imr::Ruleset& ruleset, std::span<const imr::Statement> statements,
                Demand& demand) {
  Collector collector{ruleset, demand};
  for (const imr::Statement& statement : statements) std::visit(collector, statement);
}

void add_demand(const imr::Ruleset& ruleset, imr::ExprId expr, Demand& demand) {
  Collector{ruleset, demand}.expr(expr);
}

}  // namespace weir::backend
