// SPDX-License-Identifier: BSD-2-Clause
//
// evaluate(): nft_do_chain() in net/netfilter/nf_tables_core.c (Linux 6.18) and the expressions
// beside it, over the nodes of imr.h.
#include "imr/evaluator.h"

#include <algorithm>
#include <cstring>

#include "base/chance.h"
#include "imr/answer.h"
#include "imr/extensions.h"
#include "imr/hash.h"
#include "imr/identity.h"
#include "imr/log.h"
#include "imr/packet_view.h"
#include "imr/packet_write.h"
#include "imr/reading.h"
#include "imr/visit.h"
#include "packet/fields.h"

namespace weir::imr {
namespace {

constexpr std::size_t jump_stack_size = 16;  // NFT_JUMP_STACK_SIZE
constexpr std::uint64_t arphrd_ether = 1;
constexpr unsigned reply_offset = 3;  // IP_CT_IS_REPLY

// A name of at most 15 bytes, as registers hold it.
Bytes padded_text(const std::string& text) {
  invariant(text.size() < 16, "a name of more than 15 bytes");
  Bytes out(16);
  std::copy(text.begin(), text.end(), out.begin());
  return out;
}

// memcmp() over as many bytes as the right side has.
int compare(ByteView left, ByteView right) {
  invariant(right.size() <= left.size(), "comparison with more bytes than the value has");
  return std::memcmp(left.data(), right.data(), right.size());
}

bool inside(ByteView key, ByteView first, ByteView last) {
  return compare(key, first) >= 0 && compare(key, last) <= 0;
}

// Of a concatenation with intervals, every field must be in its own interval; what stands between
// the fields is not looked at (nft_pipapo_lookup() in net/netfilter/nft_set_pipapo.c). In all other
// sets the key counts as a whole (nft_set_rbtree.c, nft_set_hash.c).
bool holds_key(const Set& set, const Element& element, ByteView key) {
  if (!set.has_interval_fields()) return inside(key, element.key, element.last);
  std::size_t at = 0;
  for (const std::size_t size : set.field_sizes) {
    if (!inside(key.subspan(at, size), ByteView(element.key).subspan(at, size),
                ByteView(element.last).subspan(at, size))) {
      return false;
    }
    at += padded_size(size);
  }
  return true;
}

// The first element of the set that holds the key, the catch-all element where none does
// (nft_set_do_lookup() and nft_set_catchall_lookup() in net/netfilter/nft_lookup.c).
const Element* find_element(const Set& set, ByteView value) {
  invariant(set.key_size <= value.size(), "set key longer than the value");
  const ByteView key = value.first(set.key_size);
  for (const Element& element : set.elements) {
    if (holds_key(set, element, key)) return &element;
  }
  return set.catch_all ? &*set.catch_all : nullptr;
}

bool holds(Relop op, int difference) {
  switch (op) {
    case Relop::eq:
      return difference == 0;
    case Relop::ne:
      return difference != 0;
    case Relop::lt:
      return difference < 0;
    case Relop::le:
      return difference <= 0;
    case Relop::gt:
      return difference > 0;
    case Relop::ge:
      return difference >= 0;
  }
  throw InvariantError("relop out of range");
}

// nft_bitwise_eval_lshift() and _rshift(): a carry runs through the words.
Bytes shift(Bytes value, Shift::Direction direction, unsigned bits) {
  invariant(bits >= 1 && bits <= 31, "shift by other than 1 to 31 bits");
  if (value.size() < 4) value.resize(4);
  invariant(value.size() % 4 == 0, "shift of other than whole words");
  const std::size_t words = value.size() / 4;
  std::uint32_t carry = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::size_t at = 4 * (direction == Shift::Direction::left ? words - 1 - i : i);
    std::uint32_t word = 0;
    std::memcpy(&word, value.data() + at, 4);
    const bool left = direction == Shift::Direction::left;
    const std::uint32_t shifted = (left ? word << bits : word >> bits) | carry;
    carry = left ? word >> (32 - bits) : word << (32 - bits);
    std::memcpy(value.data() + at, &shifted, 4);
  }
  return value;
}

// How running a rule, or the chain it is in, ended.
struct RuleEnd {
  RuleId rule;
  std::uint8_t logs = 0;  // statements so far
  bool matched = false;
  bool native = false;
  Verdict verdict = {.kind = Verdict::Kind::continue_, .chain = {}};
};

class Evaluation {
 public:
  Evaluation(const Unit& unit, const packet::Packet& packet, PacketView view,
             const EvaluatorOptions& options)
      : unit_(unit),
        ruleset_(unit.ruleset),
        packet_(packet),
        view_(std::move(view)),
        now_(options.now),
        chance_(options.chance),
        fresh_meters_(options.meters == nullptr ? MeterMemory(unit.ruleset, options.now)
                                                : MeterMemory()),
        meters_(options.meters == nullptr ? fresh_meters_ : *options.meters),
        ttl_(unit.nfproto == Nfproto::ipv6 ? options.hop_limit : options.ttl),
        fresh_elements_(options.elements == nullptr ? ElementMemory(unit.ruleset, options.now)
                                                    : ElementMemory()),
        elements_(options.elements == nullptr ? fresh_elements_ : *options.elements) {
    outcome_.counted_bytes = view_.counted_bytes;
  }

