// SPDX-License-Identifier: BSD-2-Clause
#include "classify/tests.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <variant>

#include "base/error.h"

namespace weir::classify {
namespace {

constexpr std::size_t widest_value = 16;  // bytes

// The neighbour of a value, if there is one.
std::optional<Bytes> next(Bytes bytes) {
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (++bytes[i] != 0) return bytes;
  }
  return std::nullopt;
}
std::optional<Bytes> previous(Bytes bytes) {
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (bytes[i]-- != 0) return bytes;
  }
  return std::nullopt;
}

// All that is in none of the intervals, which are ascending and apart.
std::vector<Interval> complement(const std::vector<Interval>& intervals, std::size_t size) {
  std::vector<Interval> out;
  std::optional<Bytes> from = Bytes(size, 0);
  for (const Interval& interval : intervals) {
    const auto end = previous(interval.first);
    if (end && *from <= *end) out.push_back({*from, *end});
    from = next(interval.last);
    if (!from) return out;
  }
  out.push_back({*from, Bytes(size, 0xff)});
  return out;
}

// Leading ones, then zeros.
bool is_prefix_mask(const Bytes& mask) {
  bool ended = false;
  for (const std::uint8_t byte : mask) {
    if (ended && byte != 0) return false;
    if (byte == 0xff) continue;
    ended = true;
    if (std::countl_one(byte) != std::popcount(byte)) return false;
  }
  return true;
}

// Nothing of expressions that are no plain values.
std::optional<TestedValue> plain_value(const imr::Ruleset& ruleset, imr::ExprId expr) {
  const imr::Expr& what = ruleset[expr];
  const bool plain = std::holds_alternative<imr::Payload>(what) ||
                     std::holds_alternative<imr::Meta>(what) ||
                     std::holds_alternative<imr::Ct>(what);
  const bool made = std::holds_alternative<imr::MaskXor>(what) ||
                    std::holds_alternative<imr::ByteSwap>(what) ||
                    std::holds_alternative<imr::Shift>(what);
  if (!plain && !made) return std::nullopt;
  for (const imr::ExprId source : imr::sources(what)) {
    if (!plain_value(ruleset, source)) return std::nullopt;
  }
  const std::size_t size = imr::value_size(ruleset, expr);
  if (size == 0 || size > widest_value) return std::nullopt;
  return TestedValue{expr, size};
}

// An interval of a wide value as up to three: of those values that begin like the first one, of
// those that begin like the last one, and of what lies between.
void append_pieces(Interval interval, std::vector<Box>& out) {
  constexpr std::ptrdiff_t part = 8;
  const auto ends_with = [](const Bytes& bytes, std::uint8_t byte) {
    return std::all_of(bytes.begin() + part, bytes.end(),
                       [=](std::uint8_t b) { return b == byte; });
  };
  const auto filled_from_part = [](Bytes bytes, std::uint8_t byte) {
    std::fill(bytes.begin() + part, bytes.end(), byte);
    return bytes;
  };
  const auto differ = [](const Interval& one) {
    return one.first.size() > part &&
           !std::equal(one.first.begin(), one.first.begin() + part, one.last.begin());
  };
  if (differ(interval) && !ends_with(interval.first, 0)) {
    const Bytes end = filled_from_part(interval.first, 0xff);
    out.push_back({{std::exchange(interval.first, *next(end)), end}});
  }
  if (differ(interval) && !ends_with(interval.last, 0xff)) {
    const Bytes start = filled_from_part(interval.last, 0);
    out.push_back({{start, std::exchange(interval.last, *previous(start))}});
  }
  out.push_back({std::move(interval)});
}

Test of_intervals(const TestedValue& value, std::vector<Interval> intervals) {
  Test out{.values = {value}, .boxes = {}};
  for (Interval& interval : intervals) append_pieces(std::move(interval), out.boxes);
  return out;
}

std::vector<Interval> intervals_of(imr::Relop op, const Interval& equal) {
  const std::size_t size = equal.first.size();
  const Bytes lowest(size, 0);
  const Bytes highest(size, 0xff);
  switch (op) {
    case imr::Relop::eq:
      return {equal};
    case imr::Relop::ne:
      return complement({equal}, size);
    case imr::Relop::lt:
      if (const auto end = previous(equal.first)) return {{lowest, *end}};
      return {};
    case imr::Relop::le:
      return {{lowest, equal.last}};
    case imr::Relop::gt:
      if (const auto start = next(equal.last)) return {{*start, highest}};
      return {};
    case imr::Relop::ge:
      return {{equal.first, highest}};
  }
  throw InvariantError("relational operator out of range");
}

