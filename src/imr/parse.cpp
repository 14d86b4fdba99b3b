// SPDX-License-Identifier: BSD-2-Clause
//
// parse_ruleset() and parse_unit(): a recursive descent over the tokens. Names may be used before
// what they name, and rules and counters may carry numbers or not, so ids are provisional while the
// text is read; resolve.h makes them final.
#include "imr/parse.h"

#include <array>
#include <charconv>
#include <limits>

#include "imr/lexer.h"
#include "imr/resolve.h"
#include "imr/verify.h"

namespace weir::imr {
namespace {

constexpr int max_nesting = 64;  // of parentheses
constexpr std::array<std::uint8_t, 3> swap_units = {2, 4, 8};

class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : lexer_(text, file) {}

  void ruleset();
  void unit_header(Unit& unit);
  Ruleset finish(std::vector<ChainId>& roots) { return draft_.finish(roots); }

 private:
  using Kind = Token::Kind;

  [[noreturn]] void fail(const Token& found, const std::string& expected) const {
    throw TextError{
        input_error("found " + found.named() + ", expected " + expected, found.location).error()};
  }
  bool at_word(std::string_view word) const {
    return lexer_.peek().kind == Kind::word && lexer_.peek().text == word;
  }
  bool at_symbol(std::string_view symbol) const {
    return lexer_.peek().kind == Kind::symbol && lexer_.peek().text == symbol;
  }
  bool take_word(std::string_view word) {
    const bool found = at_word(word);
    if (found) lexer_.next();
    return found;
  }
  bool take_symbol(std::string_view symbol) {
    const bool found = at_symbol(symbol);
    if (found) lexer_.next();
    return found;
  }
  void expect_word(std::string_view word) {
    if (!take_word(word)) fail(lexer_.peek(), "'" + std::string(word) + "'");
  }
  void expect_symbol(std::string_view symbol) {
    if (!take_symbol(symbol)) fail(lexer_.peek(), "'" + std::string(symbol) + "'");
  }
  template <typename T>
  T number(const std::string& what, T max = std::numeric_limits<T>::max());
  Bytes bytes();
  std::string name(const std::string& what);
  std::string string(const std::string& what);

  TableId table_reference();
  void table();
  void interface();
  void set(bool is_map);
  Element element(const Set& set);
  void chain();
  void base_chain(BaseChain& base);
  void rule(ChainId chain);
  void origin(Origin& origin);
  bool statement(RuleDraft& rule);
  Statement write(TableId table);
  Statement log();
  Statement match(TableId table);
  CounterId counter(std::optional<std::size_t> rule);
  MeterId meter();
  Answer answer();
  Choice choice(TableId table, std::size_t rule);
  void meter_state(MeterState& state);
  Dynamics dynamics();
  Statement change(DynamicSet::Op op, TableId table);
  Expr numgen();
  Expr random();
  Expr hash(TableId table, int nesting);
  std::optional<Verdict> verdict(TableId table);
  ExprId expr(TableId table, int nesting = 0);
  Expr parenthesis(TableId table, int nesting);
  Payload payload_place();
  Expr payload();
  Expr extension();
  void tcp_option();
  MetaKey meta_key();
  Ct ct();

