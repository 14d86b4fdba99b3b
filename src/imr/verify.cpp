// SPDX-License-Identifier: BSD-2-Clause
#include "imr/verify.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <tuple>

#include "imr/dynamic_sets.h"
#include "imr/extensions.h"
#include "imr/meters.h"
#include "imr/visit.h"
#include "packet/fields.h"

namespace weir::imr {
namespace {

// Chains below one another, the base chain included: nft_chain_validate() in
// net/netfilter/nf_tables_api.c refuses more, and the evaluator's stack of jumps is as deep.
constexpr std::size_t max_depth = 16;
constexpr std::size_t max_link_name = 15;

bool is_drop(const Statement& statement) {
  const auto* verdict = std::get_if<VerdictStatement>(&statement);
  return verdict != nullptr && verdict->verdict.kind == Verdict::Kind::drop;
}

// Inside this file only: thrown at the first broken rule, caught by find_violation().
struct Violation {
  std::string text;
};

class Verifier {
 public:
  explicit Verifier(const Ruleset& ruleset) : ruleset_(ruleset) {}

  void run() {
    check_names();
    for (std::size_t i = 0; i < ruleset_.exprs.size(); ++i) check_expr(ExprId(i));
    for (const Set& set : ruleset_.sets) check_set(set);
    check_counters();
    check_meters();
    listed_.assign(ruleset_.rules.size(), false);
    for (std::size_t i = 0; i < ruleset_.chains.size(); ++i) check_chain(ChainId(i));
    check_removed_rules();
    depths_.assign(ruleset_.chains.size(), 0);
    // As the kernel does, of what packets come to: elsewhere chains may jump in a circle.
    for (std::size_t i = 0; i < ruleset_.chains.size(); ++i) {
      if (ruleset_.chains[i].base) check_depth(ChainId(i));
    }
  }

 private:
  void check_names();
  void check_expr(ExprId id);
  void check_set(const Set& set);
  void check_fields(const Set& set);
  void check_interval(const Set& set, const Element& element);
  void check_interval_fields(const Set& set, const Element& element);
  void check_value(const Set& set, const Element& element);
  void check_counters();
  void check_meters();
  void check_chain(ChainId id);
  void check_removed_rules();
  void check_rule(RuleId id, TableId table);
  void require_index(ExprId device);
  void check_statement(const Statement& statement, TableId table);
  void check_lookup(ExprId key, SetId id, TableId table);
  void check_change(const DynamicSet& change, TableId table);
  void check_dynamics(const Set& set);
  void check_meter(MeterId id);
  void check_maps(ExprId expr, TableId table);
  void check_verdict(const Verdict& verdict, TableId table);
  std::size_t check_depth(ChainId chain);

  // A text is made only for what is broken: there may be a million rules.
  void require(bool holds, std::string_view rule) const {
    if (!holds) throw Violation{where() + std::string(rule)};
  }
  template <typename IdType, typename Arena>
  void require_in(IdType id, const Arena& arena, const char* what) const {
    if (id.index() >= arena.size()) require(false, std::string(what) + " id out of range");
  }
  std::size_t size_of(ExprId expr) const {
    require_in(expr, ruleset_.exprs, "expression");
    return value_size(ruleset_, expr);
  }

  const Ruleset& ruleset_;
  [[nodiscard]] std::string where() const {
    if (!where_chain_.valid()) return where_;
    const std::string rule =
        where_rule_.valid() ? " rule #" + std::to_string(where_rule_.value) : "";
    return qualified_name(ruleset_, where_chain_) + rule + ": ";
  }

