// SPDX-License-Identifier: BSD-2-Clause
#include "classify/runs.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "imr/identity.h"

namespace weir::classify {
namespace {

constexpr std::size_t widest_value = 16;  // bytes
constexpr std::size_t most_fields = 12;
// What the tests of one rule may multiply to, and all rules of a run together.
constexpr std::size_t most_of_rule = 64;
constexpr std::size_t most_per_rule = 4;
constexpr std::size_t always_enough = 4096;

// From `first` to `last`, as memcmp(3) orders them; both of one size.
struct Interval {
  Bytes first;
  Bytes last;
};

// A test: the value of the expression is in one of the intervals.
struct Test {
  imr::ExprId expr;
  std::size_t size = 0;  // bytes of the value
  std::vector<Interval> intervals;
};

Bytes filled(const Bytes& bytes, std::size_t size, std::uint8_t with) {
  Bytes out = bytes;
  out.resize(size, with);
  return out;
}

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

class Reader {
 public:
  explicit Reader(const imr::Unit& unit) : unit_(unit), ruleset_(unit.ruleset) {}

  // Of a statement that tests one value by intervals.
  [[nodiscard]] std::optional<Test> test(const imr::Statement& statement) const {
    if (const auto* match = std::get_if<imr::Match>(&statement)) return of(*match);
    if (const auto* range = std::get_if<imr::MatchRange>(&statement)) return of(*range);
    if (const auto* set = std::get_if<imr::MatchSet>(&statement)) return of(*set);
    return std::nullopt;
  }

  // Whether every packet of the unit has the value.
  [[nodiscard]] bool always_there(imr::ExprId expr) const;

 private:
  [[nodiscard]] std::optional<Test> of(const imr::Match& match) const;
  [[nodiscard]] std::optional<Test> of(const imr::MatchRange& match) const;
  [[nodiscard]] std::optional<Test> of(const imr::MatchSet& match) const;
  // Nothing of expressions that are no plain values.
  [[nodiscard]] std::optional<Test> about(imr::ExprId expr) const;