  Lexer lexer_;
  Draft draft_;
};

template <typename T>
T Parser::number(const std::string& what, T max) {
  const Token token = lexer_.next();
  T value{};
  const char* end = token.text.data() + token.text.size();
  const auto [stop, error] = std::from_chars(token.text.data(), end, value);
  if (token.kind != Kind::number || error != std::errc() || stop != end || value > max) {
    fail(token, what + ", a number from 0 to " + std::to_string(max));
  }
  return value;
}

Bytes Parser::bytes() {
  const Token token = lexer_.next();
  if (token.kind == Kind::hex) {
    if (auto value = from_hex(token.text)) return *value;
  }
  fail(token, "bytes like 0x0a00, two hex digits each");
}

std::string Parser::name(const std::string& what) {
  Token token = lexer_.next();
  if (token.kind != Kind::word && token.kind != Kind::string) fail(token, what);
  return std::move(token.text);
}

std::string Parser::string(const std::string& what) {
  Token token = lexer_.next();
  if (token.kind != Kind::string) fail(token, what + " in quotes");
  return std::move(token.text);
}

void Parser::ruleset() {
  while (lexer_.peek().kind != Kind::end) {
    if (take_word("table")) {
      table();
    } else if (take_word("interface")) {
      interface();
    } else if (take_word("set")) {
      set(false);
    } else if (take_word("map")) {
      set(true);
    } else if (take_word("chain")) {
      chain();
    } else if (take_word("counter")) {
      counter(std::nullopt);
    } else if (take_word("meter")) {
      meter();
    } else {
      fail(lexer_.peek(), "table, interface, set, map, chain, counter or meter");
    }
  }
}

void Parser::unit_header(Unit& unit) {
  expect_word("unit");
  const Token at = lexer_.peek();
  std::string hook = name("a hook");
  if (take_symbol(":")) hook += ":" + name("a netfilter hook");
  if (take_symbol("@")) hook += "@" + name("a device");
  const auto parsed = parse_hook(hook);
  if (!parsed) throw TextError{input_error(parsed.error().message, at.location).error()};
  unit.hook = *parsed;
  if (take_word("ipv6")) {
    unit.nfproto = Nfproto::ipv6;
  } else if (take_word("other")) {
    unit.nfproto = Nfproto::other;
  } else if (!take_word("ipv4")) {
    fail(lexer_.peek(), "ipv4, ipv6 or other");
  }
  if (!take_word("roots")) return;
  do {
    const Token place = lexer_.peek();
    const auto family = parse_family(name("a family"));
    if (!family) throw TextError{input_error(family.error().message, place.location).error()};
    std::string table = name("a table");
    draft_.root(*family, std::move(table), name("a chain"), place.location, unit.roots);
  } while (take_symbol(","));
}

TableId Parser::table_reference() {
  const Token at = lexer_.peek();
  const auto family = parse_family(name("a family"));
  if (!family) throw TextError{input_error(family.error().message, at.location).error()};
  const std::string table = name("a table");
  for (std::size_t i = 0; i < draft_.ruleset.tables.size(); ++i) {
    const Table& known = draft_.ruleset.tables[i];
    if (known.family == *family && known.name == table) return TableId(i);
  }
  throw TextError{
      input_error("unknown table '" + table + "', expected one declared above", at.location)
          .error()};
}

void Parser::table() {
  const Token at = lexer_.peek();
  const auto family = parse_family(name("a family"));
  if (!family) throw TextError{input_error(family.error().message, at.location).error()};
  Table table{.family = *family, .name = name("a table name"), .dormant = false};
  table.dormant = take_word("dormant");
  draft_.ruleset.add(std::move(table));
}

void Parser::interface() {
  Interface interface{.name = name("an interface name"), .index = 0};
  expect_symbol("=");
  interface.index = number<std::uint32_t>("an interface index");
  draft_.ruleset.interfaces.push_back(std::move(interface));
}

void Parser::set(bool is_map) {
  Set set;
  set.table = table_reference();
  set.name = name("a set name");
  set.key_type = name("a key type");
  set.key_size = number<std::uint16_t>("a key size", max_value_size);
  if (take_word("fields")) {
    while (lexer_.peek().kind == Kind::number) {
      set.field_sizes.push_back(number<std::uint8_t>("a field size", max_value_size));
    }
  }
  if (is_map && take_word("to")) {
    set.data_type = name("a data type");
    set.data_size = number<std::uint16_t>("a data size", max_value_size);
  }
  set.is_verdict_map = is_map && !set.is_data_map();
  set.interval = take_word("interval");
  set.anonymous = take_word("anonymous");
  if (take_word("dynamic")) set.dynamic = dynamics();
  if (take_word("native")) set.native_reason = string("a reason");
  expect_symbol("{");
  std::vector<Element> elements;
  while (!take_symbol("}")) {
    if (!elements.empty() || set.catch_all) expect_symbol(",");
    const Token at = lexer_.peek();
    const bool catches_all = take_symbol("*");
    Element item = element(set);
    if (!catches_all) {
      elements.push_back(std::move(item));
    } else if (set.catch_all) {
      fail(at, "one catch-all element at most");
    } else {
      set.catch_all = std::move(item);
    }
  }
  set.elements = std::move(elements);
  draft_.ruleset.add(std::move(set));
}

// Behind the "*" of a catch-all element, the rest of it.
Element Parser::element(const Set& set) {
  Element element;
  if (lexer_.peek().kind == Kind::hex) {
    element.key = bytes();
    element.last = take_symbol("-") ? bytes() : element.key;
  } else if (!at_symbol(":") && !at_symbol(",") && !at_symbol("}")) {
    fail(lexer_.peek(), "an element, bytes or '*'");
  }
  if (set.is_data_map()) {
    expect_symbol(":");
    element.data = bytes();
  } else if (set.is_verdict_map) {
    expect_symbol(":");
    element.verdict = verdict(set.table);
    if (!element.verdict) fail(lexer_.peek(), "a verdict");
  }
  if (take_word("expires")) element.expires = number<std::uint64_t>("a number of milliseconds");
  if (take_word("timeout")) element.timeout = number<std::uint64_t>("a number of milliseconds");
  if (take_word("held")) {
    while (lexer_.peek().kind == Kind::number) {
      element.held.push_back(number<std::uint64_t>("what a statement holds"));
    }
  }
  return element;
}

Dynamics Parser::dynamics() {
  Dynamics out;
  out.ranges = take_word("ranges");
  out.timeouts = take_word("timeouts");
  if (out.timeouts) out.timeout = number<std::uint64_t>("a number of milliseconds");
  expect_word("size");
  out.size = number<std::uint32_t>("a number of elements");
  while (take_word("each")) {
    if (!take_word("counter")) {
      meter_state(std::get<MeterState>(out.statements.emplace_back(MeterState{})));
      continue;
    }
    ElementCounter counter;
    expect_word("packets");
    counter.packets = number<std::uint64_t>("a number of packets");
    expect_word("bytes");
    counter.bytes = number<std::uint64_t>("a number of bytes");
    out.statements.emplace_back(counter);
  }
  return out;
}

void Parser::chain() {
  Chain chain;
  chain.table = table_reference();
  chain.name = name("a chain name");
  if (at_word("type") || at_word("hook")) base_chain(chain.base.emplace());
  const ChainId id = draft_.ruleset.add(std::move(chain));
  while (take_word("rule")) rule(id);
}

void Parser::base_chain(BaseChain& base) {
  if (take_word("type")) base.type = name("a chain type");
  expect_word("hook");
  const Token at = lexer_.next();
  bool known = false;
  for (int i = 0; i <= static_cast<int>(NfHook::egress); ++i) {
    if (at.kind == Kind::word && at.text == to_string(static_cast<NfHook>(i))) {
      base.hook = static_cast<NfHook>(i);
      known = true;
    }
  }
  if (!known) fail(at, "prerouting, input, forward, output, postrouting, ingress or egress");
  expect_word("priority");
  const bool negative = take_symbol("-");
  const auto magnitude = number<std::int64_t>("a priority", negative ? 0x80000000 : 0x7fffffff);
  base.priority = static_cast<std::int32_t>(negative ? -magnitude : magnitude);
  expect_word("policy");
  base.drop_by_policy = take_word("drop");
  if (!base.drop_by_policy) expect_word("accept");
  if (!take_word("devices")) return;
  do {
    base.devices.push_back(name("a device"));
  } while (take_symbol(","));
}

void Parser::rule(ChainId chain) {
  RuleDraft& draft = draft_.add_rule(chain, lexer_.peek().location);
  Rule& rule = draft.rule;
  if (take_symbol("#")) draft.number = number<std::uint32_t>("a rule number", 0xfffffffe);
  draft.removed = take_word("removed");
  rule.synthetic = take_word("synthetic");
  if (take_word("run")) rule.run = number<std::uint32_t>("a run's number", 0xffffffff);
  const TableId table = draft_.ruleset[chain].table;
  if (take_word("written")) {
    expect_word("in");
    const Token at = lexer_.peek();
    draft.written_in = draft_.chain_named(table, name("a chain"), at.location);
  }
  if (take_word("copy")) {
    expect_word("of");
    expect_symbol("#");
    draft.copy_of = number<std::uint32_t>("a rule number", 0xfffffffe);
  }
  origin(rule.origin);
  std::optional<std::uint32_t> total;
  if (take_word("statements")) total = number<std::uint32_t>("a number of statements");
  while (statement(draft)) {
  }
  rule.total_statements = total.value_or(static_cast<std::uint32_t>(rule.statements.size()));
}

void Parser::origin(Origin& origin) {
  if (take_word("handle")) origin.handle = number<std::uint64_t>("a handle");
  if (lexer_.peek().kind == Kind::string) origin.text = string("the rule's text");
  if (take_word("at")) {
    origin.location.file = name("a file name");
    if (take_symbol(":")) origin.location.line = number<std::uint32_t>("a line");
    if (take_symbol(":")) origin.location.column = number<std::uint32_t>("a column");
  }
  if (take_word("comment")) origin.comment = string("a comment");
}

// Reads one statement into the rule; false where none begins.
bool Parser::statement(RuleDraft& draft) {
  const TableId table = draft_.ruleset[draft.listed_in].table;
  SharedList<Statement>& out = draft.rule.statements;
  if (take_word("match")) {
    out.push_back(match(table));
  } else if (take_word("vmap")) {
    const ExprId key = expr(table);
    expect_symbol("@");
    const Token at = lexer_.peek();
    out.push_back(VerdictMap{key, draft_.set_named(table, name("a map"), at.location)});
  } else if (take_word("counter")) {
    out.push_back(Counter{counter(draft.index)});
  } else if (take_word("meter")) {
    out.push_back(Meter{meter()});
  } else if (take_word("choose")) {
    out.push_back(choice(table, draft.index));
  } else if (take_word("write")) {
    out.push_back(write(table));
  } else if (take_word("strip")) {
    tcp_option();
    out.push_back(OptionStrip{number<std::uint8_t>("a type")});
  } else if (take_word("answer")) {
    out.push_back(answer());
  } else if (take_word("forward")) {
    out.push_back(Forward{expr(table)});
  } else if (take_word("duplicate")) {
    out.push_back(Duplicate{expr(table)});
  } else if (take_word("log")) {
    out.push_back(log());
  } else if (take_word("add")) {
    out.push_back(change(DynamicSet::Op::add, table));
  } else if (take_word("update")) {
    out.push_back(change(DynamicSet::Op::update, table));
  } else if (take_word("delete")) {
    out.push_back(change(DynamicSet::Op::remove, table));
  } else if (take_word("native")) {
    Native native{.text = string("the text of the statement"), .reason = {}};
    expect_word("because");
    native.reason = string("a reason");
    out.push_back(std::move(native));
  } else if (const auto found = verdict(table)) {
    out.push_back(VerdictStatement{*found});
  } else if (lexer_.peek().kind == Kind::end || at_word("rule") || at_word("table") ||
             at_word("interface") || at_word("set") || at_word("map") || at_word("chain")) {
    return false;
  } else {
    fail(lexer_.peek(),
         "a statement: match, vmap, counter, meter, choose, write, strip, answer, forward, "
         "duplicate, log, add, update, delete, native or a verdict");
  }
  return true;
}

void Parser::tcp_option() {
  expect_word("extension");
  expect_word("tcp");
}

Statement Parser::write(TableId table) {
  if (at_word("extension")) {
    tcp_option();
    OptionWrite out{.type = number<std::uint8_t>("a type"), .value = {}};
    out.offset = number<std::uint8_t>("an offset");
    out.length = number<std::uint8_t>("a length");
    out.value = expr(table);
    return out;
  }
  if (!take_word("payload")) {
    expect_word("meta");
    const MetaKey key = meta_key();
    return MetaWrite{key, expr(table)};
  }
  const Payload place = payload_place();
  PayloadWrite out{.base = place.base, .offset = place.offset, .length = place.length, .value = {}};
  if (take_word("checksum")) out.checksum = number<std::uint8_t>("an offset");
  out.pseudo_header = take_word("pseudo-header");
  out.value = expr(table);
  return out;
}

Answer Parser::answer() {
  Answer out;
  if (take_word("reset")) {
    out.kind = Answer::Kind::reset;
  } else {
    if (take_word("icmpx")) {
      out.kind = Answer::Kind::icmpx;
    } else {
      expect_word("icmp");
    }
    out.code = number<std::uint8_t>("a code");
  }
  if (take_word("meter")) out.limit = meter();
  return out;
}

Choice Parser::choice(TableId table, std::size_t rule) {
  Choice out{.place = expr(table)};
  expect_word("of");
  expect_symbol("{");
  do {
    if (take_word("counter")) {
      out.counters.push_back(counter(rule));
    } else if (take_word("meter")) {
      out.meters.push_back(meter());
    } else {
      fail(lexer_.peek(), "counter or meter");
    }
  } while (take_symbol(","));
  expect_symbol("}");
  return out;
}

Statement Parser::log() {
  expect_word("prefix");
  Log log{.prefix = string("a prefix")};
  if (take_word("group")) {
    log.group = number<std::uint16_t>("a group");
    expect_word("snaplen");
    log.snaplen = number<std::uint32_t>("a number of bytes");
    expect_word("threshold");
    log.threshold = number<std::uint16_t>("a number of packets");
  } else {
    expect_word("level");
    log.level = number<std::uint8_t>("a level");
    expect_word("flags");
    log.flags = number<std::uint8_t>("flags");
  }
  return log;
}

Statement Parser::change(DynamicSet::Op op, TableId table) {
  DynamicSet out{.op = op, .key = expr(table), .set = {}};
  if (take_symbol(":")) out.data = expr(table);
  expect_symbol("@");
  const Token at = lexer_.peek();
  out.set = draft_.set_named(table, name("a set"), at.location);
  if (take_word("timeout")) out.timeout = number<std::uint64_t>("a number of milliseconds");
  out.inverted = take_word("inverted");
  return out;
}

Statement Parser::match(TableId table) {
  const ExprId lhs = expr(table);
  for (const Relop op : {Relop::eq, Relop::ne, Relop::lt, Relop::le, Relop::gt, Relop::ge}) {
    if (take_symbol(to_string(op))) return Match{lhs, op, bytes()};
  }
  const bool inverted = take_word("not");
  if (!take_word("in")) fail(lexer_.peek(), "==, !=, <, <=, >, >=, in or not in");
  if (take_symbol("[")) {
    MatchRange range{.lhs = lhs, .inverted = inverted, .from = bytes(), .to = {}};
    expect_symbol(",");
    range.to = bytes();
    expect_symbol("]");
    return range;
  }
  if (!take_symbol("@")) fail(lexer_.peek(), "'[' of a range or '@' of a set");
  const Token at = lexer_.peek();
  return MatchSet{lhs, draft_.set_named(table, name("a set"), at.location), inverted};
}

CounterId Parser::counter(std::optional<std::size_t> rule) {
  CounterDraft counter{.location = lexer_.peek().location, .rule = rule};
  if (take_symbol("#")) counter.number = number<std::uint32_t>("a counter number", 0xfffffffe);
  if (take_word("packets")) {
    counter.packets = number<std::uint64_t>("a number of packets");
    expect_word("bytes");
    counter.bytes = number<std::uint64_t>("a number of bytes");
  }
  if (take_word("name")) counter.name = string("the counter's name");
  if (take_word("of")) {
    expect_symbol("#");
    counter.owner = number<std::uint32_t>("a rule number", 0xfffffffe);
  } else if (!rule) {
    fail(lexer_.peek(), "'of', since this counter stands in no rule");
  }
  return draft_.add_counter(std::move(counter));
}

MeterId Parser::meter() {
  MeterDraft meter{.location = lexer_.peek().location, .number = {}, .state = {}};
  if (take_symbol("#")) meter.number = number<std::uint32_t>("a meter number", 0xfffffffe);
  meter_state(meter.state);
  return draft_.add_meter(std::move(meter));
}

void Parser::meter_state(MeterState& state) {
  state.over = take_word("over");
  if (take_word("limit")) {
    state.amount = number<std::uint64_t>("a rate");
    state.kind = MeterState::Kind::byte_rate;
    if (!take_word("bytes")) {
      expect_word("packets");
      state.kind = MeterState::Kind::packet_rate;
    }
    expect_word("each");
    state.unit = number<std::uint64_t>("a number of seconds");
    expect_word("burst");
    state.burst = number<std::uint32_t>("a burst");
  } else if (take_word("quota")) {
    state.kind = MeterState::Kind::quota;
    state.amount = number<std::uint64_t>("a number of bytes");
    expect_word("used");
    state.used = number<std::uint64_t>("a number of bytes");
  } else {
    if (!take_word("sequence")) fail(lexer_.peek(), "limit, quota or sequence");
    state.kind = MeterState::Kind::sequence;
    state.amount = number<std::uint32_t>("a modulus");
  }
}

Expr Parser::numgen() {
  MeterDraft meter{.location = lexer_.peek().location, .number = {}, .state = {}};
  meter.state.kind = MeterState::Kind::sequence;
  if (take_symbol("#")) meter.number = number<std::uint32_t>("a meter number", 0xfffffffe);
  expect_word("mod");
  meter.state.amount = number<std::uint32_t>("a modulus");
  expect_word("plus");
  const auto offset = number<std::uint32_t>("an offset");
  return Numgen{draft_.add_meter(std::move(meter)), offset};
}

Expr Parser::random() {
  Random random;
  if (take_word("mod")) random.modulus = number<std::uint32_t>("a modulus");
  expect_word("plus");
  random.offset = number<std::uint32_t>("an offset");
  return random;
}

Expr Parser::hash(TableId table, int nesting) {
  Hash hash;
  expect_symbol("(");
  hash.source = expr(table, nesting + 1);
  expect_symbol(",");
  hash.length = number<std::uint8_t>("a number of bytes");
  expect_symbol(")");
  expect_word("seed");
  hash.seed = number<std::uint32_t>("a seed");
  expect_word("mod");
  hash.modulus = number<std::uint32_t>("a modulus");
  expect_word("plus");
  hash.offset = number<std::uint32_t>("an offset");
  return hash;
}

std::optional<Verdict> Parser::verdict(TableId table) {
  using Kinds = Verdict::Kind;
  if (take_word("accept")) return Verdict{.kind = Kinds::accept, .chain = {}};
  if (take_word("drop")) return Verdict{.kind = Kinds::drop, .chain = {}};
  if (take_word("continue")) return Verdict{.kind = Kinds::continue_, .chain = {}};
  if (take_word("return")) return Verdict{.kind = Kinds::return_, .chain = {}};
  if (take_word("queue")) return Verdict{.kind = Kinds::queue, .chain = {}};
  const bool jumps = take_word("jump");
  if (!jumps && !take_word("goto")) return std::nullopt;
  const Token at = lexer_.peek();
  return Verdict{.kind = jumps ? Kinds::jump : Kinds::go_to,
                 .chain = draft_.chain_named(table, name("a chain"), at.location)};
}

Payload Parser::payload_place() {
  Payload payload;
  const Token base = lexer_.next();
  bool known = false;
  for (const auto b :
       {HeaderBase::link, HeaderBase::network, HeaderBase::transport, HeaderBase::inner}) {
    if (base.kind == Kind::word && base.text == to_string(b)) {
      payload.base = b;
      known = true;
    }
  }
  if (!known) fail(base, "link, network, transport or inner");
  payload.offset = number<std::uint16_t>("an offset");
  payload.length = number<std::uint16_t>("a length", max_value_size);
  return payload;
}

Expr Parser::payload() {
  Payload payload = payload_place();
  payload.in_later_fragments = take_word("later-fragments");
  return payload;
}

Expr Parser::extension() {
  Extension extension;
  const Token kind = lexer_.next();
  bool known = false;
  for (const auto k :
       {ExtensionKind::ipv6, ExtensionKind::tcp, ExtensionKind::ipv4, ExtensionKind::sctp}) {
    if (kind.kind == Kind::word && kind.text == to_string(k)) {
      extension.kind = k;
      known = true;
    }
  }
  if (!known) fail(kind, "ipv6, tcp, ipv4 or sctp");
  extension.type = number<std::uint8_t>("a type");
  extension.presence = take_word("present");
  if (extension.presence) return extension;
  extension.offset = number<std::uint8_t>("an offset, or 'present'");
  extension.length = number<std::uint8_t>("a length", max_value_size);
  return extension;
}

// "l4proto, nfproto or mark"
template <typename Key>
std::string listed(const std::vector<Key>& keys) {
  std::string out;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) out += i + 1 == keys.size() ? " or " : ", ";
    out += to_string(keys[i]);
  }
  return out;
}

