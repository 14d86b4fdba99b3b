// SPDX-License-Identifier: BSD-2-Clause
#include "driver/conditions.h"

#include <algorithm>
#include <array>

#include "imr/print.h"
#include "imr/reading.h"
#include "imr/visit.h"

namespace weir::driver {
namespace {

// The first half of a Place: which bytes it counts.
constexpr int place_link = 0;
constexpr int place_network = 1;
constexpr int place_transport = 2;
constexpr int place_connection = 3;
constexpr int place_inner = 4;
constexpr int place_meta = 5;           // and the key
constexpr int place_connections = 256;  // and three for each key of ct
constexpr int place_extension = -1;     // less 256 times the kind, less the type

int place_of(imr::HeaderBase base) {
  switch (base) {
    case imr::HeaderBase::link:
      return place_link;
    case imr::HeaderBase::network:
      return place_network;
    case imr::HeaderBase::transport:
      return place_transport;
    case imr::HeaderBase::inner:
      return place_inner;
  }
  throw InvariantError("header base out of range");
}

// What every packet of the unit has from the network header on: see view_of_stack() and
// view_of_frame().
unsigned least_length(Nfproto nfproto) {
  switch (nfproto) {
    case Nfproto::ipv4:
      return 20;
    case Nfproto::ipv6:
      return 40;
    case Nfproto::other:
      return 0;
  }
  throw InvariantError("network protocol out of range");
}

bool bit_of(ByteView bytes, std::size_t index) {
  return (bytes[index / 8] >> (7 - index % 8) & 1) != 0;
}

}  // namespace

Conditions::Conditions(const imr::Unit& unit, Bdd& sets)
    : unit_(unit), ruleset_(unit.ruleset), sets_(sets), meanings_(unit.ruleset.rules.size()) {
  learn_lengths();
  learn_connections();
}

Bdd::Fact Conditions::new_fact(bool of_mark) {
  of_mark_.push_back(of_mark);
  return facts_++;
}

Bdd::Set Conditions::opaque(const std::string& name, bool of_mark) {
  const auto [at, added] = opaque_.emplace(name, facts_);
  if (added) at->second = new_fact(of_mark);
  return sets_.having(at->second);
}

// A packet that reaches far reaches less far as well; one with transport bytes has l4proto.
void Conditions::learn_lengths() {
  for (const imr::Expr& expr : ruleset_.exprs) {
    const auto* load = std::get_if<imr::Payload>(&expr);
    if (load == nullptr) continue;
    const unsigned end = 0U + load->offset + load->length;
    if (load->base == imr::HeaderBase::network && end <= least_length(unit_.nfproto)) continue;
    reaches_.emplace(std::pair{load->base, end}, 0);
  }
  for (auto& [place, fact] : reaches_) fact = new_fact();
  for (auto at = reaches_.begin(); at != reaches_.end(); ++at) {
    const Bdd::Set here = sets_.having(at->second);
    const auto next = std::next(at);
    if (next != reaches_.end() && next->first.first == at->first.first) {
      packets_ = sets_.both(packets_, sets_.choose(sets_.having(next->second), here, Bdd::all));
    }
    const imr::HeaderBase base = at->first.first;
    if (base == imr::HeaderBase::transport || base == imr::HeaderBase::inner) {
      const Bdd::Set known = meta(imr::MetaKey::l4proto).present;
      packets_ = sets_.both(packets_, sets_.choose(here, known, Bdd::all));
    }
  }
}

// ct state is one of five bits (NF_CT_STATE_BIT() in nf_conntrack_common.h).
void Conditions::learn_connections() {
  const bool asked = std::ranges::any_of(
      ruleset_.exprs, [](const imr::Expr& e) { return e == imr::Expr(imr::Ct{}); });
  if (!asked) return;
  const Value state = connection();
  constexpr std::array<std::uint8_t, 5> states = {1, 2, 4, 8, 64};
  Bdd::Set one = Bdd::none;
  for (const std::uint8_t bits : states) {
    one = sets_.either(one, equal(state, 0, Bytes{bits, 0, 0, 0}));
  }
  packets_ = sets_.both(packets_, one);
}

void Conditions::append_byte(Value& value, Place place, bool of_mark) {
  const auto [at, added] = places_.emplace(place, facts_);
  if (added) {
    for (int bit = 0; bit < 8; ++bit) static_cast<void>(new_fact(of_mark));
  }
  for (unsigned bit = 0; bit < 8; ++bit) value.bits.push_back({at->second + bit, false});
}

Conditions::Value Conditions::constant(ByteView bytes) const {
  Value out;
  for (const std::uint8_t byte : bytes) {
    for (int bit = 7; bit >= 0; --bit) out.bits.push_back({std::nullopt, (byte >> bit & 1) != 0});
  }
  return out;
}

// Later fragments of IPv4 are told by the header, of IPv6 by a header that stands somewhere.
Bdd::Set Conditions::first_fragment() {
  if (unit_.nfproto != Nfproto::ipv4) return opaque("first fragment", false);
  const Value field = payload({.base = imr::HeaderBase::network, .offset = 6, .length = 2});
  Bdd::Set later = Bdd::none;
  for (std::size_t bit = 3; bit < 16; ++bit) later = sets_.either(later, literal(field.bits[bit]));
  return sets_.complement(later);
}

// PacketView::load().
Bdd::Set Conditions::has_bytes(const imr::Payload& load) {
  const unsigned end = 0U + load.offset + load.length;
  const auto found = reaches_.find(std::pair{load.base, end});
  const Bdd::Set far = found == reaches_.end() ? Bdd::all : sets_.having(found->second);
  if (load.base == imr::HeaderBase::inner) return sets_.both(far, first_fragment());
  if (load.base != imr::HeaderBase::transport) return far;
  if (load.in_later_fragments && imr::has_nf_tables_quirks(unit_)) return far;
  return sets_.both(far, first_fragment());
}

Conditions::Value Conditions::payload(const imr::Payload& load) {
  Value out{.present = Bdd::all, .bits = {}};
  for (unsigned i = 0; i < load.length; ++i) {
    append_byte(out, {place_of(load.base), load.offset + i});
  }
  out.present = has_bytes(load);
  return out;
}

// Whether the item is there says nothing of how long it is.
Conditions::Value Conditions::extension(const imr::Extension& item) {
  const std::string name =
      std::string(imr::to_string(item.kind)) + " " + std::to_string(item.type) + " ";
  const bool of_transport =
      item.kind == imr::ExtensionKind::tcp || item.kind == imr::ExtensionKind::sctp;
  Value out;
  if (item.presence) {
    static_cast<void>(opaque("item " + name, false));
    if (!of_transport) out.present = opaque("network of item " + name, false);
    out.bits.assign(7, {});
    out.bits.push_back({opaque_.at("item " + name), false});
    return out;
  }
  const int place = place_extension - 256 * static_cast<int>(item.kind) - item.type;
  for (unsigned i = 0; i < item.length; ++i) append_byte(out, {place, 0U + item.offset + i});
  out.present = opaque("item " + name + "to " + std::to_string(item.offset + item.length), false);
  return out;
}

Conditions::Value Conditions::meta(imr::MetaKey key) {
  const bool is_ip = unit_.nfproto != Nfproto::other;
  if (key == imr::MetaKey::nfproto) return constant(Bytes{imr::nfproto_value(unit_)});
  if (key == imr::MetaKey::protocol && is_ip) {
    return constant(big_endian_bytes(unit_.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd, 2));
  }
  if (key == imr::MetaKey::l4proto && unit_.nfproto == Nfproto::ipv4) {
    return payload({.base = imr::HeaderBase::network, .offset = 9, .length = 1});
  }
  Value out;
  for (unsigned i = 0; i < imr::value_size(key); ++i) {
    append_byte(out, {place_meta + static_cast<int>(key), i}, key == imr::MetaKey::mark);
  }
  if (imr::may_be_absent(key))
    out.present = opaque("has " + std::string(imr::to_string(key)), false);
  return out;
}

Conditions::Value Conditions::connection() {
  Value out;
  for (unsigned i = 0; i < 4; ++i) append_byte(out, {place_connection, i});
  return out;
}

// Nothing is known of how one depends on another, but that they are there together.
Conditions::Value Conditions::connection_fact(const imr::Ct& ct) {
  Value out;
  const int place =
      place_connections + 3 * static_cast<int>(ct.key) + static_cast<int>(ct.direction);
  for (unsigned i = 0; i < imr::value_size(ct.key); ++i) append_byte(out, {place, i});
  out.present = opaque("has ct " + std::to_string(place), false);
  return out;
}

std::optional<Conditions::Value> Conditions::value(imr::ExprId expr) {
  using Found = std::optional<Value>;
  return imr::match_on(
      ruleset_[expr], [&](const imr::Immediate& e) -> Found { return constant(e.value); },
      [&](const imr::Payload& e) -> Found { return payload(e); },
      [](const imr::HeaderField& e) -> Found {
        throw InvariantError("a named field behind resolve-fields: " + e.name);
      },
      [&](const imr::Extension& e) -> Found { return extension(e); },
      [&](const imr::Meta& e) -> Found { return meta(e.key); },
      [&](const imr::Ct& e) -> Found {
        if (e.key == imr::CtKey::state) return connection();
        return connection_fact(e);
      },
      [&](const imr::MaskXor& e) -> Found {
        Found source = value(e.source);
        if (!source) return source;
        const Value mask = constant(e.mask);
        const Value flip = constant(e.flip);
        for (std::size_t i = 0; i < source->bits.size(); ++i) {
          Bit& bit = source->bits[i];
          if (!mask.bits.at(i).flipped) bit = {};
          bit.flipped = bit.flipped != flip.bits.at(i).flipped;
        }
        return source;
      },
      [](const imr::Shift&) -> Found { return std::nullopt; },
      [&](const imr::ByteSwap& e) -> Found {
        Found source = value(e.source);
        if (!source) return source;
        const Value before = *source;
        for (std::size_t i = 0; i < before.bits.size(); ++i) {
          const std::size_t byte = i / 8;
          const std::size_t from = byte / e.unit * e.unit + (e.unit - 1U - byte % e.unit);
          source->bits[i] = before.bits.at(from * 8 + i % 8);
        }
        return source;
      },
      [&](const imr::Concat& e) -> Found {
        Value whole;
        for (const imr::ExprId id : e.parts) {
          const Found part = value(id);
          if (!part) return std::nullopt;
          whole.present = sets_.both(whole.present, part->present);
          whole.bits.insert(whole.bits.end(), part->bits.begin(), part->bits.end());
          whole.bits.resize(imr::padded_size(whole.bits.size() / 8) * 8);
        }
        return whole;
      },
      [](const imr::MapLookup&) -> Found { return std::nullopt; },
      [](const imr::Numgen&) -> Found { return std::nullopt; },
      [](const imr::Random&) -> Found { return std::nullopt; },
      [](const imr::Hash&) -> Found { return std::nullopt; },
      [](const imr::Nexthop&) -> Found { return std::nullopt; });
}

Bdd::Set Conditions::literal(const Bit& bit) {
  if (!bit.fact) return bit.flipped ? Bdd::all : Bdd::none;
  const Bdd::Set set = sets_.having(*bit.fact);
  return bit.flipped ? sets_.complement(set) : set;
}

// From the last bit to the first one: what comes out if all bits before are those of the constant.
Bdd::Set Conditions::equal(const Value& value, std::size_t at, ByteView to) {
  Bdd::Set out = Bdd::all;
  for (std::size_t i = to.size() * 8; i-- > 0;) {
    const Bdd::Set one = literal(value.bits.at(at + i));
    out = bit_of(to, i) ? sets_.choose(one, out, Bdd::none) : sets_.choose(one, Bdd::none, out);
  }
  return out;
}

Bdd::Set Conditions::at_least(const Value& value, std::size_t at, ByteView least) {
  Bdd::Set out = Bdd::all;
  for (std::size_t i = least.size() * 8; i-- > 0;) {
    const Bdd::Set one = literal(value.bits.at(at + i));
    out = bit_of(least, i) ? sets_.choose(one, out, Bdd::none) : sets_.choose(one, Bdd::all, out);
  }
  return out;
}

Bdd::Set Conditions::at_most(const Value& value, std::size_t at, ByteView most) {
  Bdd::Set out = Bdd::all;
  for (std::size_t i = most.size() * 8; i-- > 0;) {
    const Bdd::Set one = literal(value.bits.at(at + i));
    out = bit_of(most, i) ? sets_.choose(one, out, Bdd::all) : sets_.choose(one, Bdd::none, out);
  }
  return out;
}

Bdd::Set Conditions::compare(const Value& value, imr::Relop op, ByteView to) {
  switch (op) {
    case imr::Relop::eq:
      return equal(value, 0, to);
    case imr::Relop::ne:
      return sets_.complement(equal(value, 0, to));
    case imr::Relop::lt:
      return sets_.complement(at_least(value, 0, to));
    case imr::Relop::le:
      return at_most(value, 0, to);
    case imr::Relop::gt:
      return sets_.complement(at_most(value, 0, to));
    case imr::Relop::ge:
      return at_least(value, 0, to);
  }
  throw InvariantError("relop out of range");
}

Bdd::Set Conditions::holds_key(const imr::Set& set, const imr::Element& element, const Value& key) {
  if (!set.has_interval_fields()) {
    return sets_.both(at_least(key, 0, element.key), at_most(key, 0, element.last));
  }
  Bdd::Set out = Bdd::all;
  std::size_t at = 0;
  for (const std::size_t size : set.field_sizes) {
    const Bdd::Set from = at_least(key, at * 8, ByteView(element.key).subspan(at, size));
    const Bdd::Set to = at_most(key, at * 8, ByteView(element.last).subspan(at, size));
    out = sets_.both(out, sets_.both(from, to));
    at += imr::padded_size(size);
  }
  return out;
}

// What is asked this once, and known by nothing else.
Bdd::Set Conditions::once() {
  return opaque("once " + std::to_string(once_++), false);
}

std::string Conditions::name_of(imr::ExprId expr) {
  const std::string text = imr::print(ruleset_, expr);
  return imr::may_change(ruleset_, expr) ? text + " once " + std::to_string(once_++) : text;
}

bool Conditions::reads_mark(imr::ExprId expr) const {
  return imr::reads(ruleset_, expr, imr::MetaKey::mark);
}

Bdd::Set Conditions::has_value(imr::ExprId expr) {
  if (const auto known = value(expr)) return known->present;
  return opaque("has " + name_of(expr), reads_mark(expr));
}

Bdd::Set Conditions::condition(const imr::Match& match) {
  if (const auto lhs = value(match.lhs)) {
    return sets_.both(lhs->present, compare(*lhs, match.op, match.rhs));
  }
  return opaque(name_of(match.lhs) + std::string(imr::to_string(match.op)) + to_hex(match.rhs),
                reads_mark(match.lhs));
}

Bdd::Set Conditions::condition(const imr::MatchRange& match) {
  const auto lhs = value(match.lhs);
  if (!lhs) {
    return opaque(name_of(match.lhs) + (match.inverted ? " not in " : " in ") + to_hex(match.from) +
                      "-" + to_hex(match.to),
                  reads_mark(match.lhs));
  }
  const Bdd::Set inside = sets_.both(at_least(*lhs, 0, match.from), at_most(*lhs, 0, match.to));
  return sets_.both(lhs->present, match.inverted ? sets_.complement(inside) : inside);
}

Bdd::Set Conditions::condition(const imr::MatchSet& match) {
  const imr::Set& set = ruleset_[match.set];
  const auto key = value(match.key);
  Bdd::Set inside = Bdd::none;
  if (key && set.anonymous && set.native_reason.empty()) {
    for (const imr::Element& element : set.elements) {
      inside = sets_.either(inside, holds_key(set, element, *key));
    }
    if (set.catch_all) inside = Bdd::all;
  } else {
    inside = opaque(name_of(match.key) + " in set " + std::to_string(match.set.value),
                    reads_mark(match.key));
  }
  return sets_.both(has_value(match.key), match.inverted ? sets_.complement(inside) : inside);
}

// Runs through the statements; `open` are the packets that come to the next one.
struct Conditions::Reader {
  Conditions& conditions;
  RuleMeaning out = {};
  Bdd::Set open = Bdd::all;
  bool acted = false;
  bool ended = false;
  bool wrote = false;

