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
};

constexpr std::array<MetaRow, 11> meta_rows = {{
    {MetaKey::l4proto, 1, "l4proto"},
    {MetaKey::nfproto, 1, "nfproto"},
    {MetaKey::protocol, 2, "protocol"},
    {MetaKey::mark, 4, "mark"},
    {MetaKey::iif, 4, "iif"},
    {MetaKey::oif, 4, "oif"},
    {MetaKey::iifname, 16, "iifname"},
    {MetaKey::oifname, 16, "oifname"},
    {MetaKey::length, 4, "length"},
    {MetaKey::pkttype, 1, "pkttype"},
    {MetaKey::iiftype, 2, "iiftype"},
}};

const MetaRow& meta_row(MetaKey key) {
  for (const MetaRow& row : meta_rows) {
    if (row.key == key) return row;
  }
  throw InvariantError("meta key out of range");
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
  return append<CounterId>(counters.edit(), counter);
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
      [](const Meta& e) { return value_size(e.key); },
      [](const Ct& e) -> std::size_t {
        switch (e.key) {
          case CtKey::state:
            return 4;
        }
        throw InvariantError("ct key out of range");
      },
      [&](const MaskXor& e) { return value_size(ruleset, e.source); },
      [&](const Shift& e) { return std::max<std::size_t>(4, value_size(ruleset, e.source)); },
      [&](const ByteSwap& e) { return value_size(ruleset, e.source); },
      [&](const Concat& e) {
        std::size_t size = 0;
        for (const ExprId part : e.parts) size += padded_size(value_size(ruleset, part));
        return size;
      },
      [&](const MapLookup& e) -> std::size_t { return ruleset[e.map].data_size; });
}

std::size_t value_size(MetaKey key) {
  return meta_row(key).size;
}
std::string_view to_string(MetaKey key) {
  return meta_row(key).name;
}

std::string_view to_string(HeaderBase base) {
  switch (base) {
    case HeaderBase::link:
      return "link";
    case HeaderBase::network:
      return "network";
    case HeaderBase::transport:
      return "transport";
  }
  throw InvariantError("header base out of range");
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
      [](const HeaderField&) { return Sources(); }, [](const Meta&) { return Sources(); },
      [](const Ct&) { return Sources(); }, [](const MaskXor& e) { return Sources{e.source}; },
      [](const Shift& e) { return Sources{e.source}; },
      [](const ByteSwap& e) { return Sources{e.source}; }, [](const Concat& e) { return e.parts; },
      [](const MapLookup& e) { return Sources{e.key}; });
}

std::optional<ExprId> operand(const Statement& statement) {
  using Operand = std::optional<ExprId>;
  return match_on(
      statement, [](const Match& s) -> Operand { return s.lhs; },
      [](const MatchRange& s) -> Operand { return s.lhs; },
      [](const MatchSet& s) -> Operand { return s.key; },
      [](const VerdictMap& s) -> Operand { return s.key; },
      [](const VerdictStatement&) -> Operand { return std::nullopt; },
      [](const Counter&) -> Operand { return std::nullopt; },
      [](const MetaWrite& s) -> Operand { return s.value; },
      [](const Native&) -> Operand { return std::nullopt; });
}

bool reads(const Ruleset& ruleset, ExprId expr, MetaKey key) {
  if (const auto* meta = std::get_if<Meta>(&ruleset[expr])) return meta->key == key;
  return std::ranges::any_of(sources(ruleset[expr]),
                             [&](ExprId source) { return reads(ruleset, source, key); });
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