MetaKey Parser::meta_key() {
  const Token key = lexer_.next();
  const std::vector<MetaKey> keys = all_meta_keys();
  const auto is_meant = [&](MetaKey meta) { return key.text == to_string(meta); };
  const auto found = std::ranges::find_if(keys, is_meant);
  if (key.kind != Kind::word || found == keys.end()) fail(key, "a meta key: " + listed(keys));
  return *found;
}

Ct Parser::ct() {
  Ct ct;
  for (const CtDirection direction : {CtDirection::original, CtDirection::reply}) {
    if (take_word(std::string(to_string(direction)))) ct.direction = direction;
  }
  const Token key = lexer_.next();
  std::vector<CtKey> keys = all_ct_keys();
  std::erase_if(keys, [&](CtKey one) {
    return ct.direction == CtDirection::none ? needs_direction(one) : !takes_direction(one);
  });
  const auto is_meant = [&](CtKey one) { return key.text == to_string(one); };
  const auto found = std::ranges::find_if(keys, is_meant);
  if (key.kind != Kind::word || found == keys.end()) fail(key, "a ct key: " + listed(keys));
  ct.key = *found;
  return ct;
}

ExprId Parser::expr(TableId table, int nesting) {
  if (nesting > max_nesting) fail(lexer_.peek(), "at most 64 expressions inside one another");
  if (lexer_.peek().kind == Kind::hex) return draft_.ruleset.add(Immediate{bytes()});
  if (take_symbol("(")) return draft_.ruleset.add(parenthesis(table, nesting));
  if (take_word("payload")) return draft_.ruleset.add(payload());
  if (take_word("field")) return draft_.ruleset.add(HeaderField{string("a field name")});
  if (take_word("extension")) return draft_.ruleset.add(extension());
  if (take_word("meta")) return draft_.ruleset.add(Meta{meta_key()});
  if (take_word("ct")) return draft_.ruleset.add(ct());
  if (take_word("numgen")) return draft_.ruleset.add(numgen());
  if (take_word("random")) return draft_.ruleset.add(random());
  if (take_word("jhash")) return draft_.ruleset.add(hash(table, nesting));
  if (take_word("nexthop")) {
    expect_symbol("(");
    const ExprId source = expr(table, nesting + 1);
    expect_symbol(")");
    return draft_.ruleset.add(Nexthop{source});
  }
  for (const std::uint8_t unit : swap_units) {
    if (!take_word("swap" + std::to_string(unit))) continue;
    expect_symbol("(");
    const ExprId source = expr(table, nesting + 1);
    expect_symbol(")");
    return draft_.ruleset.add(ByteSwap{source, unit});
  }
  if (take_word("concat")) {
    Concat concat;
    expect_symbol("(");
    do {
      concat.parts.push_back(expr(table, nesting + 1));
    } while (take_symbol(","));
    expect_symbol(")");
    return draft_.ruleset.add(std::move(concat));
  }
  if (take_word("lookup")) {
    expect_symbol("(");
    const ExprId key = expr(table, nesting + 1);
    expect_symbol(",");
    expect_symbol("@");
    const Token at = lexer_.peek();
    const SetId map = draft_.set_named(table, name("a map"), at.location);
    expect_symbol(")");
    return draft_.ruleset.add(MapLookup{key, map});
  }
  fail(lexer_.peek(),
       "an expression: payload, field, extension, meta, ct, swap2, swap4, swap8, concat, lookup, "
       "numgen, random, jhash, nexthop, bytes or '('");
}