  Bdd& sets() const { return conditions.sets_; }

  void act(Bdd::Set where) {
    if (!acted) out.acts = where;
    acted = true;
  }
  void effect(Bdd::Set where) {
    act(where);
    out.effects = sets().either(out.effects, where);
  }
  // From here on the kernel does something of its own, or the rule changes other things than marks.
  void lose() {
    effect(open);
    out.unknown = sets().either(out.unknown, open);
    ended = true;
  }

  void end(const imr::Verdict& verdict, Bdd::Set when) {
    if (verdict.kind == imr::Verdict::Kind::continue_) return;
    if (verdict.kind == imr::Verdict::Kind::queue) {
      out.effects = sets().either(out.effects, when);
      out.unknown = sets().either(out.unknown, when);
      return;
    }
    for (RuleEnd& known : out.ends) {
      if (known.verdict == verdict) {
        known.when = sets().either(known.when, when);
        return;
      }
    }
    out.ends.push_back({when, verdict});
  }

  // Something that acts on a set that packets change, and may end the rule.
  void change(imr::ExprId key) {
    open = sets().both(open, conditions.has_value(key));
    effect(open);
    open = sets().both(open, conditions.once());
  }

  void may_end(const imr::Verdict& verdict) {
    const auto same = [&](const RuleEnd& known) { return known.verdict == verdict; };
    if (std::ranges::none_of(out.possible, same)) out.possible.push_back({open, verdict});
  }