  // Every root in turn, until one drops.
  Outcome run() {
    for (const ChainId root : unit_.roots) {
      outcome_.verdict = walk(root);
      if (outcome_.verdict != Outcome::Verdict::accept) break;
    }
    return std::move(outcome_);
  }

 private:
  Outcome::Verdict walk(ChainId root);
  RuleEnd run_rule(RuleId id);
  void log(const Log& log, RuleEnd& end);
  void answer(const Answer& answer);
  // The packet as it is now; none where the device has no value.
  std::optional<SentFrame> frame_to(ExprId device);
  bool run(const Forward& forward);
  bool run(const Duplicate& duplicate);
  std::optional<Bytes> value(ExprId expr);
  std::optional<Bytes> meta(MetaKey key) const;
  std::optional<Bytes> next_hop(const Nexthop& hop);
  std::optional<Bytes> ct(const Ct& ct) const;
  std::optional<Bytes> connection(const Ct& ct) const;
  std::optional<Bytes> header_field(const HeaderField& field) const;
  packet::PacketType type() const { return outcome_.type.value_or(packet_.type); }
  std::optional<std::uint8_t> packet_type() const;  // as rules see it

  bool take(MeterId meter);
  bool run(const Choice& choice);
  bool run(const MetaWrite& write);
  bool run(const PayloadWrite& write);
  bool run(const OptionWrite& write);
  bool run(const OptionStrip& strip, RuleEnd& end);
  Bytes& written_bytes();
  bool run(const DynamicSet& change);
  bool run(const MatchSet& match);
  ElementMemory::Held* find_living(const Set& set, SetId id, ByteView value);
  // Whether a statement lets the rule go on; the verdict of a rule is left in `end`.
  bool run_statement(const Statement& statement, RuleEnd& end);

  void decide(RuleId rule) {
    if (!ruleset_[rule].synthetic) outcome_.decided_by = as_written(ruleset_, rule);
  }
  bool at_xdp() const { return unit_.hook.kind == Hook::Kind::xdp; }

  // As nf_hook_state has them: some hooks have none, whatever the packet went through.
  packet::Device input_device() const {
    return has_input_device(unit_) ? packet_.in : packet::Device{};
  }
  // skb->dev of a packet that the IP stack has. On its way out it has none before ip_output().
  packet::Device device_at_hook() const {
    if (unit_.hook.kind != Hook::Kind::netfilter) return packet_.in;
    switch (unit_.hook.nf_hook) {
      case NfHook::prerouting:
      case NfHook::input:
      case NfHook::forward:
      case NfHook::ingress:
        return packet_.in;
      case NfHook::output:
        return {};
      case NfHook::postrouting:
      case NfHook::egress:
        return packet_.out;
    }
    throw InvariantError("netfilter hook out of range");
  }
  packet::Device output_device() const {
    invariant(!at_xdp() || !has_output_device(unit_), "XDP knows no output device");
    return has_output_device(unit_) ? packet_.out : packet::Device{};
  }