  const imr::Unit& unit_;
  const imr::Ruleset& ruleset_;
};

bool Reader::always_there(imr::ExprId expr) const {
  if (const auto* payload = std::get_if<imr::Payload>(&ruleset_[expr])) {
    if (payload->base != imr::HeaderBase::network) return false;
    // The stack has checked the fixed headers of what comes as IPv4 or IPv6.
    const unsigned sure = unit_.nfproto == Nfproto::ipv4   ? 20
                          : unit_.nfproto == Nfproto::ipv6 ? 40
                                                           : 0;
    return payload->offset + payload->length <= sure;
  }
  if (const auto* meta = std::get_if<imr::Meta>(&ruleset_[expr])) {
    return meta->key != imr::MetaKey::l4proto && meta->key != imr::MetaKey::pkttype &&
           meta->key != imr::MetaKey::iiftype;
  }
  if (std::holds_alternative<imr::Ct>(ruleset_[expr])) return true;
  const std::vector<imr::ExprId> sources = imr::sources(ruleset_[expr]);
  return std::ranges::all_of(sources, [&](imr::ExprId source) { return always_there(source); });
}

std::optional<Test> Reader::about(imr::ExprId expr) const {
  const imr::Expr& what = ruleset_[expr];
  const bool plain = std::holds_alternative<imr::Payload>(what) ||
                     std::holds_alternative<imr::Meta>(what) ||
                     std::holds_alternative<imr::Ct>(what);
  const bool made = std::holds_alternative<imr::MaskXor>(what) ||
                    std::holds_alternative<imr::ByteSwap>(what) ||
                    std::holds_alternative<imr::Shift>(what);
  if (!plain && !made) return std::nullopt;
  for (const imr::ExprId source : imr::sources(what)) {
    if (!about(source)) return std::nullopt;
  }
  const std::size_t size = imr::value_size(ruleset_, expr);
  if (size == 0 || size > widest_value) return std::nullopt;
  return Test{.expr = expr, .size = size, .intervals = {}};
}

std::optional<Test> Reader::of(const imr::Match& match) const {
  auto test = about(match.lhs);
  if (!test || match.rhs.size() > test->size) return std::nullopt;
  Interval equal{filled(match.rhs, test->size, 0), filled(match.rhs, test->size, 0xff)};
  // A masked value that equals something is the source in an interval.
  const auto* mask = std::get_if<imr::MaskXor>(&ruleset_[match.lhs]);
  const bool whole = match.rhs.size() == test->size;
  const bool equality = match.op == imr::Relop::eq || match.op == imr::Relop::ne;
  if (mask != nullptr && whole && equality && is_prefix_mask(mask->mask)) {
    bool possible = true;
    for (std::size_t i = 0; i < test->size; ++i) {
      const auto value = static_cast<std::uint8_t>(match.rhs[i] ^ mask->flip[i]);
      possible = possible && (value & ~mask->mask[i]) == 0;
      equal.first[i] = value;
      equal.last[i] = static_cast<std::uint8_t>(value | ~mask->mask[i]);
    }
    if (!possible) return std::nullopt;
    test->expr = mask->source;
  }
  const Bytes lowest(test->size, 0);
  const Bytes highest(test->size, 0xff);
  switch (match.op) {
    case imr::Relop::eq:
      test->intervals = {equal};
      return test;
    case imr::Relop::ne:
      test->intervals = complement({equal}, test->size);
      return test;
    case imr::Relop::lt:
      if (const auto end = previous(equal.first)) test->intervals = {{lowest, *end}};
      return test;
    case imr::Relop::le:
      test->intervals = {{lowest, equal.last}};
      return test;
    case imr::Relop::gt:
      if (const auto start = next(equal.last)) test->intervals = {{*start, highest}};
      return test;
    case imr::Relop::ge:
      test->intervals = {{equal.first, highest}};
      return test;
  }
  throw InvariantError("relational operator out of range");
}

std::optional<Test> Reader::of(const imr::MatchRange& match) const {
  auto test = about(match.lhs);
  if (!test || match.from.size() > test->size) return std::nullopt;
  const Interval inside{filled(match.from, test->size, 0), filled(match.to, test->size, 0xff)};
  if (inside.first <= inside.last) test->intervals = {inside};
  if (match.inverted) test->intervals = complement(test->intervals, test->size);
  return test;
}

// Named sets may change while a program runs.
std::optional<Test> Reader::of(const imr::MatchSet& match) const {
  const imr::Set& set = ruleset_[match.set];
  auto test = about(match.key);
  if (!test || !set.anonymous || set.catch_all || !set.field_sizes.empty() ||
      set.key_size > test->size || set.elements.size() > most_of_rule) {
    return std::nullopt;
  }
  for (const imr::Element& element : set.elements) {
    test->intervals.push_back(
        {filled(element.key, test->size, 0), filled(element.last, test->size, 0xff)});
  }
  if (match.inverted) test->intervals = complement(test->intervals, test->size);
  return test;
}

// A rule that suits: its tests, and what it does when all hold.
struct Parts {
  std::vector<Test> tests;
  RunRule rule;
};

std::optional<Parts> parts_of(const imr::Unit& unit, imr::RuleId id) {
  const imr::Rule& rule = unit.ruleset[id];
  const Reader reader(unit);
  Parts out;
  out.rule.rule = id;
  if (rule.synthetic || rule.statements.empty()) return std::nullopt;
  std::size_t at = 0;
  for (; at < rule.statements.size(); ++at) {
    auto test = reader.test(rule.statements[at]);
    if (!test) break;
    out.tests.push_back(std::move(*test));
  }
  if (at < rule.statements.size()) {
    if (const auto* counter = std::get_if<imr::Counter>(&rule.statements[at])) {
      out.rule.counter = counter->counter;
      ++at;
    }
  }
  if (at + 1 != rule.statements.size()) return std::nullopt;
  const auto* end = std::get_if<imr::VerdictStatement>(&rule.statements[at]);
  if (end == nullptr) return std::nullopt;
  out.rule.verdict = end->verdict.kind;
  switch (end->verdict.kind) {
    case imr::Verdict::Kind::accept:
    case imr::Verdict::Kind::drop:
    case imr::Verdict::Kind::return_:
      return out;
    case imr::Verdict::Kind::continue_:
    case imr::Verdict::Kind::jump:
    case imr::Verdict::Kind::go_to:
    case imr::Verdict::Kind::queue:
      return std::nullopt;
  }
  throw InvariantError("verdict out of range");
}

class Maker {
 public:
  explicit Maker(const imr::Unit& unit) : unit_(unit), reader_(unit) {}

  std::optional<Run> run(std::span<const imr::RuleId> rules);

 private:
  // A value that the run looks at, and where its fields are.
  struct Source {
    imr::ExprId expr;
    std::size_t size = 0;
    std::size_t first_field = 0;
  };
  using Ranges = std::vector<Range>;  // of the fields of one source

  [[nodiscard]] bool holds(const Source& source, const Test& test) const;
  [[nodiscard]] Source& source_of(const Test& test);
  void find_sources();
  bool make_fields();
  [[nodiscard]] static Interval widened(const Interval& interval, std::size_t size);
  [[nodiscard]] static std::optional<Ranges> ranges_of(const Interval& interval);
  [[nodiscard]] bool add(const Parts& parts, std::uint32_t owner);