  void look_up(const imr::VerdictMap& statement) {
    const imr::Set& map = conditions.ruleset_[statement.map];
    const auto key = conditions.value(statement.key);
    if (!key || !map.anonymous || !map.native_reason.empty()) {
      effect(open);
      for (const imr::Element& element : map.elements) may_end(*element.verdict);
      if (map.catch_all) may_end(*map.catch_all->verdict);
      ended = true;
      return;
    }
    Bdd::Set left = sets().both(open, key->present);
    const Bdd::Set before = left;
    std::vector<RuleEnd> found;
    for (const imr::Element& element : map.elements) {
      const Bdd::Set when = sets().both(left, conditions.holds_key(map, element, *key));
      left = sets().without(left, when);
      found.push_back({when, *element.verdict});
    }
    if (map.catch_all) {
      found.push_back({left, *map.catch_all->verdict});
      left = Bdd::none;
    }
    act(sets().without(before, left));
    for (const RuleEnd& one : found) end(one.verdict, one.when);
    ended = true;
  }

  void send(imr::ExprId device) {
    open = sets().both(open, conditions.has_value(device));
    effect(open);
  }

  void statement(const imr::Statement& statement) {
    const std::vector<imr::ExprId> read = imr::operands(statement);
    if (wrote &&
        std::ranges::any_of(read, [&](imr::ExprId expr) { return conditions.reads_mark(expr); })) {
      lose();
      return;
    }
    imr::match_on(
        statement, [&](const imr::Match& s) { open = sets().both(open, conditions.condition(s)); },
        [&](const imr::MatchRange& s) { open = sets().both(open, conditions.condition(s)); },
        [&](const imr::MatchSet& s) {
          // What an element keeps may change, and end the rule.
          if (conditions.ruleset_[s.set].dynamic) return change(s.key);
          open = sets().both(open, conditions.condition(s));
        },
        [&](const imr::DynamicSet& s) {
          if (s.data) open = sets().both(open, conditions.has_value(*s.data));
          change(s.key);
        },
        [&](const imr::VerdictMap& s) { look_up(s); },
        [&](const imr::VerdictStatement& s) {
          if (s.verdict.kind == imr::Verdict::Kind::continue_) return;
          act(open);
          end(s.verdict, open);
          ended = true;
        },
        [&](const imr::Counter&) { effect(open); },
        [&](const imr::Meter&) {
          effect(open);
          open = sets().both(open, conditions.once());
        },
        [&](const imr::Choice& s) {
          open = sets().both(open, conditions.has_value(s.place));
          effect(open);
          open = sets().both(open, conditions.once());
        },
        [&](const imr::MetaWrite& s) {
          if (s.key != imr::MetaKey::mark) return lose();
          open = sets().both(open, conditions.has_value(s.value));
          effect(open);
          out.writes = sets().either(out.writes, open);
          wrote = true;
        },
        // What the packet is like behind it is not followed.
        [&](const imr::PayloadWrite&) { lose(); }, [&](const imr::OptionWrite&) { lose(); },
        [&](const imr::OptionStrip&) { lose(); }, [&](const imr::Answer&) { effect(open); },
        [&](const imr::Forward& s) { send(s.device); },
        [&](const imr::Duplicate& s) { send(s.device); }, [&](const imr::Log&) { effect(open); },
        [&](const imr::Native&) { lose(); });
  }
};

const RuleMeaning& Conditions::meaning(imr::RuleId rule) {
  std::optional<RuleMeaning>& known = meanings_.at(rule.index());
  if (known) return *known;
  Reader reader{.conditions = *this};
  const SharedList<imr::Statement>& statements = ruleset_[rule].statements;
  for (std::size_t i = 0; i < statements.size() && !reader.ended; ++i) {
    reader.statement(statements[i]);
    // What stands behind a verdict map runs where the map says "continue".
    const bool map = std::holds_alternative<imr::VerdictMap>(statements[i]);
    if (map && i + 1 < statements.size()) reader.lose();
  }
  reader.act(reader.open);
  known = std::move(reader.out);
  return *known;
}

}  // namespace weir::driver