  const Unit& unit_;
  const Ruleset& ruleset_;
  const packet::Packet& packet_;
  PacketView view_;  // of outcome_.bytes, once they are there
  std::uint64_t now_;
  Chance chance_;
  MeterMemory fresh_meters_;
  MeterMemory& meters_;
  std::uint8_t ttl_;
  ElementMemory fresh_elements_;
  ElementMemory& elements_;
  Outcome outcome_;
};

Outcome::Verdict Evaluation::walk(ChainId root) {
  struct Position {
    ChainId chain;
    std::size_t next = 0;
  };
  std::vector<Position> stack;
  Position at{root, 0};
  outcome_.decided_by.reset();
  for (;;) {
    const std::vector<RuleId>& rules = ruleset_[at.chain].rules;
    Verdict verdict{.kind = Verdict::Kind::return_, .chain = {}};  // what the end of a chain means
    RuleId rule;
    if (at.next < rules.size()) {
      rule = rules[at.next++];
      const RuleEnd end = run_rule(rule);
      if (end.matched && !ruleset_[rule].synthetic)
        outcome_.matched.push_back(as_written(ruleset_, rule));
      if (end.native || end.verdict.kind == Verdict::Kind::queue) {
        decide(rule);
        return Outcome::Verdict::native;
      }
      verdict = end.verdict;
    }
    switch (verdict.kind) {
      case Verdict::Kind::accept:
      case Verdict::Kind::drop:
        decide(rule);
        return verdict.kind == Verdict::Kind::accept ? Outcome::Verdict::accept
                                                     : Outcome::Verdict::drop;
      case Verdict::Kind::continue_:
        break;
      case Verdict::Kind::jump:
        invariant(stack.size() < jump_stack_size, "more than 16 jumps deep");
        stack.push_back(at);
        at = {verdict.chain, 0};
        break;
      case Verdict::Kind::go_to:
        at = {verdict.chain, 0};
        break;
      case Verdict::Kind::return_:
        if (stack.empty()) {
          const auto& base = ruleset_[root].base;
          invariant(base.has_value(), "root is not a base chain");
          return base->drop_by_policy ? Outcome::Verdict::drop : Outcome::Verdict::accept;
        }
        at = stack.back();
        stack.pop_back();
        break;
      case Verdict::Kind::queue:
        throw InvariantError("queue verdict was native above");
    }
  }
}

RuleEnd Evaluation::run_rule(RuleId id) {
  RuleEnd end{.rule = id};
  for (const Statement& statement : ruleset_[id].statements) {
    if (!run_statement(statement, end)) return end;
    if (end.verdict.kind != Verdict::Kind::continue_) break;
  }
  end.matched = true;
  return end;
}

void Evaluation::log(const Log& log, RuleEnd& end) {
  const ByteView all = sees_frames(unit_.hook) ? view_.frame : view_.network;
  const ByteView kept = all.first(std::min<std::size_t>(all.size(), logged_bytes(log)));
  outcome_.logged.push_back({.rule = as_written(ruleset_, end.rule),
                             .number = end.logs++,
                             .length = static_cast<std::uint32_t>(all.size()),
                             .bytes = Bytes(kept.begin(), kept.end())});
}

bool Evaluation::run_statement(const Statement& statement, RuleEnd& end) {
  return match_on(
      statement,
      [&](const Match& s) {
        const auto lhs = value(s.lhs);
        return lhs && holds(s.op, compare(*lhs, s.rhs));
      },
      [&](const MatchRange& s) {
        const auto lhs = value(s.lhs);
        if (!lhs) return false;
        const bool inside = compare(*lhs, s.from) >= 0 && compare(*lhs, s.to) <= 0;
        return inside != s.inverted;
      },
      [&](const MatchSet& s) { return run(s); },
      [&](const VerdictMap& s) {
        const auto key = value(s.key);
        const Element* element = key ? find_element(ruleset_[s.map], *key) : nullptr;
        if (element == nullptr) return false;
        invariant(element->verdict.has_value(), "verdict map element without a verdict");
        end.verdict = *element->verdict;
        return true;
      },
      [&](const VerdictStatement& s) {
        end.verdict = s.verdict;
        return true;
      },
      [&](const Counter& s) {
        outcome_.counted.push_back(s.counter);
        return true;
      },
      [&](const Meter& s) { return take(s.meter); }, [&](const Choice& s) { return run(s); },
      [&](const MetaWrite& s) { return run(s); }, [&](const PayloadWrite& s) { return run(s); },
      [&](const OptionWrite& s) { return run(s); },
      [&](const OptionStrip& s) { return run(s, end); },
      [&](const Answer& s) {
        answer(s);
        return true;
      },
      [&](const Forward& s) { return run(s); }, [&](const Duplicate& s) { return run(s); },
      [&](const Log& s) {
        log(s, end);
        return true;
      },
      [&](const DynamicSet& s) { return run(s); },
      [&](const Native&) {
        end.native = true;
        return false;
      });
}

ElementMemory::Held* Evaluation::find_living(const Set& set, SetId id, ByteView value) {
  invariant(set.key_size <= value.size(), "set key longer than the value");
  return elements_.find(id, value.first(set.key_size), now_);
}

// nft_lookup_eval() in net/netfilter/nft_lookup.c: the statements of an element run where it is a
// match to find it.
bool Evaluation::run(const MatchSet& match) {
  const auto key = value(match.key);
  if (!key) return false;
  const Set& set = ruleset_[match.set];
  if (!set.dynamic) return (find_element(set, *key) != nullptr) != match.inverted;
  ElementMemory::Held* element = find_living(set, match.set, *key);
  if ((element != nullptr) == match.inverted) return false;
  return element == nullptr ||
         ElementMemory::run(*set.dynamic, *element, now_, view_.counted_bytes);
}

// nft_dynset_eval() in net/netfilter/nft_dynset.c.
bool Evaluation::run(const DynamicSet& change) {
  const Set& set = ruleset_[change.set];
  const auto key = value(change.key);
  const auto data = change.data ? value(*change.data) : Bytes();
  if (!key || !data) return false;
  const ByteView member = ByteView(*key).first(set.key_size);
  const ByteView given = ByteView(*data).first(change.data ? set.data_size : 0U);
  ElementMemory::Held* element = elements_.change(ruleset_, change, member, given, now_);
  if (change.op == DynamicSet::Op::remove) return true;
  if (element == nullptr) return change.inverted;
  return ElementMemory::run(*set.dynamic, *element, now_, view_.counted_bytes) && !change.inverted;
}

bool Evaluation::take(MeterId meter) {
  const bool within = meters_.take(ruleset_, meter, now_, view_.counted_bytes);
  return within != ruleset_.meters.at(meter.index()).over;
}

// nft_objref_map_eval() in net/netfilter/nft_objref.c.
bool Evaluation::run(const Choice& choice) {
  const auto told = value(choice.place);
  if (!told) return false;
  const std::uint64_t place = load_native(*told);
  if (place < choice.meters.size()) return take(choice.meters[place]);
  if (place >= choice.counters.size()) return false;
  outcome_.counted.push_back(choice.counters[place]);
  return true;
}

// nft_meta_set_eval() in net/netfilter/nft_meta.c.
bool Evaluation::run(const MetaWrite& write) {
  const auto written = value(write.value);
  if (!written) return false;
  const std::uint64_t number = load_native(*written);
  switch (write.key) {
    case MetaKey::mark:
      outcome_.mark = static_cast<std::uint32_t>(number);
      return true;
    case MetaKey::priority:
      outcome_.priority = static_cast<std::uint32_t>(number);
      return true;
    case MetaKey::pkttype: {
      // skb_pkt_type_ok(): the others are neither given nor taken away.
      constexpr auto last = packet::PacketType::otherhost;
      if (number <= static_cast<std::uint64_t>(last) && type() <= last) {
        outcome_.type = static_cast<packet::PacketType>(number);
      }
      return true;
    }
    default:
      throw InvariantError("write of a meta key that cannot be written");
  }
}

// The packet's own bytes, which rules may change.
Bytes& Evaluation::written_bytes() {
  if (!outcome_.bytes) move_to(view_, outcome_.bytes.emplace(packet_.bytes));
  return *outcome_.bytes;
}

bool Evaluation::run(const PayloadWrite& write) {
  const auto written = value(write.value);
  return written && write_packet(view_, written_bytes(), write, *written);
}

bool Evaluation::run(const OptionWrite& write) {
  const auto written = value(write.value);
  return written && write_option(view_, written_bytes(), write, *written);
}

bool Evaluation::run(const OptionStrip& strip, RuleEnd& end) {
  const Stripped stripped = strip_option(view_, written_bytes(), strip);
  if (stripped == Stripped::ends_packet) end.verdict.kind = Verdict::Kind::drop;
  return stripped != Stripped::ends_rule;
}

void Evaluation::answer(const Answer& answer) {
  if (answer.limit && !meters_.take(ruleset_, *answer.limit, now_, view_.counted_bytes)) return;
  std::optional<Bytes> frame = make_answer(unit_, view_, answer, ttl_);
  if (!frame) return;
  outcome_.sent = {.device = packet_.in.index, .bytes = std::move(*frame)};
  outcome_.bytes.reset();
}

// nft_fwd_netdev_eval(), nft_dup_netdev_eval().
std::optional<SentFrame> Evaluation::frame_to(ExprId device) {
  const auto index = value(device);
  if (!index) return std::nullopt;
  return SentFrame{.device = static_cast<std::uint32_t>(load_native(*index)),
                   .bytes = outcome_.bytes ? *outcome_.bytes : packet_.bytes};
}

bool Evaluation::run(const Forward& forward) {
  outcome_.sent = frame_to(forward.device);
  if (outcome_.sent) outcome_.bytes.reset();
  return outcome_.sent.has_value();
}

bool Evaluation::run(const Duplicate& duplicate) {
  auto copy = frame_to(duplicate.device);
  if (copy) outcome_.duplicates.push_back(std::move(*copy));
  return copy.has_value();
}

std::optional<Bytes> Evaluation::value(ExprId expr) {
  using Value = std::optional<Bytes>;
  return match_on(
      ruleset_[expr], [](const Immediate& e) -> Value { return e.value; },
      [&](const Payload& e) -> Value { return view_.load(e); },
      [&](const HeaderField& e) -> Value { return header_field(e); },
      [&](const Extension& e) -> Value { return find_extension(view_, e); },
      [&](const Meta& e) -> Value { return meta(e.key); },
      [&](const Ct& e) -> Value { return ct(e); },
      [&](const MaskXor& e) -> Value {
        Value source = value(e.source);
        if (!source) return source;
        invariant(e.mask.size() == source->size() && e.flip.size() == source->size(),
                  "mask and flip of other sizes than their source");
        for (std::size_t i = 0; i < source->size(); ++i) {
          (*source)[i] = static_cast<std::uint8_t>(((*source)[i] & e.mask[i]) ^ e.flip[i]);
        }
        return source;
      },
      [&](const Shift& e) -> Value {
        Value source = value(e.source);
        if (!source) return source;
        return shift(std::move(*source), e.direction, e.bits);
      },
      [&](const ByteSwap& e) -> Value {
        Value source = value(e.source);
        if (!source) return source;
        invariant(e.unit != 0 && source->size() % e.unit == 0, "byte swap of broken units");
        for (auto at = source->begin(); at != source->end(); at += e.unit) {
          std::reverse(at, at + e.unit);
        }
        return source;
      },
      [&](const Concat& e) -> Value {
        Bytes whole;
        for (const ExprId id : e.parts) {
          const Value part = value(id);
          if (!part) return std::nullopt;
          whole.insert(whole.end(), part->begin(), part->end());
          whole.resize(padded_size(whole.size()));
        }
        return whole;
      },
      [&](const MapLookup& e) -> Value {
        const Value key = value(e.key);
        if (key && ruleset_[e.map].dynamic) {
          const ElementMemory::Held* held = find_living(ruleset_[e.map], e.map, *key);
          return held == nullptr ? Value() : Value(held->data);
        }
        const Element* element = key ? find_element(ruleset_[e.map], *key) : nullptr;
        if (element == nullptr) return std::nullopt;
        return element->data;
      },
      [&](const Numgen& e) -> Value {
        return native_bytes((meters_.next(ruleset_, e.meter) + e.offset) & 0xffffffff, 4);
      },
      [&](const Random& e) -> Value {
        const std::uint32_t drawn = chance_.next();
        const std::uint32_t number = e.modulus == 0 ? drawn : scaled(drawn, e.modulus);
        return native_bytes((std::uint64_t{number} + e.offset) & 0xffffffff, 4);
      },
      [&](const Hash& e) -> Value {
        Value source = value(e.source);
        if (!source) return source;
        const std::uint32_t hash = jhash(ByteView(*source).first(e.length), e.seed);
        return native_bytes((std::uint64_t{scaled(hash, e.modulus)} + e.offset) & 0xffffffff, 4);
      },
      [&](const Nexthop& e) -> Value { return next_hop(e); });
}

// nft_meta_get_eval() in net/netfilter/nft_meta.c.
std::optional<Bytes> Evaluation::meta(MetaKey key) const {
  const auto group = [](const packet::Device& device) -> std::optional<Bytes> {
    if (device.index == 0) return std::nullopt;
    return native_bytes(device.group, 4);
  };
  const auto kind = [](const packet::Device& device) -> std::optional<Bytes> {
    if (device.index == 0 || device.kind.empty()) return std::nullopt;
    return padded_text(device.kind);
  };
  const auto not_at_xdp = [&] {
    invariant(!at_xdp(), "XDP knows no meta " + std::string(to_string(key)));
  };
  switch (key) {
    case MetaKey::l4proto:
      if (!view_.has_transport) return std::nullopt;
      return Bytes{view_.l4proto};
    case MetaKey::nfproto:
      return Bytes{nfproto_value(unit_)};
    case MetaKey::protocol:
      return big_endian_bytes(view_.protocol, 2);
    case MetaKey::mark:
      not_at_xdp();
      return native_bytes(outcome_.mark.value_or(packet_.mark), 4);
    case MetaKey::iif:
      return native_bytes(input_device().index, 4);
    case MetaKey::oif:
      return native_bytes(output_device().index, 4);
    case MetaKey::iifname:
      return padded_text(input_device().name);
    case MetaKey::oifname:
      return padded_text(output_device().name);
    case MetaKey::length:
      return native_bytes(view_.counted_bytes, 4);
    case MetaKey::iiftype:
      if (reading_of(unit_) == Reading::stack && device_at_hook().index == 0) return std::nullopt;
      // Where packets are frames, they are those of an Ethernet device: skb->dev, at egress the one
      // that they leave by.
      return native_bytes(arphrd_ether, 2);
    case MetaKey::oiftype:
      if (output_device().index == 0) return std::nullopt;
      return native_bytes(arphrd_ether, 2);
    case MetaKey::iifgroup:
      return group(input_device());
    case MetaKey::oifgroup:
      return group(output_device());
    case MetaKey::iifkind:
      return kind(input_device());
    case MetaKey::oifkind:
      return kind(output_device());
    case MetaKey::cpu:
      return native_bytes(packet_.cpu, 4);
    case MetaKey::priority:
      not_at_xdp();
      return native_bytes(outcome_.priority.value_or(packet_.priority), 4);
    case MetaKey::rtclassid:
      not_at_xdp();
      if (!packet_.route) return std::nullopt;
      return native_bytes(packet_.route->realms, 4);
    case MetaKey::rtipsec:
      not_at_xdp();
      if (!packet_.route) return std::nullopt;
      return Bytes{static_cast<std::uint8_t>(packet_.route->transformed ? 1 : 0)};
    case MetaKey::time:
      return native_bytes(static_cast<std::uint64_t>(packet_.time_ns), 8);
    case MetaKey::hour: {
      constexpr std::uint64_t second = 1'000'000'000;
      constexpr std::uint64_t day = 24 * 60 * 60;
      return native_bytes(static_cast<std::uint64_t>(packet_.time_ns) / second % day, 4);
    }
    case MetaKey::skuid:
    case MetaKey::skgid:
      not_at_xdp();
      if (!packet_.socket || !packet_.socket->has_file) return std::nullopt;
      return native_bytes(key == MetaKey::skuid ? packet_.socket->user : packet_.socket->group, 4);
    case MetaKey::cgroup:
      not_at_xdp();
      if (!packet_.socket) return std::nullopt;
      return native_bytes(packet_.socket->cgroup_class, 4);
    case MetaKey::pkttype: {
      not_at_xdp();
      const auto type = packet_type();
      if (!type) return std::nullopt;
      return Bytes{*type};
    }
  }
  throw InvariantError("meta key out of range");
}

// nft_meta_get_eval_pkttype_lo(): looped packets are told by their destination.
std::optional<std::uint8_t> Evaluation::packet_type() const {
  if (type() != packet::PacketType::loopback) return static_cast<std::uint8_t>(type());
  constexpr auto broadcast = static_cast<std::uint8_t>(packet::PacketType::broadcast);
  constexpr auto multicast = static_cast<std::uint8_t>(packet::PacketType::multicast);
  const bool known = is_ip(family_of(unit_)) || family_of(unit_) == Family::netdev;
  if (known && view_.protocol == 0x86dd) return multicast;
  if (!known || view_.protocol != 0x0800) return std::nullopt;
  if (view_.network.size() < 20) return std::nullopt;
  return (view_.network[16] & 0xf0) == 0xe0 ? multicast : broadcast;
}

// nft_rt_get_eval() in net/netfilter/nft_rt.c: a route of IPv4 may lead by a gateway of IPv6, whose
// address is not told.
std::optional<Bytes> Evaluation::next_hop(const Nexthop& hop) {
  invariant(!at_xdp(), "XDP knows no routes");
  if (!packet_.route || unit_.nfproto != protocol_of(ruleset_, hop)) return std::nullopt;
  std::optional<Bytes> destination = value(hop.source);
  const Bytes& gateway = packet_.route->next_hop;
  if (destination && gateway.size() == destination->size()) return gateway;
  return destination;
}

// nft_ct_get_eval() in net/netfilter/nft_ct.c, NF_CT_STATE_BIT() in nf_conntrack_common.h.
std::optional<Bytes> Evaluation::ct(const Ct& ct) const {
  invariant(!at_xdp(), "XDP knows no connections");
  if (ct.key != CtKey::state) {
    return packet_.has_connection ? connection(ct) : std::optional<Bytes>();
  }
  constexpr std::uint32_t invalid_bit = 1;
  constexpr std::uint32_t untracked_bit = 64;
  if (packet_.has_connection) {
    return native_bytes(1U << (static_cast<unsigned>(packet_.ct_info) % reply_offset + 1), 4);
  }
  return native_bytes(packet_.ct_info == packet::CtInfo::untracked ? untracked_bit : invalid_bit,
                      4);
}

std::optional<Bytes> Evaluation::connection(const Ct& ct) const {
  using Value = std::optional<Bytes>;
  const packet::Connection& connection = packet_.connection;
  const packet::ConnectionSide& side =
      ct.direction == CtDirection::reply ? connection.reply : connection.original;
  const bool both = ct.direction == CtDirection::none;
  const auto address = [&](const Bytes& bytes, bool ipv6) {
    return connection.ipv6 == ipv6 ? Value(bytes) : Value();
  };
  const std::uint64_t packets =
      both ? connection.original.packets + connection.reply.packets : side.packets;
  const std::uint64_t bytes =
      both ? connection.original.bytes + connection.reply.bytes : side.bytes;
  switch (ct.key) {
    case CtKey::state:
      break;
    case CtKey::direction:
      return Bytes{static_cast<std::uint8_t>(
          static_cast<unsigned>(packet_.ct_info) >= reply_offset ? 1 : 0)};
    case CtKey::status:
      return native_bytes(connection.status, 4);
    case CtKey::mark:
      return native_bytes(connection.mark, 4);
    case CtKey::helper:
      return connection.helper.empty() ? Value() : Value(padded_text(connection.helper));
    case CtKey::l3proto:
      return Bytes{static_cast<std::uint8_t>(connection.ipv6 ? Nfproto::ipv6 : Nfproto::ipv4)};
    case CtKey::protocol:
      return Bytes{connection.protocol};
    case CtKey::src_ip:
      return address(side.source, false);
    case CtKey::dst_ip:
      return address(side.destination, false);
    case CtKey::src_ip6:
      return address(side.source, true);
    case CtKey::dst_ip6:
      return address(side.destination, true);
    case CtKey::proto_src:
      return big_endian_bytes(side.source_port, 2);
    case CtKey::proto_dst:
      return big_endian_bytes(side.destination_port, 2);
    case CtKey::labels:
      return Bytes(connection.labels.begin(), connection.labels.end());
    case CtKey::zone: {
      // nf_ct_zone_id(): 0 for a direction that the zone does not tell apart.
      const packet::ConnectionZone& zone = connection.zone;
      const bool of_it =
          both || (ct.direction == CtDirection::reply ? zone.of_reply : zone.of_original);
      return native_bytes(of_it ? zone.id : 0, 2);
    }
    case CtKey::bytes:
      return native_bytes(bytes, 8);
    case CtKey::packets:
      return native_bytes(packets, 8);
    case CtKey::avgpkt:
      return native_bytes(packets == 0 ? 0 : bytes / packets, 8);
  }
  throw InvariantError("ct key out of range");
}

// The bytes that hold a named field, if the packet carries its protocol; in later fragments no
// transport field is there.
std::optional<Bytes> Evaluation::header_field(const HeaderField& named) const {
  const packet::Field* field = packet::find_field(named.name);
  invariant(field != nullptr, "unknown header field " + named.name);
  const packet::Protocol& protocol = *field->protocol;
  Payload place{.base = HeaderBase::link,
                .offset = static_cast<std::uint16_t>(protocol.layer_offset + field->byte_offset()),
                .length = field->byte_length(),
                .in_later_fragments = false};
  switch (protocol.layer) {
    case packet::Layer::link:
      // Of a protocol behind the Ethernet header, its ethertype must say so.
      if (protocol.ethertype) {
        const auto type = view_.load({.base = HeaderBase::link, .offset = 12, .length = 2});
        if (!type || load_big_endian(*type) != *protocol.ethertype) return std::nullopt;
      }
      break;
    case packet::Layer::network:
      place.base = HeaderBase::network;
      if (protocol.ethertype != view_.protocol) return std::nullopt;
      break;
    case packet::Layer::transport:
      place.base = HeaderBase::transport;
      // Fields of "th" are those of any transport protocol.
      if (!view_.has_transport) return std::nullopt;
      if (protocol.ip_protocol && protocol.ip_protocol != view_.l4proto) return std::nullopt;
      break;
    case packet::Layer::extension:
      throw InvariantError("header field without a fixed place: " + named.name);
  }
  return view_.load(place);
}

// No rule runs: every root answers by its policy, until one drops.
Outcome by_policies(const Unit& unit, const PacketView& view, bool drop_unparsable) {
  Outcome outcome;
  outcome.counted_bytes = view.counted_bytes;
  for (const ChainId root : unit.roots) {
    const auto& base = unit.ruleset[root].base;
    invariant(base.has_value(), "root is not a base chain");
    if (base->drop_by_policy && drop_unparsable) {
      outcome.verdict = Outcome::Verdict::drop;
      break;
    }
  }
  return outcome;
}

}  // namespace

Outcome evaluate(const Unit& unit, const packet::Packet& packet, const EvaluatorOptions& options) {
  Outcome silent;
  silent.counted_bytes = packet.bytes.size();
  if (reading_of(unit) == Reading::stack) {
    // A netfilter program is attached for one protocol, one of a cgroup tells them apart.
    const std::uint16_t ethertype = unit.nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd;
    if (unit.hook.kind != Hook::Kind::netfilter && packet.ethertype != ethertype) return silent;
    const PacketView view = view_of_stack(unit, packet);
    return Evaluation(unit, packet, view, options).run();
  }
  const FrameView frame = view_of_frame(unit, packet);
  switch (frame.kind) {
    case FrameView::Kind::not_seen:
      return silent;
    case FrameView::Kind::unparsable:
      return by_policies(unit, frame.view, options.drop_unparsable);
    case FrameView::Kind::refused: {
      Outcome outcome;
      outcome.verdict = Outcome::Verdict::drop;
      outcome.counted_bytes = frame.view.counted_bytes;
      return outcome;
    }
    case FrameView::Kind::parsed:
      return Evaluation(unit, packet, frame.view, options).run();
  }
  throw InvariantError("frame kind out of range");
}

}  // namespace weir::imr