  ChainId where_chain_;  // the chain and the rule at hand: "inet filter forward rule #4: "
  RuleId where_rule_;
  std::string where_;  // elsewhere: "inet filter @set: "
  std::vector<bool> listed_;
  // Of each chain: 0 not known, 1 on the way, n + 1 once it is known that n chains stand below one
  // another from it on.
  std::vector<std::size_t> depths_;
};

void Verifier::check_names() {
  std::set<std::tuple<std::size_t, std::string>> chains;
  std::set<std::tuple<std::size_t, std::string>> sets;
  std::set<std::tuple<Family, std::string>> tables;
  for (const Table& table : ruleset_.tables) {
    require(tables.emplace(table.family, table.name).second, "two tables named " + table.name);
  }
  for (const Chain& chain : ruleset_.chains) {
    require_in(chain.table, ruleset_.tables, "table");
    require(chains.emplace(chain.table.index(), chain.name).second,
            "two chains of one table named " + chain.name);
  }
  for (const Set& set : ruleset_.sets) {
    require_in(set.table, ruleset_.tables, "table");
    require(sets.emplace(set.table.index(), set.name).second,
            "two sets of one table named " + set.name);
  }
  for (const Interface& interface : ruleset_.interfaces) {
    require(!interface.name.empty() && interface.name.size() <= max_link_name,
            "interface name of other than 1 to 15 bytes: " + interface.name);
  }
}

void Verifier::check_expr(ExprId id) {
  const std::string name = "expression " + std::to_string(id.value);
  // A source is older than what is made of it, so that no expression contains itself.
  const auto source_size = [&](ExprId source) {
    require(source.index() < id.index(), name + ": source is not older than the expression");
    return value_size(ruleset_, source);
  };
  match_on(
      ruleset_[id],
      [&](const Immediate& e) {
        require(!e.value.empty() && e.value.size() <= max_value_size,
                name + ": immediate of other than 1 to 64 bytes");
      },
      [&](const Payload& e) {
        require(e.length >= 1 && e.length <= max_value_size,
                name + ": payload of other than 1 to 64 bytes");
      },
      [&](const HeaderField& e) {
        const packet::Field* field = packet::find_field(e.name);
        require(field != nullptr, name + ": unknown header field '" + e.name + "'");
        require(field->protocol->layer != packet::Layer::extension,
                name + ": header field without a fixed place '" + e.name + "'");
      },
      [&](const Extension& e) {
        require(e.length >= 1 && e.length <= max_value_size,
                name + ": extension of other than 1 to 64 bytes");
        require(!e.presence || (e.offset == 0 && e.length == 1),
                name + ": presence of other than a whole extension");
        require(e.kind != ExtensionKind::ipv4 || is_found_ipv4_option(e.type),
                name + ": IPv4 option that is not looked for");
      },
      [](const Meta&) {},
      [&](const Ct& e) {
        const bool has = e.direction != CtDirection::none;
        require(has ? takes_direction(e.key) : !needs_direction(e.key),
                name + ": ct " + std::string(to_string(e.key)) +
                    (has ? " of a direction" : " without a direction"));
      },
      [&](const MaskXor& e) {
        const std::size_t size = source_size(e.source);
        require(e.mask.size() == size && e.flip.size() == size,
                name + ": mask, flip and source differ in size");
      },
      [&](const Shift& e) {
        const std::size_t size = source_size(e.source);
        require(size < 4 || size % 4 == 0, name + ": shift of other than whole words");
        require(e.bits >= 1 && e.bits <= 31, name + ": shift by other than 1 to 31 bits");
      },
      [&](const ByteSwap& e) {
        const std::size_t size = source_size(e.source);
        require(e.unit == 2 || e.unit == 4 || e.unit == 8, name + ": swap of other than 2, 4 or 8");
        require(size % e.unit == 0, name + ": swap of broken units");
      },
      [&](const Concat& e) {
        require(!e.parts.empty(), name + ": concatenation of nothing");
        std::size_t size = 0;
        for (const ExprId part : e.parts) size += padded_size(source_size(part));
        require(size <= max_value_size, name + ": concatenation of more than 64 bytes");
      },
      [&](const MapLookup& e) {
        require(e.map.index() < ruleset_.sets.size(), name + ": map id out of range");
        const Set& map = ruleset_[e.map];
        require(map.is_data_map(), name + ": lookup of a value in a set without values");
        require(map.key_size <= source_size(e.key), name + ": map key longer than the value");
        require(map.native_reason.empty(),
                name + ": translated use of a map that stays with the kernel");
      },
      [&](const Numgen& e) {
        require(e.meter.index() < ruleset_.meters.size(), name + ": meter id out of range");
        require(ruleset_.meters.at(e.meter.index()).kind == MeterState::Kind::sequence,
                name + ": numgen of a meter that is no sequence");
      },
      [](const Random&) {},
      [&](const Hash& e) {
        const std::size_t size = source_size(e.source);
        require(e.length >= 1 && e.length <= size, name + ": hash of more than its source");
        require(e.modulus >= 1, name + ": hash below 0");
      },
      [&](const Nexthop& e) {
        const std::size_t size = source_size(e.source);
        require(size == 4 || size == 16, name + ": next hop of other than 4 or 16 bytes");
      });
}

void Verifier::check_interval(const Set& set, const Element& element) {
  require(element.key.size() == set.key_size && element.last.size() == set.key_size,
          "element whose key has not the key size");
  const int order = std::memcmp(element.key.data(), element.last.data(), set.key_size);
  require(order <= 0, "interval that ends before it begins");
  require(order == 0 || set.interval, "interval in a set without intervals");
}

// Field by field lower ends below upper ends, and nothing in the padding between fields.
void Verifier::check_interval_fields(const Set& set, const Element& element) {
  require(element.key.size() == set.key_size && element.last.size() == set.key_size,
          "element whose key has not the key size");
  std::size_t at = 0;
  for (const std::size_t size : set.field_sizes) {
    const std::size_t end = at + padded_size(size);
    require(std::memcmp(element.key.data() + at, element.last.data() + at, size) <= 0,
            "interval that ends before it begins");
    for (std::size_t i = at + size; i < end; ++i) {
      require(element.key[i] == 0 && element.last[i] == 0, "element with bytes between fields");
    }
    at = end;
  }
}

void Verifier::check_fields(const Set& set) {
  if (set.field_sizes.empty()) return;
  std::size_t size = 0;
  for (const std::size_t field : set.field_sizes) {
    require(field >= 1, "field of no bytes");
    size += padded_size(field);
  }
  require(set.field_sizes.size() >= 2, "concatenation of fewer than two fields");
  require(size == set.key_size, "fields that do not make up the key");
}

void Verifier::check_value(const Set& set, const Element& element) {
  require(element.verdict.has_value() == set.is_verdict_map,
          "a verdict stands in the elements of verdict maps, and there only");
  require(element.data.size() == set.data_size, "an element's data has not the data size");
  if (element.verdict) check_verdict(*element.verdict, set.table);
}

void Verifier::check_set(const Set& set) {
  const Table& table = ruleset_[set.table];
  where_ = std::string(to_string(table.family)) + " " + table.name + " @" + set.name + ": ";
  require(set.key_size >= 1 && set.key_size <= max_value_size, "key of other than 1 to 64 bytes");
  require(!set.is_verdict_map || !set.is_data_map(), "map to verdicts and to data");
  require(set.data_size <= max_value_size, "data of more than 64 bytes");
  check_dynamics(set);
  check_fields(set);
  const Element* previous = nullptr;
  for (const Element& element : set.elements) {
    check_value(set, element);
    if (set.has_interval_fields()) {
      check_interval_fields(set, element);
      continue;
    }
    check_interval(set, element);
    require(previous == nullptr ||
                std::memcmp(previous->last.data(), element.key.data(), set.key_size) < 0,
            "elements out of order or overlapping");
    previous = &element;
  }
  if (set.catch_all) {
    require(set.catch_all->key.empty() && set.catch_all->last.empty(), "catch-all with a key");
    check_value(set, *set.catch_all);
  }
  where_.clear();
}

void Verifier::check_dynamics(const Set& set) {
  const std::string refusal = why_not_dynamic(set);
  require(refusal.empty(), refusal);
  for (const Element& element : set.elements) {
    require(element.expires == 0 || (set.dynamic && set.dynamic->timeouts),
            "an element that expires in a set without timeouts");
    require(element.expires <= longest_timeout && element.timeout <= longest_timeout,
            "an element that stays for more than 146 years");
    require(element.timeout == 0 || (element.expires != 0 && element.expires < element.timeout),
            "an element with more time left than it has");
    require(element.held.empty() || (set.dynamic && element.held.size() == words_of(*set.dynamic)),
            "an element that holds what its statements do not");
  }
}

void Verifier::check_change(const DynamicSet& change, TableId table) {
  using Op = DynamicSet::Op;
  check_lookup(change.key, change.set, table);
  const Set& set = ruleset_[change.set];
  require(set.dynamic.has_value(), "change of a set that is not dynamic");
  require(set.elements.size() <= set.dynamic->size, "more elements than the set may have");
  const bool takes_data = set.is_data_map() && change.op != Op::remove;
  require(change.data.has_value() == takes_data, "a new element without its data, or with some");
  require(!takes_data || size_of(*change.data) >= set.data_size,
          "data of fewer bytes than the map's");
  require(change.timeout == 0 || set.dynamic->timeouts, "a timeout in a set without any");
  require(change.timeout <= longest_timeout, "a timeout of more than 146 years");
}

void Verifier::check_counters() {
  for (const CounterState& counter : ruleset_.counters) {
    require_in(counter.rule, ruleset_.rules, "counter's rule");
  }
}

// What the kernel itself refuses, and what imr/meters.h leaves to it.
void Verifier::check_meters() {
  for (const MeterState& meter : ruleset_.meters) {
    const std::string refusal = why_no_meter(meter);
    require(refusal.empty(), refusal);
  }
}

void Verifier::check_chain(ChainId id) {
  const Chain& chain = ruleset_[id];
  for (const RuleId rule : chain.rules) {
    where_chain_ = id;
    require_in(rule, ruleset_.rules, "rule");
    if (listed_[rule.index()]) {
      require(false, "rule #" + std::to_string(rule.value) + " is listed twice");
    }
    listed_[rule.index()] = true;
    check_rule(rule, chain.table);
  }
  where_chain_ = {};
}

// Rules that no chain lists any more still carry names and counters.
void Verifier::check_removed_rules() {
  for (std::size_t i = 0; i < ruleset_.rules.size(); ++i) {
    if (listed_[i]) continue;
    const RuleId id(i);
    require_in(ruleset_[id].chain, ruleset_.chains, "chain");
    check_rule(id, ruleset_[ruleset_[id].chain].table);
  }
}

void Verifier::check_rule(RuleId id, TableId table) {
  const Rule& rule = ruleset_[id];
  require_in(rule.chain, ruleset_.chains, "chain");
  where_chain_ = rule.chain;
  where_rule_ = id;
  require(ruleset_[rule.chain].table == table, "rule of another table");
  if (rule.copy_of.valid()) {
    require_in(rule.copy_of, ruleset_.rules, "copied rule");
    require(!ruleset_[rule.copy_of].copy_of.valid(), "copy of a copy");
  }
  for (std::size_t i = 0; i < rule.statements.size(); ++i) {
    require(!std::holds_alternative<Native>(rule.statements[i]) || i + 1 == rule.statements.size(),
            "native statement before the last");
    const bool dropped = i + 1 < rule.statements.size() && is_drop(rule.statements[i + 1]);
    require(dropped || !std::holds_alternative<Answer>(rule.statements[i]),
            "answer without a drop behind it");
    require(dropped || !std::holds_alternative<Forward>(rule.statements[i]),
            "forward without a drop behind it");
    check_statement(rule.statements[i], table);
  }
  where_chain_ = {};
  where_rule_ = {};
}

void Verifier::require_index(ExprId device) {
  require(size_of(device) == 4, "a device by a value of other than 4 bytes");
}

void Verifier::check_statement(const Statement& statement, TableId table) {
  match_on(
      statement,
      [&](const Match& s) {
        require(!s.rhs.empty() && s.rhs.size() <= size_of(s.lhs),
                "comparison with no bytes, or more than the value has");
      },
      [&](const MatchRange& s) {
        require(!s.from.empty() && s.from.size() <= size_of(s.lhs),
                "range of no bytes, or more than the value has");
        require(s.from.size() == s.to.size(), "ends of a range differ in size");
      },
      [&](const MatchSet& s) { check_lookup(s.key, s.set, table); },
      [&](const VerdictMap& s) {
        check_lookup(s.key, s.map, table);
        require(ruleset_[s.map].is_verdict_map, "vmap wants a verdict map");
      },
      [&](const VerdictStatement& s) { check_verdict(s.verdict, table); },
      [&](const Counter& s) { require_in(s.counter, ruleset_.counters, "counter"); },
      [&](const Meter& s) { check_meter(s.meter); },
      [&](const Choice& s) {
        require(size_of(s.place) == 4, "choice by a value of other than 4 bytes");
        require(s.counters.empty() != s.meters.empty(),
                "choice of nothing, or of both counters and meters");
        for (const CounterId id : s.counters) require_in(id, ruleset_.counters, "counter");
        for (const MeterId id : s.meters) check_meter(id);
      },
      [&](const Answer& s) {
        require(s.kind == Answer::Kind::icmp || s.code < (s.kind == Answer::Kind::icmpx ? 4 : 1),
                "answer with a code that there is not");
        if (!s.limit) return;
        require_in(*s.limit, ruleset_.meters, "meter");
        require(ruleset_.meters.at(s.limit->index()).kind == MeterState::Kind::packet_rate,
                "answers with a limit of other than packets");
      },
      [&](const Forward& s) { require_index(s.device); },
      [&](const Duplicate& s) { require_index(s.device); },
      [&](const DynamicSet& s) { check_change(s, table); },
      [&](const MetaWrite& s) {
        require(is_writable(s.key), "write of a meta key that cannot be written");
        require(size_of(s.value) == value_size(s.key), "write of a value of another size");
      },
      [&](const PayloadWrite& s) {
        require(s.length >= 1 && s.length <= max_value_size && s.length <= size_of(s.value),
                "write of no bytes, or of more than the value has");
        require(s.base != HeaderBase::inner, "write behind the transport header");
        require(s.base == HeaderBase::network || !s.pseudo_header,
                "write of a pseudo header outside of the network header");
        // What stands behind the addresses may be in metadata.
        require(s.base != HeaderBase::link || (!s.checksum && s.offset + s.length <= 12),
                "write of more of the link header than its addresses");
      },
      [&](const OptionWrite& s) {
        require((s.length == 2 || s.length == 4) && s.length <= size_of(s.value),
                "write of other than 2 or 4 bytes of an option, or of more than the value has");
        require(s.offset >= 2, "write of an option's type or length");
      },
      [](const OptionStrip&) {}, [](const Log&) {}, [](const Native&) {});
  for (const ExprId expr : operands(statement)) check_maps(expr, table);
}

void Verifier::check_meter(MeterId id) {
  require_in(id, ruleset_.meters, "meter");
  require(ruleset_.meters.at(id.index()).kind != MeterState::Kind::sequence,
          "statement that takes from a sequence");
}

void Verifier::check_maps(ExprId expr, TableId table) {
  if (const auto* lookup = std::get_if<MapLookup>(&ruleset_[expr])) {
    require(ruleset_[lookup->map].table == table, "map of another table");
  }
  for (const ExprId source : sources(ruleset_[expr])) check_maps(source, table);
}

void Verifier::check_lookup(ExprId key, SetId id, TableId table) {
  require_in(id, ruleset_.sets, "set");
  const Set& set = ruleset_[id];
  require(set.table == table, "set of another table");
  require(set.key_size <= size_of(key), "set key longer than the value");
  require(set.native_reason.empty(), "translated use of a set that stays with the kernel");
}

void Verifier::check_verdict(const Verdict& verdict, TableId table) {
  if (verdict.kind != Verdict::Kind::jump && verdict.kind != Verdict::Kind::go_to) return;
  require_in(verdict.chain, ruleset_.chains, "target chain");
  const Chain& target = ruleset_[verdict.chain];
  require(target.table == table, "jump to another table");
  require(!target.base, "jump to a base chain");
}

std::size_t Verifier::check_depth(ChainId chain) {
  std::size_t& known = depths_[chain.index()];
  if (known > 1) return known - 1;
  require(known == 0, qualified_name(ruleset_, chain) + ": jumps in a circle");
  known = 1;
  std::size_t below = 0;
  for (const ChainId target : targets(ruleset_, chain)) {
    below = std::max(below, check_depth(target));
  }
  require(below < max_depth, qualified_name(ruleset_, chain) + ": jumps more than 16 chains deep");
  depths_[chain.index()] = below + 2;
  return below + 1;
}

void check_unit(const Unit& unit) {
  Verifier(unit.ruleset).run();
  const Ruleset& ruleset = unit.ruleset;
  for (const ChainId root : unit.roots) {
    if (root.index() >= ruleset.chains.size()) throw Violation{"root id out of range"};
    const std::string name = qualified_name(ruleset, root);
    if (!ruleset[root].base) throw Violation{name + ": root is not a base chain"};
    if (!sees(ruleset[ruleset[root].table].family, unit.nfproto) &&
        unit.hook.kind == Hook::Kind::netfilter) {
      throw Violation{name + ": root of a family that never sees the unit's packets"};
    }
  }
}

}  // namespace

std::optional<std::string> find_violation(const Ruleset& ruleset) {
  try {
    Verifier(ruleset).run();
  } catch (const Violation& violation) {
    return violation.text;
  }
  return std::nullopt;
}

std::optional<std::string> find_violation(const Unit& unit) {
  try {
    check_unit(unit);
  } catch (const Violation& violation) {
    return violation.text;
  }
  return std::nullopt;
}

void verify(const Ruleset& ruleset) {
  if (const auto violation = find_violation(ruleset)) throw InvariantError(*violation);
}

void verify(const Unit& unit) {
  if (const auto violation = find_violation(unit)) throw InvariantError(*violation);
}

}  // namespace weir::imr