  const imr::Unit& unit_;
  Reader reader_;
  std::vector<Parts> parts_;
  std::vector<Source> sources_;
  std::vector<RunField> fields_;
  std::vector<Ranges> rows_;
  std::vector<std::uint32_t> owner_;
};

// Bytes of the network header that are always there are the beginning of longer ones at the same
// place: nft loads three bytes of an address to test a prefix of 24 bits.
bool Maker::holds(const Source& source, const Test& test) const {
  if (imr::same_expr(unit_.ruleset, source.expr, test.expr)) return true;
  const auto* have = std::get_if<imr::Payload>(&unit_.ruleset[source.expr]);
  const auto* want = std::get_if<imr::Payload>(&unit_.ruleset[test.expr]);
  return have != nullptr && want != nullptr && have->base == want->base &&
         have->offset == want->offset && reader_.always_there(source.expr) &&
         reader_.always_there(test.expr);
}

Maker::Source& Maker::source_of(const Test& test) {
  return *std::ranges::find_if(sources_, [&](const Source& source) { return holds(source, test); });
}

void Maker::find_sources() {
  for (const Parts& parts : parts_) {
    for (const Test& test : parts.tests) {
      const auto found =
          std::ranges::find_if(sources_, [&](const Source& source) { return holds(source, test); });
      if (found == sources_.end()) {
        sources_.push_back({.expr = test.expr, .size = test.size});
      } else if (found->size < test.size) {
        found->expr = test.expr;
        found->size = test.size;
      }
      if (sources_.size() > most_fields) return;
    }
  }
}

// False where there are too many, or one is too wide to say that it is absent.
bool Maker::make_fields() {
  // Wide ones first: tables are told by them, and they fill words.
  std::ranges::stable_sort(sources_, std::ranges::greater{}, &Source::size);
  for (Source& source : sources_) {
    const bool may_be_absent = !reader_.always_there(source.expr);
    if (may_be_absent && source.size > 7) return false;
    source.first_field = fields_.size();
    for (std::size_t offset = 0; offset < source.size; offset += 8) {
      fields_.push_back(
          {.expr = source.expr,
           .offset = static_cast<std::uint8_t>(offset),
           .size = static_cast<std::uint8_t>(std::min<std::size_t>(8, source.size - offset)),
           .may_be_absent = may_be_absent});
    }
  }
  return !fields_.empty() && fields_.size() <= most_fields;
}

Interval Maker::widened(const Interval& interval, std::size_t size) {
  return {filled(interval.first, size, 0), filled(interval.last, size, 0xff)};
}

// Nothing of an interval of more than 8 bytes that is no range in each of its fields.
std::optional<Maker::Ranges> Maker::ranges_of(const Interval& interval) {
  Ranges out;
  const ByteView first = interval.first;
  const ByteView last = interval.last;
  bool open = false;  // a field before has more than one value: this one has to have all
  for (std::size_t at = 0; at < first.size(); at += 8) {
    const std::size_t size = std::min<std::size_t>(8, first.size() - at);
    const Range range{load_big_endian(first.subspan(at, size)),
                      load_big_endian(last.subspan(at, size))};
    const auto bits = static_cast<unsigned>(8 * size);
    const Range all{0, prefix_mask(bits, bits)};
    if (open && range != all) return std::nullopt;
    open = open || range.first != range.last;
    out.push_back(range);
  }
  return out;
}

// All combinations of the intervals of the rule's tests.
bool Maker::add(const Parts& parts, std::uint32_t owner) {
  std::vector<Range> any;
  for (const RunField& field : fields_) any.push_back({0, prefix_mask(field.bits(), field.bits())});
  std::vector<Ranges> rows = {any};
  for (const Test& test : parts.tests) {
    const Source& source = source_of(test);
    std::vector<Ranges> narrowed;
    for (const Ranges& row : rows) {
      for (const Interval& interval : test.intervals) {
        const auto ranges = ranges_of(widened(interval, source.size));
        if (!ranges) return false;
        Ranges both = row;
        bool possible = true;
        for (std::size_t i = 0; i < ranges->size(); ++i) {
          Range& range = both[source.first_field + i];
          range = {std::max(range.first, (*ranges)[i].first),
                   std::min(range.last, (*ranges)[i].last)};
          possible = possible && range.first <= range.last;
        }
        if (possible) narrowed.push_back(std::move(both));
        if (narrowed.size() > most_of_rule) return false;
      }
    }
    rows = std::move(narrowed);
  }
  for (Ranges& row : rows) {
    rows_.push_back(std::move(row));
    owner_.push_back(owner);
  }
  return true;
}

std::optional<Run> Maker::run(std::span<const imr::RuleId> rules) {
  for (const imr::RuleId rule : rules) {
    auto parts = parts_of(unit_, rule);
    invariant(parts.has_value(), "classification: a rule that does not suit a run");
    parts_.push_back(std::move(*parts));
  }
  find_sources();
  if (sources_.size() > most_fields || !make_fields()) return std::nullopt;
  std::vector<std::uint8_t> bits;
  for (const RunField& field : fields_) bits.push_back(field.bits());
  Run out{.fields = fields_, .list = RuleList(std::move(bits)), .owner = {}, .rules = {}};
  const std::size_t most = std::max(always_enough, rules.size() * most_per_rule);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!add(parts_[i], static_cast<std::uint32_t>(i)) || rows_.size() > most) {
      return std::nullopt;
    }
    out.rules.push_back(parts_[i].rule);
  }
  for (const Ranges& row : rows_) out.list.add(row);
  out.owner = std::move(owner_);
  return out;
}

}  // namespace

bool suits(const imr::Unit& unit, imr::RuleId rule) {
  return parts_of(unit, rule).has_value();
}

std::optional<Run> make_run(const imr::Unit& unit, std::span<const imr::RuleId> rules) {
  return Maker(unit).run(rules);
}

}  // namespace weir::classify