// Behind its "(": a shift, or a mask, a flip or both.
Expr Parser::parenthesis(TableId table, int nesting) {
  const ExprId source = expr(table, nesting + 1);
  for (const auto direction : {Shift::Direction::left, Shift::Direction::right}) {
    if (!take_symbol(direction == Shift::Direction::left ? "<<" : ">>")) continue;
    const Shift shift{source, direction, number<std::uint8_t>("a number of bits", 31)};
    expect_symbol(")");
    return shift;
  }
  MaskXor masked{.source = source, .mask = {}, .flip = {}};
  if (take_symbol("&")) masked.mask = bytes();
  if (take_symbol("^")) masked.flip = bytes();
  if (masked.mask.empty()) masked.mask.assign(masked.flip.size(), 0xff);
  if (masked.flip.empty()) masked.flip.assign(masked.mask.size(), 0x00);
  if (masked.mask.empty()) fail(lexer_.peek(), "'&', '^', '<<' or '>>' and what follows it");
  expect_symbol(")");
  return masked;
}

template <typename T>
Result<T> checked(T value, const std::string& file) {
  if (auto violation = find_violation(value)) {
    return input_error(*violation, {.file = file, .line = 0, .column = 0});
  }
  return value;
}

}  // namespace

Result<Ruleset> parse_ruleset(std::string_view text, const std::string& file) {
  try {
    Parser parser(text, file);
    parser.ruleset();
    std::vector<ChainId> no_roots;
    return checked(parser.finish(no_roots), file);
  } catch (TextError& error) {
    return std::unexpected(std::move(error.diagnostic));
  }
}

Result<Unit> parse_unit(std::string_view text, const std::string& file) {
  try {
    Parser parser(text, file);
    Unit unit;
    parser.unit_header(unit);
    parser.ruleset();
    unit.ruleset = parser.finish(unit.roots);
    return checked(std::move(unit), file);
  } catch (TextError& error) {
    return std::unexpected(std::move(error.diagnostic));
  }
}

}  // namespace weir::imr
