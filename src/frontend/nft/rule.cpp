// SPDX-License-Identifier: BSD-2-Clause
#include "frontend/nft/rule.h"

#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/nft/keys.h"
#include "frontend/nft/registers.h"

namespace weir::frontend::nft {
namespace {

// Why an expression is not translated; empty when it was.
using Reason = std::string;

constexpr std::size_t word_bits = 32;

bool has(const nftnl_expr* expr, std::uint16_t attribute) {
  return nftnl_expr_is_set(expr, attribute);
}

std::uint32_t number(const nftnl_expr* expr, std::uint16_t attribute) {
  return nftnl_expr_get_u32(expr, attribute);
}

Bytes data(const nftnl_expr* expr, std::uint16_t attribute) {
  std::uint32_t size = 0;
  const auto* bytes = static_cast<const std::uint8_t*>(nftnl_expr_get(expr, attribute, &size));
  return bytes == nullptr ? Bytes() : Bytes(bytes, bytes + size);
}

std::string_view name_of(const nftnl_expr* expr) {
  return nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
}

// "[ limit rate 5/second burst 5 packets ]", as nft --debug=netlink prints it.
std::string debug_text(const nftnl_expr* expr) {
  std::array<char, 4096> buffer;
  const int size = nftnl_expr_snprintf(buffer.data(), buffer.size(), expr, NFTNL_OUTPUT_DEFAULT, 0);
  std::string text(buffer.data(),
                   std::clamp<std::size_t>(size < 0 ? 0 : size, 0, buffer.size() - 1));
  while (text.ends_with(' ')) text.pop_back();
  return "[ " + std::string(name_of(expr)) + (text.empty() ? "" : " " + text) + " ]";
}

// The second word of "load cpu => reg 1" and "set mark with reg 1".
std::string key_in_text(const nftnl_expr* expr) {
  const std::string text = debug_text(expr);
  std::size_t at = 0;
  for (int skipped = 0; skipped < 3 && at != std::string::npos; ++skipped) {
    at = text.find(' ', at);
    if (at != std::string::npos) ++at;
  }
  if (at == std::string::npos) return "?";
  return text.substr(at, text.find(' ', at) - at);
}

// Loads and conversions only fill registers; everything else does something of its own.
bool is_statement(const nftnl_expr* expr) {
  constexpr std::array<std::string_view, 11> loads = {"bitwise", "byteorder", "rt",   "socket",
                                                      "fib",     "osf",       "hash", "numgen",
                                                      "tunnel",  "xfrm",      "inner"};
  const std::string_view name = name_of(expr);
  if (name == "payload") return has(expr, NFTNL_EXPR_PAYLOAD_SREG);
  if (name == "meta") return has(expr, NFTNL_EXPR_META_SREG);
  if (name == "ct") return has(expr, NFTNL_EXPR_CT_SREG);
  if (name == "exthdr") return !has(expr, NFTNL_EXPR_EXTHDR_DREG);
  if (name == "immediate") return number(expr, NFTNL_EXPR_IMM_DREG) == NFT_REG_VERDICT;
  return std::ranges::find(loads, name) == loads.end();
}

Reason not_translated(const std::string& what, std::string_view why) {
  return "'" + what + "'" + (why.empty() ? " is not translated yet" : ": " + std::string(why));
}

std::optional<imr::ExtensionKind> extension_kind(std::uint32_t op) {
  switch (op) {
    case NFT_EXTHDR_OP_IPV6:
      return imr::ExtensionKind::ipv6;
    case NFT_EXTHDR_OP_TCPOPT:
      return imr::ExtensionKind::tcp;
    case NFT_EXTHDR_OP_IPV4:
      return imr::ExtensionKind::ipv4;
    case NFT_EXTHDR_OP_SCTP:
      return imr::ExtensionKind::sctp;
    default:
      return std::nullopt;
  }
}

std::optional<imr::Relop> relop(std::uint32_t op) {
  switch (op) {
    case NFT_CMP_EQ:
      return imr::Relop::eq;
    case NFT_CMP_NEQ:
      return imr::Relop::ne;
    case NFT_CMP_LT:
      return imr::Relop::lt;
    case NFT_CMP_LTE:
      return imr::Relop::le;
    case NFT_CMP_GT:
      return imr::Relop::gt;
    case NFT_CMP_GTE:
      return imr::Relop::ge;
    default:
      return std::nullopt;
  }
}

// Whether an operand of `size` bytes in a register can be compared by the bytes that the value has
// alone: what it reads behind them are zeros, and zeros are what they are compared with. memcmp()
// then finds no difference there, whatever the operator.
bool rest_is_zero(const Value& value, const Bytes& operand) {
  if (operand.size() <= value.size) return true;
  return operand.size() <= value.zero_end &&
         std::all_of(operand.begin() + static_cast<std::ptrdiff_t>(value.size), operand.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

Bytes prefix(Bytes bytes, std::size_t size) {
  if (bytes.size() > size) bytes.resize(size);
  return bytes;
}

class Translator {
 public:
  Translator(const RuleScope& scope, imr::RuleId id, imr::Rule& rule)
      : scope_(scope), id_(id), rule_(rule) {}

  // Why `expr` and all behind it stay with the kernel; empty when it was translated.
  Reason translate(const nftnl_expr* expr) {
    if (!scope_.native_reason.empty()) return scope_.native_reason;
    using Method = Reason (Translator::*)(const nftnl_expr*);
    static constexpr std::array<std::pair<std::string_view, Method>, 10> methods = {{
        {"payload", &Translator::payload},
        {"cmp", &Translator::cmp},
        {"bitwise", &Translator::bitwise},
        {"byteorder", &Translator::byteorder},
        {"range", &Translator::range},
        {"immediate", &Translator::immediate},
        {"lookup", &Translator::lookup},
        {"meta", &Translator::meta},
        {"ct", &Translator::ct},
        {"exthdr", &Translator::exthdr},
    }};
    const std::string_view name = name_of(expr);
    if (name == "counter") return counter(expr);
    for (const auto& [known, method] : methods) {
      if (known == name) return (this->*method)(expr);
    }
    return "expression '" + std::string(name) + "' is not translated yet";
  }

 private:
  imr::ExprId add(imr::Expr expr) {
    return scope_.expressions->add(*scope_.ruleset, std::move(expr));
  }
  [[nodiscard]] std::size_t full_size(const Value& value) const {
    return imr::value_size(*scope_.ruleset, value.expr);
  }

  // A fresh value. `may_be_absent`: then the rule ends, right here.
  void store_load(std::uint32_t reg, imr::Expr expr, bool may_be_absent) {
    const imr::ExprId id = add(std::move(expr));
    const std::size_t size = imr::value_size(*scope_.ruleset, id);
    registers_.store(reg, {id, size, whole_words(size), id});
    if (may_be_absent) pending_.push_back(id);
  }

  void use(const Value& value) { std::erase(pending_, value.root); }

  // The IMR loads a value where it is used. That is the same unless something with an effect stands
  // between the load, which may end the rule, and its use.
  [[nodiscard]] Reason order_reason() const {
    return pending_.empty() ? Reason()
                            : "a packet load stands before a statement that does not use it";
  }

  static Reason no_value() { return "the registers hold no value that is known"; }

  // An expression whose first `size` bytes are those in the registers from `reg` on: one value, or
  // several that stand in a row, each padded to whole words. The loads behind it count as used.
  std::optional<imr::ExprId> operand(std::uint32_t reg, std::size_t size) {
    const std::vector<Value> run = registers_.load_run(reg, size);
    if (run.empty()) return std::nullopt;
    if (run.size() == 1 && run.front().size >= size) {
      use(run.front());
      return run.front().expr;
    }
    imr::Concat concat;
    std::size_t at = 0;
    for (const Value& value : run) {
      // The last one may be longer than what is asked for, but none is shorter than its expression.
      if (value.size != full_size(value) && at + value.size < size) return std::nullopt;
      concat.parts.push_back(value.expr);
      at += whole_words(value.size);
    }
    for (const Value& value : run) use(value);
    return add(std::move(concat));
  }

  Reason payload(const nftnl_expr* expr) {
    if (has(expr, NFTNL_EXPR_PAYLOAD_SREG)) return "packet writes are not translated yet";
    imr::Payload load;
    switch (number(expr, NFTNL_EXPR_PAYLOAD_BASE)) {
      case NFT_PAYLOAD_LL_HEADER:
        load.base = imr::HeaderBase::link;
        break;
      case NFT_PAYLOAD_NETWORK_HEADER:
        load.base = imr::HeaderBase::network;
        break;
      case NFT_PAYLOAD_TRANSPORT_HEADER:
        load.base = imr::HeaderBase::transport;
        break;
      default:
        return "loads from inner headers are not translated yet";
    }
    const std::uint32_t offset = number(expr, NFTNL_EXPR_PAYLOAD_OFFSET);
    const std::uint32_t length = number(expr, NFTNL_EXPR_PAYLOAD_LEN);
    if (length == 0 || length > imr::max_value_size || offset > 0xffff) {
      return "a packet load of this size is not translated";
    }
    load.offset = static_cast<std::uint16_t>(offset);
    load.length = static_cast<std::uint16_t>(length);
    // nft_payload_select_ops() in net/netfilter/nft_payload.c gives these the fast path, which does
    // not look at the fragment offset.
    load.in_later_fragments = load.base != imr::HeaderBase::link &&
                              (length == 1 || length == 2 || length == 4) && offset % length == 0;
    store_load(number(expr, NFTNL_EXPR_PAYLOAD_DREG), load, true);
    return {};
  }

  Reason meta(const nftnl_expr* expr) {
    if (has(expr, NFTNL_EXPR_META_SREG)) {
      if (number(expr, NFTNL_EXPR_META_KEY) == NFT_META_MARK) return set_mark(expr);
      return "'meta " + key_in_text(expr) + " set' is not translated yet";
    }
    const auto key = meta_key(number(expr, NFTNL_EXPR_META_KEY));
    if (!key) {
      return not_translated("meta " + key_in_text(expr),
                            never_known(number(expr, NFTNL_EXPR_META_KEY)));
    }
    store_load(number(expr, NFTNL_EXPR_META_DREG), imr::Meta{*key}, imr::may_be_absent(*key));
    return {};
  }

  // nft_meta_set_eval() in net/netfilter/nft_meta.c takes 4 bytes of the register.
  Reason set_mark(const nftnl_expr* expr) {
    constexpr std::size_t mark_size = 4;
    const auto value = operand(number(expr, NFTNL_EXPR_META_SREG), mark_size);
    if (!value || imr::value_size(*scope_.ruleset, *value) != mark_size) return no_value();
    if (Reason reason = order_reason(); !reason.empty()) return reason;
    rule_.statements.push_back(imr::MetaWrite{imr::MetaKey::mark, *value});
    // Expressions are evaluated where they are used: what was loaded before is not there any more.
    registers_.forget([&](const Value& old) {
      return imr::reads(*scope_.ruleset, old.expr, imr::MetaKey::mark);
    });
    return {};
  }

  Reason ct(const nftnl_expr* expr) {
    if (has(expr, NFTNL_EXPR_CT_SREG)) {
      return "'ct " + key_in_text(expr) + " set' is not translated yet";
    }
    const std::uint32_t wanted = number(expr, NFTNL_EXPR_CT_KEY);
    const auto key = ct_key(wanted, scope_.family);
    if (!key) {
      return not_translated("ct " + key_in_text(expr), never_known_of_connection(wanted));
    }
    imr::Ct ct{.key = *key};
    // Some keys carry a direction that nothing looks at.
    if (has(expr, NFTNL_EXPR_CT_DIR) && imr::takes_direction(*key)) {
      const bool reply = nftnl_expr_get_u8(expr, NFTNL_EXPR_CT_DIR) == 1;
      ct.direction = reply ? imr::CtDirection::reply : imr::CtDirection::original;
    }
    if (imr::needs_direction(*key) && ct.direction == imr::CtDirection::none) {
      return "'ct " + key_in_text(expr) + "' without a direction is not translated";
    }
    store_load(number(expr, NFTNL_EXPR_CT_DREG), ct, imr::may_be_absent(*key));
    return {};
  }

  // nft_exthdr_select_ops() in net/netfilter/nft_exthdr.c: without an operation, IPv6's headers.
  Reason exthdr(const nftnl_expr* expr) {
    if (has(expr, NFTNL_EXPR_EXTHDR_SREG)) return "writes to TCP options are not translated yet";
    if (!has(expr, NFTNL_EXPR_EXTHDR_DREG)) return "removal of TCP options is not translated yet";
    const auto kind =
        extension_kind(has(expr, NFTNL_EXPR_EXTHDR_OP) ? number(expr, NFTNL_EXPR_EXTHDR_OP)
                                                       : std::uint32_t{NFT_EXTHDR_OP_IPV6});
    if (!kind) return "options of this protocol are not translated yet";
    const std::uint32_t offset = number(expr, NFTNL_EXPR_EXTHDR_OFFSET);
    const std::uint32_t length = number(expr, NFTNL_EXPR_EXTHDR_LEN);
    const std::uint32_t flags = number(expr, NFTNL_EXPR_EXTHDR_FLAGS);
    const bool presence = (flags & NFT_EXTHDR_F_PRESENT) != 0;
    if (length == 0 || length > imr::max_value_size || offset > 0xff ||
        (presence && (offset != 0 || length != 1))) {
      return "an option load of this size is not translated";
    }
    const bool in_transport = *kind == imr::ExtensionKind::tcp || *kind == imr::ExtensionKind::sctp;
    store_load(number(expr, NFTNL_EXPR_EXTHDR_DREG),
               imr::Extension{.kind = *kind,
                              .type = nftnl_expr_get_u8(expr, NFTNL_EXPR_EXTHDR_TYPE),
                              .offset = static_cast<std::uint8_t>(offset),
                              .length = static_cast<std::uint8_t>(length),
                              .presence = presence},
               !presence || !in_transport);
    return {};
  }

  Reason bitwise(const nftnl_expr* expr) {
    const auto source = registers_.load(number(expr, NFTNL_EXPR_BITWISE_SREG));
    if (!source) return no_value();
    const std::size_t length = number(expr, NFTNL_EXPR_BITWISE_LEN);
    const std::uint32_t target = number(expr, NFTNL_EXPR_BITWISE_DREG);
    switch (number(expr, NFTNL_EXPR_BITWISE_OP)) {
      case NFT_BITWISE_BOOL:
        return mask_xor(expr, *source, length, target);
      case NFT_BITWISE_LSHIFT:
        return shift(expr, *source, length, target, imr::Shift::Direction::left);
      case NFT_BITWISE_RSHIFT:
        return shift(expr, *source, length, target, imr::Shift::Direction::right);
      default:
        return "this bitwise operation is not translated yet";
    }
  }

  // nft_bitwise_eval_bool() works on whole words, with zeros behind mask and flip: what stands
  // behind `length` becomes zero.
  Reason mask_xor(const nftnl_expr* expr, const Value& source, std::size_t length,
                  std::uint32_t target) {
    Bytes mask = data(expr, NFTNL_EXPR_BITWISE_MASK);
    Bytes flip = data(expr, NFTNL_EXPR_BITWISE_XOR);
    mask.resize(length);
    flip.resize(length);
    if (!rest_is_zero(source, flip)) return "a mask over more bytes than its value has";
    if (length > std::max(source.size, source.zero_end)) return no_value();
    const std::size_t size = full_size(source);
    mask.resize(size);
    flip.resize(size);
    const std::size_t written = whole_words(length);
    const imr::ExprId id = add(imr::MaskXor{source.expr, std::move(mask), std::move(flip)});
    registers_.store(target, {id, std::min(size, written), written, source.root});
    return {};
  }

  Reason shift(const nftnl_expr* expr, const Value& source, std::size_t length,
               std::uint32_t target, imr::Shift::Direction direction) {
    const Bytes amount = data(expr, NFTNL_EXPR_BITWISE_DATA);
    const std::uint64_t bits = amount.size() <= 8 ? load_native(amount) : 0;
    if (bits == 0 || bits >= word_bits) return "a shift by this many bits is not translated";
    const std::size_t size = full_size(source);
    const std::size_t words = whole_words(length);
    const bool whole_value = source.size == size && whole_words(size) == words &&
                             (size % 4 == 0 || (size < 4 && source.zero_end >= words));
    if (!whole_value) return "a shift of a part of a value is not translated";
    const imr::ExprId id = add(imr::Shift{source.expr, direction, static_cast<std::uint8_t>(bits)});
    registers_.store(target, {id, words, words, source.root});
    return {};
  }

  // nft_byteorder_eval() writes as many whole units as fit into the length, and nothing behind
  // them.
  Reason byteorder(const nftnl_expr* expr) {
    const std::uint32_t from = number(expr, NFTNL_EXPR_BYTEORDER_SREG);
    const std::uint32_t target = number(expr, NFTNL_EXPR_BYTEORDER_DREG);
    const auto source = registers_.load(from);
    if (!source) return no_value();
    const std::uint32_t unit = number(expr, NFTNL_EXPR_BYTEORDER_SIZE);
    if (unit != 2 && unit != 4 && unit != 8) return "a byte order of this size is not translated";
    const std::size_t units = number(expr, NFTNL_EXPR_BYTEORDER_LEN) / unit;
    const std::size_t written = units * unit;
    // nft has single bytes swapped in concatenations, in place: nothing happens.
    if (written == 0 && from == target) return {};
    if (written == 0 || written > source->size || full_size(*source) % unit != 0) {
      return "a byte swap of a part of a value is not translated";
    }
    const imr::ExprId id = add(imr::ByteSwap{source->expr, static_cast<std::uint8_t>(unit)});
    const bool zeros_stay = from == target && written == source->size;
    registers_.store(target, {id, written, zeros_stay ? source->zero_end : written, source->root});
    return {};
  }

  Reason cmp(const nftnl_expr* expr) {
    const auto value = registers_.load(number(expr, NFTNL_EXPR_CMP_SREG));
    if (!value) return no_value();
    const Bytes rhs = data(expr, NFTNL_EXPR_CMP_DATA);
    const auto op = relop(number(expr, NFTNL_EXPR_CMP_OP));
    if (!op || rhs.empty()) return "this comparison is not translated yet";
    if (!rest_is_zero(*value, rhs)) return "a comparison of more bytes than its value has";
    use(*value);
    rule_.statements.push_back(imr::Match{value->expr, *op, prefix(rhs, value->size)});
    return {};
  }

  Reason range(const nftnl_expr* expr) {
    const auto value = registers_.load(number(expr, NFTNL_EXPR_RANGE_SREG));
    if (!value) return no_value();
    const Bytes from = data(expr, NFTNL_EXPR_RANGE_FROM_DATA);
    const Bytes to = data(expr, NFTNL_EXPR_RANGE_TO_DATA);
    const std::uint32_t op = number(expr, NFTNL_EXPR_RANGE_OP);
    if (from.empty() || from.size() != to.size() || op > NFT_RANGE_NEQ) {
      return "this range is not translated yet";
    }
    if (!rest_is_zero(*value, from) || !rest_is_zero(*value, to)) {
      return "a range of more bytes than its value has";
    }
    use(*value);
    rule_.statements.push_back(imr::MatchRange{value->expr, op == NFT_RANGE_NEQ,
                                               prefix(from, value->size), prefix(to, value->size)});
    return {};
  }

  Reason immediate(const nftnl_expr* expr) {
    const std::uint32_t target = number(expr, NFTNL_EXPR_IMM_DREG);
    if (target != NFT_REG_VERDICT) {
      Bytes value = data(expr, NFTNL_EXPR_IMM_DATA);
      if (value.empty() || value.size() > imr::max_value_size) {
        return "an immediate of this size is not translated";
      }
      store_load(target, imr::Immediate{std::move(value)}, false);
      return {};
    }
    const auto verdict =
        to_verdict(number(expr, NFTNL_EXPR_IMM_VERDICT),
                   nftnl_expr_get_str(expr, NFTNL_EXPR_IMM_CHAIN), scope_.find_chain);
    if (!verdict) return "this verdict is not translated yet";
    if (verdict->kind == imr::Verdict::Kind::queue) return "verdict 'queue' stays with the kernel";
    if (Reason reason = order_reason(); !reason.empty()) return reason;
    rule_.statements.push_back(imr::VerdictStatement{*verdict});
    return {};
  }

  Reason lookup(const nftnl_expr* expr) {
    const char* name = nftnl_expr_get_str(expr, NFTNL_EXPR_LOOKUP_SET);
    const imr::SetId id = name == nullptr ? imr::SetId() : scope_.find_set(name);
    if (!id.valid()) return "the rule uses a set that the kernel does not list";
    const imr::Set& set = (*scope_.ruleset)[id];
    if (!set.native_reason.empty()) return set.native_reason;
    const auto key = operand(number(expr, NFTNL_EXPR_LOOKUP_SREG), set.key_size);
    if (!key) return no_value();
    const bool inverted = has(expr, NFTNL_EXPR_LOOKUP_FLAGS) &&
                          (number(expr, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
    if (!has(expr, NFTNL_EXPR_LOOKUP_DREG)) {
      // A map as well, for its keys: nft_lookup_eval() leaves the data alone.
      rule_.statements.push_back(imr::MatchSet{*key, id, inverted});
      return {};
    }
    const std::uint32_t target = number(expr, NFTNL_EXPR_LOOKUP_DREG);
    if (inverted || set.is_verdict_map != (target == NFT_REG_VERDICT)) {
      return "this lookup is not translated";
    }
    if (set.is_data_map()) {
      store_load(target, imr::MapLookup{*key, id}, true);
      return {};
    }
    if (Reason reason = order_reason(); !reason.empty()) return reason;
    rule_.statements.push_back(imr::VerdictMap{*key, id});
    return {};
  }

  Reason counter(const nftnl_expr* expr) {
    if (Reason reason = order_reason(); !reason.empty()) return reason;
    const imr::CounterId id =
        scope_.ruleset->add(imr::CounterState{id_, nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_PACKETS),
                                              nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_BYTES)});
    rule_.statements.push_back(imr::Counter{id});
    return {};
  }

  const RuleScope& scope_;
  imr::RuleId id_;
  imr::Rule& rule_;
  Registers registers_;
  std::vector<imr::ExprId> pending_;  // loads that may have no value, and are not used yet
};

// The expressions of a rule from number `from` on, as nft --debug=netlink prints them.
std::string debug_texts(const nftnl_rule* source, std::size_t from) {
  std::string out;
  std::size_t index = 0;
  const NlExprIterator iterator(nftnl_expr_iter_create(source));
  while (const nftnl_expr* expr = nftnl_expr_iter_next(iterator.get())) {
    if (index++ >= from) out += (out.empty() ? "" : " ") + debug_text(expr);
  }
  return out;
}

}  // namespace

std::string comment_of(const nftnl_rule* rule) {
  std::uint32_t size = 0;
  const auto* bytes =
      static_cast<const std::uint8_t*>(nftnl_rule_get_data(rule, NFTNL_RULE_USERDATA, &size));
  // Type, length, value, one after another; a comment ends in a zero byte.
  ByteView rest(bytes, bytes == nullptr ? 0 : size);
  while (rest.size() >= 2 && rest.size() >= 2U + rest[1]) {
    const ByteView value = rest.subspan(2, rest[1]);
    if (rest[0] == NFTNL_UDATA_RULE_COMMENT) {
      return {value.begin(), std::find(value.begin(), value.end(), 0)};
    }
    rest = rest.subspan(2U + rest[1]);
  }
  return {};
}

void translate_expressions(const nftnl_rule* source, const RuleScope& scope, imr::RuleId id,
                           imr::Rule& rule) {
  Translator translator(scope, id, rule);
  Reason reason;
  std::size_t index = 0;
  std::size_t open = 0;  // the first expression behind the last one that became a statement
  const NlExprIterator iterator(nftnl_expr_iter_create(source));
  while (const nftnl_expr* expr = nftnl_expr_iter_next(iterator.get())) {
    if (is_statement(expr)) ++rule.total_statements;
    ++index;
    if (!reason.empty()) continue;
    const std::size_t before = rule.statements.size();
    reason = translator.translate(expr);
    if (reason.empty() && rule.statements.size() > before) open = index;
  }
  if (!reason.empty()) {
    rule.statements.push_back(imr::Native{debug_texts(source, open), std::move(reason)});
  }
  rule.statements.edit().shrink_to_fit();
  if (rule.origin.text.empty()) rule.origin.text = debug_texts(source, 0);
}

}  // namespace weir::frontend::nft
