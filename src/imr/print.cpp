// SPDX-License-Identifier: BSD-2-Clause
#include "imr/print.h"

#include <algorithm>
#include <cctype>

#include "imr/annotate.h"
#include "imr/visit.h"

namespace weir::imr {
namespace {

constexpr std::size_t columns = 100;

std::string quoted(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// A name as a word where the lexer reads it as one, quoted elsewhere.
std::string name(std::string_view text) {
  const auto letter = [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
  };
  const auto rest = [&](char c) {
    return letter(c) || std::isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '-' ||
           c == '/' || c == '~';
  };
  const bool word = !text.empty() && letter(text[0]) && std::ranges::all_of(text, rest);
  return word ? std::string(text) : quoted(text);
}

std::string number(std::size_t value) {
  return std::to_string(value);
}

bool all_are(const Bytes& bytes, std::uint8_t value) {
  return std::ranges::all_of(bytes, [&](std::uint8_t byte) { return byte == value; });
}

class Printer {
 public:
  Printer(const Ruleset& ruleset, std::optional<Nfproto> nfproto)
      : ruleset_(ruleset), nfproto_(nfproto) {}

  std::string run();
  std::string expr(ExprId id) const;
  std::string verdict(const Verdict& verdict) const;
  std::string table(TableId id) const {
    return std::string(to_string(ruleset_[id].family)) + " " + name(ruleset_[id].name);
  }

 private:
  void set(const Set& set);
  void chain(ChainId id);
  void rule(RuleId id, ChainId listed_in, bool removed);
  std::string statement(const Statement& statement, RuleId rule);
  std::string counter(CounterId id, RuleId rule);
  std::string meter(MeterId id) const;
  static std::string dynamics(const Dynamics& dynamics);
  std::optional<std::uint16_t> ethertype_of(TableId table) const;

  const Ruleset& ruleset_;
  std::optional<Nfproto> nfproto_;
  std::vector<bool> listed_;   // rules that some chain lists
  std::vector<bool> counted_;  // counters that some rule names
  std::string out_;
};

std::string Printer::run() {
  listed_.assign(ruleset_.rules.size(), false);
  counted_.assign(ruleset_.counters.size(), false);
  for (const Chain& chain : ruleset_.chains) {
    for (const RuleId rule : chain.rules) listed_.at(rule.index()) = true;
  }
  for (const Interface& interface : ruleset_.interfaces) {
    out_ += "interface " + name(interface.name) + " = " + number(interface.index) + "\n";
  }
  std::vector<bool> named(ruleset_.meters.size());
  for (const Rule& rule : ruleset_.rules) {
    for (const MeterId id : meters_of(ruleset_, rule)) named.at(id.index()) = true;
  }
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (!named[i]) out_ += meter(MeterId(i)) + "\n";
  }
  for (std::size_t i = 0; i < ruleset_.tables.size(); ++i) {
    const TableId id(i);
    out_ += "table " + table(id) + (ruleset_[id].dormant ? " dormant\n" : "\n");
    for (const Set& s : ruleset_.sets) {
      if (s.table == id) set(s);
    }
    for (std::size_t c = 0; c < ruleset_.chains.size(); ++c) {
      if (ruleset_[ChainId(c)].table == id) chain(ChainId(c));
    }
  }
  for (std::size_t i = 0; i < ruleset_.counters.size(); ++i) {
    if (!counted_[i]) out_ += counter(CounterId(i), RuleId()) + "\n";
  }
  return std::move(out_);
}

void Printer::set(const Set& set) {
  out_ += (set.is_verdict_map || set.is_data_map() ? "map " : "set ") + table(set.table) + " " +
          name(set.name) + " " + name(set.key_type) + " " + number(set.key_size);
  if (!set.field_sizes.empty()) out_ += " fields";
  for (const std::uint8_t size : set.field_sizes) out_ += " " + number(size);
  if (set.is_data_map()) out_ += " to " + name(set.data_type) + " " + number(set.data_size);
  if (set.interval) out_ += " interval";
  if (set.anonymous) out_ += " anonymous";
  if (set.dynamic) out_ += dynamics(*set.dynamic);
  if (!set.native_reason.empty()) out_ += " native " + quoted(set.native_reason);
  out_ += " {";
  std::vector<std::string> items;
  const auto add = [&](const std::string& key, const Element& element) {
    std::string item = key;
    if (element.verdict) item += " : " + verdict(*element.verdict);
    if (!element.data.empty()) item += " : " + to_hex(element.data);
    if (element.expires != 0) item += " expires " + std::to_string(element.expires);
    if (element.timeout != 0) item += " timeout " + std::to_string(element.timeout);
    if (!element.held.empty()) item += " held";
    for (const std::uint64_t word : element.held) item += " " + std::to_string(word);
    items.push_back(std::move(item));
  };
  for (const Element& e : set.elements) {
    add(to_hex(e.key) + (e.key == e.last ? "" : "-" + to_hex(e.last)), e);
  }
  if (set.catch_all) add("*", *set.catch_all);
  std::size_t column = out_.size() - (out_.rfind('\n') + 1);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = items[i] + (i + 1 < items.size() ? "," : "");
    if (column + 1 + item.size() + 2 > columns) {
      out_ += "\n   ";
      column = 3;
    }
    out_ += " " + item;
    column += 1 + item.size();
  }
  out_ += " }\n";
}

void Printer::chain(ChainId id) {
  const Chain& chain = ruleset_[id];
  out_ += "chain " + table(chain.table) + " " + name(chain.name);
  if (chain.base) {
    const BaseChain& base = *chain.base;
    if (base.type != "filter") out_ += " type " + name(base.type);
    out_ += " hook " + std::string(to_string(base.hook)) + " priority " +
            std::to_string(base.priority) + " policy " + (base.drop_by_policy ? "drop" : "accept");
    for (std::size_t i = 0; i < base.devices.size(); ++i) {
      out_ += (i == 0 ? " devices " : ", ") + name(base.devices[i]);
    }
  }
  out_ += "\n";
  for (const RuleId r : chain.rules) rule(r, id, false);
  for (std::size_t i = 0; i < ruleset_.rules.size(); ++i) {
    if (!listed_[i] && ruleset_[RuleId(i)].chain == id) rule(RuleId(i), id, true);
  }
}

std::optional<std::uint16_t> Printer::ethertype_of(TableId table) const {
  const Family family = ruleset_[table].family;
  if (nfproto_ == Nfproto::ipv4 || family == Family::ip) return 0x0800;
  if (nfproto_ == Nfproto::ipv6 || family == Family::ip6) return 0x86dd;
  if (family == Family::arp) return 0x0806;
  return std::nullopt;
}

void Printer::rule(RuleId id, ChainId listed_in, bool removed) {
  const Rule& rule = ruleset_[id];
  out_ += "  rule #" + number(id.value);
  if (removed) out_ += " removed";
  if (rule.synthetic) out_ += " synthetic";
  if (rule.run != 0) out_ += " run " + number(rule.run);
  if (rule.chain != listed_in) out_ += " written in " + name(ruleset_[rule.chain].name);
  if (rule.copy_of.valid()) out_ += " copy of #" + number(rule.copy_of.value);
  const Origin& origin = rule.origin;
  if (origin.handle != 0) out_ += " handle " + std::to_string(origin.handle);
  if (!origin.text.empty()) out_ += " " + quoted(origin.text.str());
  if (origin.location != SourceLocation{}) {
    out_ += " at " + name(origin.location.file);
    if (origin.location.line != 0 || origin.location.column != 0) {
      out_ += ":" + number(origin.location.line);
    }
    if (origin.location.column != 0) out_ += ":" + number(origin.location.column);
  }
  if (!origin.comment.empty()) out_ += " comment " + quoted(origin.comment.str());
  if (rule.total_statements != rule.statements.size()) {
    out_ += " statements " + number(rule.total_statements);
  }
  out_ += "\n";
  Annotator annotator(ethertype_of(ruleset_[listed_in].table));
  for (const Statement& s : rule.statements) {
    out_ += "    " + statement(s, id);
    const std::string note = annotator.annotate(ruleset_, s);
    out_ += note.empty() ? "\n" : "  ; " + note + "\n";
  }
}

std::string Printer::expr(ExprId id) const {
  return match_on(
      ruleset_[id], [](const Immediate& e) { return to_hex(e.value); },
      [](const Payload& e) {
        return "payload " + std::string(to_string(e.base)) + " " + number(e.offset) + " " +
               number(e.length) + (e.in_later_fragments ? " later-fragments" : "");
      },
      [](const HeaderField& e) { return "field " + quoted(e.name); },
      [](const Extension& e) {
        const std::string item =
            "extension " + std::string(to_string(e.kind)) + " " + number(e.type) + " ";
        return item + (e.presence ? "present" : number(e.offset) + " " + number(e.length));
      },
      [](const Meta& e) { return "meta " + std::string(to_string(e.key)); },
      [](const Ct& e) {
        const std::string direction(to_string(e.direction));
        return "ct " + direction + (direction.empty() ? "" : " ") + std::string(to_string(e.key));
      },
      [&](const MaskXor& e) {
        std::string text = "(" + expr(e.source);
        const bool flips = !all_are(e.flip, 0);
        if (!flips || !all_are(e.mask, 0xff)) text += " & " + to_hex(e.mask);
        if (flips) text += " ^ " + to_hex(e.flip);
        return text + ")";
      },
      [&](const Shift& e) {
        return "(" + expr(e.source) + (e.direction == Shift::Direction::left ? " << " : " >> ") +
               number(e.bits) + ")";
      },
      [&](const ByteSwap& e) { return "swap" + number(e.unit) + "(" + expr(e.source) + ")"; },
      [&](const Concat& e) {
        std::string text = "concat(";
        for (std::size_t i = 0; i < e.parts.size(); ++i) {
          text += (i == 0 ? "" : ", ") + expr(e.parts[i]);
        }
        return text + ")";
      },
      [&](const MapLookup& e) {
        return "lookup(" + expr(e.key) + ", @" + name(ruleset_[e.map].name) + ")";
      },
      [&](const Numgen& e) {
        return "numgen #" + number(e.meter.value) + " mod " +
               std::to_string(ruleset_.meters.at(e.meter.index()).amount) + " plus " +
               number(e.offset);
      },
      [&](const Random& e) {
        const std::string modulus = e.modulus == 0 ? "" : " mod " + number(e.modulus);
        return "random" + modulus + " plus " + number(e.offset);
      },
      [&](const Hash& e) {
        return "jhash(" + expr(e.source) + ", " + number(e.length) + ") seed " + number(e.seed) +
               " mod " + number(e.modulus) + " plus " + number(e.offset);
      },
      [&](const Nexthop& e) { return "nexthop(" + expr(e.source) + ")"; });
}

std::string Printer::verdict(const Verdict& verdict) const {
  switch (verdict.kind) {
    case Verdict::Kind::accept:
      return "accept";
    case Verdict::Kind::drop:
      return "drop";
    case Verdict::Kind::continue_:
      return "continue";
    case Verdict::Kind::return_:
      return "return";
    case Verdict::Kind::jump:
      return "jump " + name(ruleset_[verdict.chain].name);
    case Verdict::Kind::go_to:
      return "goto " + name(ruleset_[verdict.chain].name);
    case Verdict::Kind::queue:
      return "queue";
  }
  throw InvariantError("verdict out of range");
}

std::string Printer::counter(CounterId id, RuleId rule) {
  const CounterState& state = ruleset_.counters.at(id.index());
  counted_.at(id.index()) = true;
  std::string text = "counter #" + number(id.value) + " packets " + std::to_string(state.packets) +
                     " bytes " + std::to_string(state.bytes);
  if (!state.name.empty()) text += " name " + quoted(state.name.str());
  if (state.rule != rule) text += " of #" + number(state.rule.value);
  return text;
}

// What a meter is, behind its number.
std::string meter_text(const MeterState& state) {
  const std::string amount = std::to_string(state.amount);
  const std::string text = state.over ? " over" : "";
  switch (state.kind) {
    case MeterState::Kind::packet_rate:
    case MeterState::Kind::byte_rate:
      return text + " limit " + amount +
             (state.kind == MeterState::Kind::packet_rate ? " packets" : " bytes") + " each " +
             std::to_string(state.unit) + " burst " + number(state.burst);
    case MeterState::Kind::quota:
      return text + " quota " + amount + " used " + std::to_string(state.used);
    case MeterState::Kind::sequence:
      return text + " sequence " + amount;
  }
  throw InvariantError("meter out of range");
}

std::string Printer::meter(MeterId id) const {
  return "meter #" + number(id.value) + meter_text(ruleset_.meters.at(id.index()));
}

std::string Printer::dynamics(const Dynamics& dynamics) {
  std::string out = dynamics.ranges ? " dynamic ranges" : " dynamic";
  if (dynamics.timeouts) out += " timeouts " + std::to_string(dynamics.timeout);
  out += " size " + number(dynamics.size);
  for (const ElementStatement& statement : dynamics.statements) {
    out += " each" + match_on(
                         statement, [](const MeterState& meter) { return meter_text(meter); },
                         [](const ElementCounter& counter) {
                           return " counter packets " + std::to_string(counter.packets) +
                                  " bytes " + std::to_string(counter.bytes);
                         });
  }
  return out;
}

std::string change(const DynamicSet& statement) {
  switch (statement.op) {
    case DynamicSet::Op::add:
      return "add ";
    case DynamicSet::Op::update:
      return "update ";
    case DynamicSet::Op::remove:
      return "delete ";
  }
  throw InvariantError("change of a set out of range");
}

std::string Printer::statement(const Statement& statement, RuleId rule) {
  return match_on(
      statement,
      [&](const Match& s) {
        return "match " + expr(s.lhs) + " " + std::string(to_string(s.op)) + " " + to_hex(s.rhs);
      },
      [&](const MatchRange& s) {
        return "match " + expr(s.lhs) + (s.inverted ? " not in [" : " in [") + to_hex(s.from) +
               ", " + to_hex(s.to) + "]";
      },
      [&](const MatchSet& s) {
        return "match " + expr(s.key) + (s.inverted ? " not in @" : " in @") +
               name(ruleset_[s.set].name);
      },
      [&](const VerdictMap& s) {
        return "vmap " + expr(s.key) + " @" + name(ruleset_[s.map].name);
      },
      [&](const VerdictStatement& s) { return verdict(s.verdict); },
      [&](const Counter& s) { return counter(s.counter, rule); },
      [&](const Meter& s) { return meter(s.meter); },
      [&](const Choice& s) {
        std::string items;
        for (const CounterId id : s.counters) {
          items += (items.empty() ? "" : ", ") + counter(id, rule);
        }
        for (const MeterId id : s.meters) items += (items.empty() ? "" : ", ") + meter(id);
        return "choose " + expr(s.place) + " of { " + items + " }";
      },
      [&](const MetaWrite& s) {
        return "write meta " + std::string(to_string(s.key)) + " " + expr(s.value);
      },
      [&](const PayloadWrite& s) {
        return "write payload " + std::string(to_string(s.base)) + " " + number(s.offset) + " " +
               number(s.length) + (s.checksum ? " checksum " + number(*s.checksum) : "") +
               (s.pseudo_header ? " pseudo-header " : " ") + expr(s.value);
      },
      [&](const OptionWrite& s) {
        return "write extension tcp " + number(s.type) + " " + number(s.offset) + " " +
               number(s.length) + " " + expr(s.value);
      },
      [](const OptionStrip& s) { return "strip extension tcp " + number(s.type); },
      [&](const Answer& s) {
        const std::string text = "answer " + std::string(to_string(s.kind));
        return text + (s.kind == Answer::Kind::reset ? "" : " " + number(s.code)) +
               (s.limit ? " " + meter(*s.limit) : "");
      },
      [&](const Forward& s) { return "forward " + expr(s.device); },
      [&](const Duplicate& s) { return "duplicate " + expr(s.device); },
      [&](const Log& s) {
        const std::string text = "log prefix " + quoted(s.prefix.str());
        if (!s.group) return text + " level " + number(s.level) + " flags " + number(s.flags);
        return text + " group " + number(*s.group) + " snaplen " + number(s.snaplen) +
               " threshold " + number(s.threshold);
      },
      [&](const DynamicSet& s) {
        return change(s) + expr(s.key) + (s.data ? " : " + expr(*s.data) : "") + " @" +
               name(ruleset_[s.set].name) +
               (s.timeout == 0 ? "" : " timeout " + std::to_string(s.timeout)) +
               (s.inverted ? " inverted" : "");
      },
      [](const Native& s) {
        return "native " + quoted(s.text.str()) + " because " + quoted(s.reason.str());
      });
}

}  // namespace

std::string print(const Ruleset& ruleset) {
  return Printer(ruleset, std::nullopt).run();
}

std::string print(const Unit& unit) {
  Printer printer(unit.ruleset, unit.nfproto);
  Hook plain = unit.hook;
  plain.device.clear();
  std::string out = "unit " + to_string(plain);
  if (!unit.hook.device.empty()) out += "@" + name(unit.hook.device);
  out += " " + std::string(to_string(unit.nfproto));
  for (std::size_t i = 0; i < unit.roots.size(); ++i) {
    const Chain& root = unit.ruleset[unit.roots[i]];
    out += (i == 0 ? " roots " : ", ") + printer.table(root.table) + " " + name(root.name);
  }
  return out + "\n" + printer.run();
}

std::string print(const Ruleset& ruleset, ExprId expr) {
  return Printer(ruleset, std::nullopt).expr(expr);
}

std::string print(const Ruleset& ruleset, const Verdict& verdict) {
  return Printer(ruleset, std::nullopt).verdict(verdict);
}

}  // namespace weir::imr