std::optional<Test> of(const imr::Ruleset& ruleset, const imr::Match& match) {
  auto value = plain_value(ruleset, match.lhs);
  if (!value || match.rhs.size() > value->size) return std::nullopt;
  Interval equal{filled(match.rhs, value->size, 0), filled(match.rhs, value->size, 0xff)};
  // A masked value that equals something is the source in an interval.
  const auto* mask = std::get_if<imr::MaskXor>(&ruleset[match.lhs]);
  const bool whole = match.rhs.size() == value->size;
  const bool equality = match.op == imr::Relop::eq || match.op == imr::Relop::ne;
  if (mask != nullptr && whole && equality && is_prefix_mask(mask->mask)) {
    bool possible = true;
    for (std::size_t i = 0; i < value->size; ++i) {
      const auto byte = static_cast<std::uint8_t>(match.rhs[i] ^ mask->flip[i]);
      possible = possible && (byte & ~mask->mask[i]) == 0;
      equal.first[i] = byte;
      equal.last[i] = static_cast<std::uint8_t>(byte | ~mask->mask[i]);
    }
    if (!possible) return std::nullopt;
    value->expr = mask->source;
  }
  return of_intervals(*value, intervals_of(match.op, equal));
}

std::optional<Test> of(const imr::Ruleset& ruleset, const imr::MatchRange& match) {
  const auto value = plain_value(ruleset, match.lhs);
  if (!value || match.from.size() > value->size) return std::nullopt;
  const Interval inside{filled(match.from, value->size, 0), filled(match.to, value->size, 0xff)};
  std::vector<Interval> intervals;
  if (inside.first <= inside.last) intervals = {inside};
  if (match.inverted) intervals = complement(intervals, value->size);
  return of_intervals(*value, std::move(intervals));
}

// What a set's key is made of: one value, or the parts of a concatenation.
struct KeyPart {
  TestedValue value;
  std::size_t offset = 0;  // in the key
  std::size_t size = 0;    // bytes of it there
};

// Nothing of sets that are not told element by element.
std::optional<std::vector<KeyPart>> key_parts(const imr::Ruleset& ruleset, const imr::Set& set,
                                              imr::ExprId key) {
  if (!set.anonymous || set.elements.size() > most_elements) return std::nullopt;
  std::vector<KeyPart> out;
  const auto add = [&](imr::ExprId expr, std::size_t offset, std::size_t size) {
    const auto value = plain_value(ruleset, expr);
    if (!value || size > value->size) return false;
    out.push_back({*value, offset, size});
    return true;
  };
  if (set.field_sizes.empty()) {
    if (!add(key, 0, set.key_size)) return std::nullopt;
    return out;
  }
  const auto* parts = std::get_if<imr::Concat>(&ruleset[key]);
  if (parts == nullptr || parts->parts.size() != set.field_sizes.size()) return std::nullopt;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < parts->parts.size(); ++i) {
    if (!add(parts->parts[i], offset, set.field_sizes[i])) return std::nullopt;
    offset += imr::padded_size(set.field_sizes[i]);
  }
  return out;
}

Test with_key(const std::vector<KeyPart>& parts) {
  Test out;
  for (const KeyPart& part : parts) out.values.push_back(part.value);
  return out;
}

Box box_of(const std::vector<KeyPart>& parts, const imr::Element& element) {
  Box out;
  const auto cut = [](const Bytes& from, const KeyPart& part) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(part.offset);
    return Bytes(first, first + static_cast<std::ptrdiff_t>(part.size));
  };
  for (const KeyPart& part : parts) {
    out.push_back({filled(cut(element.key, part), part.value.size, 0),
                   filled(cut(element.last, part), part.value.size, 0xff)});
  }
  return out;
}

void append_boxes(const std::vector<KeyPart>& parts, const imr::Element& element,
                  std::vector<Box>& out) {
  Box box = box_of(parts, element);
  if (box.size() == 1) return append_pieces(std::move(box.front()), out);
  out.push_back(std::move(box));
}

// What no element of the set has; of one value only.
std::vector<Interval> others(const imr::Set& set, const KeyPart& part) {
  std::vector<Interval> taken;
  for (const imr::Element& element : set.elements) {
    taken.push_back(box_of({part}, element).front());
  }
  return complement(taken, part.value.size);
}

