// SPDX-License-Identifier: BSD-2-Clause
//
// The arenas of a Ruleset and the questions about it.
#include "imr/imr.h"

#include <algorithm>
#include <array>
#include <utility>

#include "imr/edit.h"
#include "imr/visit.h"
#include "packet/fields.h"

namespace weir::imr {
namespace {

template <typename IdType, typename T>
IdType append(std::vector<T>& arena, T value) {
  const IdType id(arena.size());
  arena.push_back(std::move(value));
  return id;
}

struct MetaRow {
  MetaKey key;
  std::size_t size;
  std::string_view name;
  bool may_be_absent = false;
};

constexpr std::array meta_rows = {
    MetaRow{MetaKey::l4proto, 1, "l4proto", true},
    MetaRow{MetaKey::nfproto, 1, "nfproto"},
    MetaRow{MetaKey::protocol, 2, "protocol"},
    MetaRow{MetaKey::mark, 4, "mark"},
    MetaRow{MetaKey::iif, 4, "iif"},
    MetaRow{MetaKey::oif, 4, "oif"},
    MetaRow{MetaKey::iifname, 16, "iifname"},
    MetaRow{MetaKey::oifname, 16, "oifname"},
    MetaRow{MetaKey::length, 4, "length"},
    MetaRow{MetaKey::pkttype, 1, "pkttype", true},
    MetaRow{MetaKey::iiftype, 2, "iiftype", true},
    MetaRow{MetaKey::oiftype, 2, "oiftype", true},
    MetaRow{MetaKey::iifgroup, 4, "iifgroup", true},
    MetaRow{MetaKey::oifgroup, 4, "oifgroup", true},
    MetaRow{MetaKey::iifkind, 16, "iifkind", true},
    MetaRow{MetaKey::oifkind, 16, "oifkind", true},
    MetaRow{MetaKey::priority, 4, "priority"},
    MetaRow{MetaKey::cpu, 4, "cpu"},
    MetaRow{MetaKey::skuid, 4, "skuid", true},
    MetaRow{MetaKey::skgid, 4, "skgid", true},
    MetaRow{MetaKey::cgroup, 4, "cgroup", true},
    MetaRow{MetaKey::rtclassid, 4, "rtclassid", true},
    MetaRow{MetaKey::rtipsec, 1, "rtipsec", true},
    MetaRow{MetaKey::time, 8, "time"},
    MetaRow{MetaKey::hour, 4, "hour"},
};

struct CtRow {
  enum class Direction : std::uint8_t { none, either, one };
  CtKey key;
  std::size_t size;
  std::string_view name;
  Direction direction = Direction::none;
};

constexpr std::array ct_rows = {
    CtRow{CtKey::state, 4, "state"},
    CtRow{CtKey::direction, 1, "direction"},
    CtRow{CtKey::status, 4, "status"},
    CtRow{CtKey::mark, 4, "mark"},
    CtRow{CtKey::helper, 16, "helper"},
    CtRow{CtKey::l3proto, 1, "l3proto"},
    CtRow{CtKey::protocol, 1, "protocol"},
    CtRow{CtKey::src_ip, 4, "src_ip", CtRow::Direction::one},
    CtRow{CtKey::dst_ip, 4, "dst_ip", CtRow::Direction::one},
    CtRow{CtKey::src_ip6, 16, "src_ip6", CtRow::Direction::one},
    CtRow{CtKey::dst_ip6, 16, "dst_ip6", CtRow::Direction::one},
    CtRow{CtKey::proto_src, 2, "proto_src", CtRow::Direction::one},
    CtRow{CtKey::proto_dst, 2, "proto_dst", CtRow::Direction::one},
    CtRow{CtKey::labels, 16, "labels"},
    CtRow{CtKey::zone, 2, "zone", CtRow::Direction::either},
    CtRow{CtKey::bytes, 8, "bytes", CtRow::Direction::either},
    CtRow{CtKey::packets, 8, "packets", CtRow::Direction::either},
    CtRow{CtKey::avgpkt, 8, "avgpkt", CtRow::Direction::either},
};

// Rows stand in the order of the enumerators.
const MetaRow& meta_row(MetaKey key) {
  const MetaRow& row = meta_rows.at(static_cast<std::size_t>(key));
  invariant(row.key == key, "meta key out of range");
  return row;
}

const CtRow& ct_row(CtKey key) {
  const CtRow& row = ct_rows.at(static_cast<std::size_t>(key));
  invariant(row.key == key, "ct key out of range");
  return row;
}

// Whether it is looked up in the map, wherever in the expression.
bool looks_up_in(const Ruleset& ruleset, ExprId expr, SetId map) {
  const auto* lookup = std::get_if<MapLookup>(&ruleset[expr]);
  if (lookup != nullptr && lookup->map == map) return true;
  return std::ranges::any_of(sources(ruleset[expr]),
                             [&](ExprId source) { return looks_up_in(ruleset, source, map); });
}

}  // namespace

TableId Ruleset::add(Table table) {
  return append<TableId>(tables, std::move(table));
}
ChainId Ruleset::add(Chain chain) {
  return append<ChainId>(chains, std::move(chain));
}
SetId Ruleset::add(Set set) {
  return append<SetId>(sets, std::move(set));
}
ExprId Ruleset::add(Expr expr) {
  return append<ExprId>(exprs, std::move(expr));
}
CounterId Ruleset::add(CounterState counter) {
  return append<CounterId>(counters.edit(), std::move(counter));
}

MeterId Ruleset::add(MeterState meter) {
  return append<MeterId>(meters.edit(), meter);
}

RuleId Ruleset::add(Rule rule) {
  Chain& chain = chains.at(rule.chain.index());
  const auto id = append<RuleId>(rules.edit(), std::move(rule));
  chain.rules.push_back(id);
  return id;
}

std::size_t value_size(const Ruleset& ruleset, ExprId expr) {
  return match_on(
      ruleset[expr], [](const Immediate& e) -> std::size_t { return e.value.size(); },
      [](const Payload& e) -> std::size_t { return e.length; },
      [](const HeaderField& e) -> std::size_t {
        const packet::Field* field = packet::find_field(e.name);
        invariant(field != nullptr, "unknown header field " + e.name);
        return field->byte_length();
      },
      [](const Extension& e) -> std::size_t { return e.length; },
      [](const Meta& e) { return value_size(e.key); },
      [](const Ct& e) { return value_size(e.key); },
      [&](const MaskXor& e) { return value_size(ruleset, e.source); },
      [&](const Shift& e) { return std::max<std::size_t>(4, value_size(ruleset, e.source)); },
      [&](const ByteSwap& e) { return value_size(ruleset, e.source); },
      [&](const Concat& e) {
        std::size_t size = 0;
        for (const ExprId part : e.parts) size += padded_size(value_size(ruleset, part));
        return size;
      },
      [&](const MapLookup& e) -> std::size_t { return ruleset[e.map].data_size; },
      [](const Numgen&) -> std::size_t { return 4; },
      [](const Random&) -> std::size_t { return 4; }, [](const Hash&) -> std::size_t { return 4; },
      [&](const Nexthop& e) { return value_size(ruleset, e.source); });
}

Nfproto protocol_of(const Ruleset& ruleset, const Nexthop& hop) {
  return value_size(ruleset, hop.source) == 4 ? Nfproto::ipv4 : Nfproto::ipv6;
}

std::size_t value_size(MetaKey key) {
  return meta_row(key).size;
}
std::size_t value_size(CtKey key) {
  return ct_row(key).size;
}

bool may_be_absent(MetaKey key) {
  return meta_row(key).may_be_absent;
}
bool may_be_absent(CtKey key) {
  return key != CtKey::state;
}

bool is_writable(MetaKey key) {
  return key == MetaKey::mark || key == MetaKey::priority || key == MetaKey::pkttype;
}

bool takes_direction(CtKey key) {
  return ct_row(key).direction != CtRow::Direction::none;
}
bool needs_direction(CtKey key) {
  return ct_row(key).direction == CtRow::Direction::one;
}

std::vector<MetaKey> all_meta_keys() {
  std::vector<MetaKey> keys;
  for (const MetaRow& row : meta_rows) keys.push_back(row.key);
  return keys;
}
std::vector<CtKey> all_ct_keys() {
  std::vector<CtKey> keys;
  for (const CtRow& row : ct_rows) keys.push_back(row.key);
  return keys;
}

std::string_view to_string(MetaKey key) {
  return meta_row(key).name;
}
std::string_view to_string(CtKey key) {
  return ct_row(key).name;
}
std::string_view to_string(CtDirection direction) {
  switch (direction) {
    case CtDirection::none:
      return "";
    case CtDirection::original:
      return "original";
    case CtDirection::reply:
      return "reply";
  }
  throw InvariantError("ct direction out of range");
}

std::string_view to_string(HeaderBase base) {
  switch (base) {
    case HeaderBase::link:
      return "link";
    case HeaderBase::network:
      return "network";
    case HeaderBase::transport:
      return "transport";
    case HeaderBase::inner:
      return "inner";
  }
  throw InvariantError("header base out of range");
}

std::string_view to_string(ExtensionKind kind) {
  switch (kind) {
    case ExtensionKind::ipv6:
      return "ipv6";
    case ExtensionKind::tcp:
      return "tcp";
    case ExtensionKind::ipv4:
      return "ipv4";
    case ExtensionKind::sctp:
      return "sctp";
  }
  throw InvariantError("extension kind out of range");
}

std::string_view to_string(Relop op) {
  switch (op) {
    case Relop::eq:
      return "==";
    case Relop::ne:
      return "!=";
    case Relop::lt:
      return "<";
    case Relop::le:
      return "<=";
    case Relop::gt:
      return ">";
    case Relop::ge:
      return ">=";
  }
  throw InvariantError("relop out of range");
}

std::string_view to_string(Answer::Kind kind) {
  switch (kind) {
    case Answer::Kind::icmp:
      return "icmp";
    case Answer::Kind::icmpx:
      return "icmpx";
    case Answer::Kind::reset:
      return "reset";
  }
  throw InvariantError("kind of answer out of range");
}

Translation translation(const Rule& rule) {
  const auto stays = [](const Statement& statement) {
    const auto* verdict = std::get_if<VerdictStatement>(&statement);
    return std::holds_alternative<Native>(statement) ||
           (verdict != nullptr && verdict->verdict.kind == Verdict::Kind::queue);
  };
  for (std::size_t i = 0; i < rule.statements.size(); ++i) {
    if (stays(rule.statements[i])) return i == 0 ? Translation::native : Translation::partial;
  }
  return Translation::full;
}

std::vector<ExprId> sources(const Expr& expr) {
  using Sources = std::vector<ExprId>;
  return match_on(
      expr, [](const Immediate&) { return Sources(); }, [](const Payload&) { return Sources(); },
      [](const HeaderField&) { return Sources(); }, [](const Extension&) { return Sources(); },
      [](const Meta&) { return Sources(); }, [](const Ct&) { return Sources(); },
      [](const MaskXor& e) { return Sources{e.source}; },
      [](const Shift& e) { return Sources{e.source}; },
      [](const ByteSwap& e) { return Sources{e.source}; }, [](const Concat& e) { return e.parts; },
      [](const MapLookup& e) { return Sources{e.key}; }, [](const Numgen&) { return Sources(); },
      [](const Random&) { return Sources(); }, [](const Hash& e) { return Sources{e.source}; },
      [](const Nexthop& e) { return Sources{e.source}; });
}

std::vector<ExprId> operands(const Statement& statement) {
  using Operands = std::vector<ExprId>;
  return match_on(
      statement, [](const Match& s) -> Operands { return {s.lhs}; },
      [](const MatchRange& s) -> Operands { return {s.lhs}; },
      [](const MatchSet& s) -> Operands { return {s.key}; },
      [](const VerdictMap& s) -> Operands { return {s.key}; },
      [](const VerdictStatement&) -> Operands { return {}; },
      [](const Counter&) -> Operands { return {}; }, [](const Meter&) -> Operands { return {}; },
      [](const Choice& s) -> Operands { return {s.place}; },
      [](const MetaWrite& s) -> Operands { return {s.value}; },
      [](const PayloadWrite& s) -> Operands { return {s.value}; },
      [](const OptionWrite& s) -> Operands { return {s.value}; },
      [](const OptionStrip&) -> Operands { return {}; },
      [](const Answer&) -> Operands { return {}; },
      [](const Forward& s) -> Operands { return {s.device}; },
      [](const Duplicate& s) -> Operands { return {s.device}; },
      [](const DynamicSet& s) -> Operands {
        return s.data ? Operands{s.key, *s.data} : Operands{s.key};
      },
      [](const Log&) -> Operands { return {}; }, [](const Native&) -> Operands { return {}; });
}

bool reads(const Ruleset& ruleset, ExprId expr, MetaKey key) {
  if (const auto* meta = std::get_if<Meta>(&ruleset[expr])) return meta->key == key;
  return std::ranges::any_of(sources(ruleset[expr]),
                             [&](ExprId source) { return reads(ruleset, source, key); });
}

bool varies(const Ruleset& ruleset, ExprId expr) {
  const Expr& own = ruleset[expr];
  if (std::holds_alternative<Numgen>(own) || std::holds_alternative<Random>(own)) return true;
  return std::ranges::any_of(sources(ruleset[expr]),
                             [&](ExprId source) { return varies(ruleset, source); });
}

bool may_change(const Ruleset& ruleset, ExprId expr) {
  if (varies(ruleset, expr)) return true;
  const auto* lookup = std::get_if<MapLookup>(&ruleset[expr]);
  if (lookup != nullptr && ruleset[lookup->map].dynamic) return true;
  return std::ranges::any_of(sources(ruleset[expr]),
                             [&](ExprId source) { return may_change(ruleset, source); });
}

std::vector<MeterId> meters_of(const Ruleset& ruleset, const Rule& rule) {
  std::vector<MeterId> out;
  const auto look = [&](const auto& self, ExprId expr) -> void {
    if (const auto* numgen = std::get_if<Numgen>(&ruleset[expr])) out.push_back(numgen->meter);
    for (const ExprId source : sources(ruleset[expr])) self(self, source);
  };
  for (const Statement& statement : rule.statements) {
    if (const auto* meter = std::get_if<Meter>(&statement)) out.push_back(meter->meter);
    const auto* answer = std::get_if<Answer>(&statement);
    if (answer != nullptr && answer->limit) out.push_back(*answer->limit);
    for (const ExprId expr : operands(statement)) look(look, expr);
  }
  for (const Statement& statement : rule.statements) {
    const auto* choice = std::get_if<Choice>(&statement);
    if (choice != nullptr) out.insert(out.end(), choice->meters.begin(), choice->meters.end());
  }
  return out;
}

bool reads_packet(const Ruleset& ruleset, ExprId expr) {
  const bool here = match_on(
      ruleset[expr], [](const Payload&) { return true; }, [](const HeaderField&) { return true; },
      [](const Extension&) { return true; },
      // That of a looped packet is told by its destination.
      [](const Meta& e) { return e.key == MetaKey::pkttype; },
      [](const Immediate&) { return false; }, [](const Ct&) { return false; },
      [](const MaskXor&) { return false; }, [](const Shift&) { return false; },
      [](const ByteSwap&) { return false; }, [](const Concat&) { return false; },
      [](const MapLookup&) { return false; }, [](const Numgen&) { return false; },
      [](const Random&) { return false; }, [](const Hash&) { return false; },
      [](const Nexthop&) { return false; });
  return here || std::ranges::any_of(sources(ruleset[expr]),
                                     [&](ExprId source) { return reads_packet(ruleset, source); });
}

bool writes_packet(const Statement& statement) {
  return std::holds_alternative<PayloadWrite>(statement) ||
         std::holds_alternative<OptionWrite>(statement) ||
         std::holds_alternative<OptionStrip>(statement);
}

bool reads_written(const Ruleset& ruleset, const Statement& write, ExprId expr) {
  if (const auto* change = std::get_if<DynamicSet>(&write)) {
    return looks_up_in(ruleset, expr, change->set);
  }
  if (writes_packet(write)) return reads_packet(ruleset, expr);
  const auto* meta = std::get_if<MetaWrite>(&write);
  return meta != nullptr && reads(ruleset, expr, meta->key);
}

std::string qualified_name(const Ruleset& ruleset, ChainId chain) {
  const Chain& c = ruleset[chain];
  const Table& table = ruleset[c.table];
  return std::string(to_string(table.family)) + " " + table.name + " " + c.name;
}

std::vector<ChainId> targets(const Ruleset& ruleset, const Rule& rule) {
  std::vector<ChainId> out;
  const auto follow = [&](const Verdict& verdict) {
    if (verdict.kind == Verdict::Kind::jump || verdict.kind == Verdict::Kind::go_to) {
      out.push_back(verdict.chain);
    }
  };
  for (const Statement& statement : rule.statements) {
    if (const auto* verdict = std::get_if<VerdictStatement>(&statement)) {
      follow(verdict->verdict);
    } else if (const auto* lookup = std::get_if<VerdictMap>(&statement)) {
      const Set& map = ruleset[lookup->map];
      for (const Element& element : map.elements) {
        if (element.verdict) follow(*element.verdict);
      }
      if (map.catch_all && map.catch_all->verdict) follow(*map.catch_all->verdict);
    }
  }
  return out;
}

std::vector<ChainId> targets(const Ruleset& ruleset, ChainId chain) {
  std::vector<ChainId> out;
  for (const RuleId id : ruleset[chain].rules) {
    const std::vector<ChainId> more = targets(ruleset, ruleset[id]);
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

std::vector<ChainId> reachable_chains(const Ruleset& ruleset, ChainId root) {
  std::vector<ChainId> found;
  std::vector<bool> seen(ruleset.chains.size());
  std::vector<ChainId> pending = {root};
  while (!pending.empty()) {
    const ChainId chain = pending.back();
    pending.pop_back();
    if (seen.at(chain.index())) continue;
    seen[chain.index()] = true;
    found.push_back(chain);
    // The last one pushed is visited first: reversed, the order is that of the rules.
    const std::vector<ChainId> next = targets(ruleset, chain);
    pending.insert(pending.end(), next.rbegin(), next.rend());
  }
  return found;
}

}  // namespace weir::imr