// As key_parts(), of what a match asks for.
std::optional<std::vector<KeyPart>> elements_asked_for(const imr::Ruleset& ruleset,
                                                       const imr::MatchSet& match) {
  const imr::Set& set = ruleset[match.set];
  if (set.catch_all || set.has_interval_fields()) return std::nullopt;
  auto parts = key_parts(ruleset, set, match.key);
  if (match.inverted && parts && parts->size() > 1) return std::nullopt;
  return parts;
}

Test of(const imr::Ruleset& ruleset, const imr::MatchSet& match) {
  const auto parts = elements_asked_for(ruleset, match);
  if (!parts) {
    const Bytes is_in = {match.inverted ? std::uint8_t{0} : std::uint8_t{1}};
    return of_intervals({.expr = match.key, .size = 1, .set = match.set}, {{is_in, is_in}});
  }
  const imr::Set& set = ruleset[match.set];
  if (match.inverted) return of_intervals(parts->front().value, others(set, parts->front()));
  Test out = with_key(*parts);
  for (const imr::Element& element : set.elements) append_boxes(*parts, element, out.boxes);
  return out;
}

}  // namespace

Bytes filled(const Bytes& bytes, std::size_t size, std::uint8_t with) {
  Bytes out = bytes;
  out.resize(size, with);
  return out;
}

std::optional<Test> test_of(const imr::Ruleset& ruleset, const imr::Statement& statement) {
  if (const auto* match = std::get_if<imr::Match>(&statement)) return of(ruleset, *match);
  if (const auto* range = std::get_if<imr::MatchRange>(&statement)) return of(ruleset, *range);
  const auto* set = std::get_if<imr::MatchSet>(&statement);
  // In a dynamic set packets are looked up for what its elements do.
  if (set != nullptr && !ruleset[set->set].dynamic) return of(ruleset, *set);
  return std::nullopt;
}

bool tests_membership(const imr::Ruleset& ruleset, const imr::MatchSet& match) {
  return !ruleset[match.set].dynamic && !elements_asked_for(ruleset, match);
}

std::optional<std::vector<TestedVerdict>> tests_of(const imr::Ruleset& ruleset,
                                                   const imr::VerdictMap& map) {
  const imr::Set& set = ruleset[map.map];
  const auto parts = key_parts(ruleset, set, map.key);
  if (!parts || set.has_interval_fields()) return std::nullopt;
  if (set.catch_all && parts->size() > 1) return std::nullopt;
  std::vector<TestedVerdict> out;
  for (const imr::Element& element : set.elements) {
    Test test = with_key(*parts);
    append_boxes(*parts, element, test.boxes);
    out.push_back({std::move(test), *element.verdict});
  }
  if (set.catch_all) {
    const KeyPart& part = parts->front();
    out.push_back({of_intervals(part.value, others(set, part)), *set.catch_all->verdict});
  }
  return out;
}

bool always_there(const imr::Unit& unit, imr::ExprId expr) {
  if (const auto* payload = std::get_if<imr::Payload>(&unit.ruleset[expr])) {
    if (payload->base != imr::HeaderBase::network) return false;
    // The stack has checked the fixed headers of what comes as IPv4 or IPv6.
    const unsigned sure = unit.nfproto == Nfproto::ipv4   ? 20
                          : unit.nfproto == Nfproto::ipv6 ? 40
                                                          : 0;
    return payload->offset + payload->length <= sure;
  }
  if (const auto* meta = std::get_if<imr::Meta>(&unit.ruleset[expr])) {
    if (meta->key == imr::MetaKey::l4proto) return unit.nfproto == Nfproto::ipv4;
    return !imr::may_be_absent(meta->key);
  }
  if (const auto* ct = std::get_if<imr::Ct>(&unit.ruleset[expr])) {
    return !imr::may_be_absent(ct->key);
  }
  if (std::holds_alternative<imr::Extension>(unit.ruleset[expr])) return false;
  if (std::holds_alternative<imr::MapLookup>(unit.ruleset[expr])) return false;
  // Not without a route.
  if (std::holds_alternative<imr::Nexthop>(unit.ruleset[expr])) return false;
  return std::ranges::all_of(imr::sources(unit.ruleset[expr]),
                             [&](imr::ExprId source) { return always_there(unit, source); });
}

}  // namespace weir::classify
