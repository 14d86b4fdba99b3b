// SPDX-License-Identifier: BSD-2-Clause
//
// Expressions that do something with what stands in registers, or without.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "frontend/nft/keys.h"
#include "frontend/nft/objects.h"
#include "frontend/nft/ranges.h"
#include "frontend/nft/translator.h"
#include "imr/dynamic_sets.h"
#include "imr/meters.h"

namespace weir::frontend::nft {
namespace {

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

Bytes prefix(Bytes bytes, std::size_t size) {
  if (bytes.size() > size) bytes.resize(size);
  return bytes;
}

}  // namespace

Reason Translator::write_payload(const nftnl_expr* expr, std::optional<imr::HeaderBase> base) {
  constexpr std::uint32_t link_addresses = 12;  // bytes
  if (!base || *base == imr::HeaderBase::inner) {
    return "writes behind the transport header stay with the kernel";
  }
  const std::uint32_t offset = number(expr, NFTNL_EXPR_PAYLOAD_OFFSET);
  const std::uint32_t length = number(expr, NFTNL_EXPR_PAYLOAD_LEN);
  const std::uint32_t checksum = number(expr, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET);
  const bool pseudo_header = number(expr, NFTNL_EXPR_PAYLOAD_FLAGS) != 0;
  const std::uint32_t kind = number(expr, NFTNL_EXPR_PAYLOAD_CSUM_TYPE);
  if (kind == NFT_PAYLOAD_CSUM_SCTP) {
    return "the checksum of SCTP is a CRC of the whole packet, which no program computes";
  }
  if (length == 0 || length > imr::max_value_size || offset > 0xff) {
    return "a packet write of this size is not translated";
  }
  if (*base == imr::HeaderBase::link && offset + length > link_addresses) {
    return "writes to an ethertype or a VLAN tag stay with the kernel: the tag may be in "
           "metadata";
  }
  // None that nft makes.
  const bool mended = kind != NFT_PAYLOAD_CSUM_NONE;
  if ((mended && (*base == imr::HeaderBase::link || checksum > 0xff || checksum % 2 != 0)) ||
      (pseudo_header && *base != imr::HeaderBase::network)) {
    return "a packet write with this checksum is not translated";
  }
  const auto value = operand(number(expr, NFTNL_EXPR_PAYLOAD_SREG), length);
  if (!value || imr::value_size(*scope_.ruleset, *value) < length) return no_value();
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  imr::PayloadWrite write{.base = *base,
                          .offset = static_cast<std::uint16_t>(offset),
                          .length = static_cast<std::uint16_t>(length),
                          .pseudo_header = pseudo_header,
                          .value = *value};
  if (mended) write.checksum = static_cast<std::uint8_t>(checksum);
  add_write(write);
  return {};
}

// nft_exthdr_tcp_set_init() and nft_exthdr_tcp_strip_init() take no other protocol, place or size.
Reason Translator::write_option(const nftnl_expr* expr) {
  const std::uint32_t offset = number(expr, NFTNL_EXPR_EXTHDR_OFFSET);
  const std::uint32_t length = number(expr, NFTNL_EXPR_EXTHDR_LEN);
  if (number(expr, NFTNL_EXPR_EXTHDR_OP) != NFT_EXTHDR_OP_TCPOPT || offset < 2 || offset > 0xff ||
      (length != 2 && length != 4)) {
    return "an option write of this kind is not translated";
  }
  const auto value = operand(number(expr, NFTNL_EXPR_EXTHDR_SREG), length);
  if (!value || imr::value_size(*scope_.ruleset, *value) < length) return no_value();
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  add_write(imr::OptionWrite{.type = nftnl_expr_get_u8(expr, NFTNL_EXPR_EXTHDR_TYPE),
                             .offset = static_cast<std::uint8_t>(offset),
                             .length = static_cast<std::uint8_t>(length),
                             .value = *value});
  return {};
}

Reason Translator::strip_option(const nftnl_expr* expr) {
  if (number(expr, NFTNL_EXPR_EXTHDR_OP) != NFT_EXTHDR_OP_TCPOPT) {
    return "an option write of this kind is not translated";
  }
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  add_write(imr::OptionStrip{nftnl_expr_get_u8(expr, NFTNL_EXPR_EXTHDR_TYPE)});
  return {};
}

void Translator::add_write(const imr::Statement& write) {
  rule_.statements.push_back(write);
  registers_.forget(
      [&](const Value& old) { return imr::reads_written(*scope_.ruleset, write, old.expr); });
}

Reason Translator::set_meta(const nftnl_expr* expr) {
  const std::uint32_t wanted = number(expr, NFTNL_EXPR_META_KEY);
  const auto key = meta_key(wanted);
  if (!key || !imr::is_writable(*key)) {
    return not_translated("meta " + key_in_text(expr) + " set", never_written(wanted));
  }
  const std::size_t size = imr::value_size(*key);
  const auto value = operand(number(expr, NFTNL_EXPR_META_SREG), size);
  if (!value || imr::value_size(*scope_.ruleset, *value) != size) return no_value();
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  add_write(imr::MetaWrite{*key, *value});
  return {};
}

Reason Translator::cmp(const nftnl_expr* expr) {
  const auto value = registers_.load(number(expr, NFTNL_EXPR_CMP_SREG));
  if (!value) return no_value();
  const Bytes rhs = data(expr, NFTNL_EXPR_CMP_DATA);
  const auto op = relop(number(expr, NFTNL_EXPR_CMP_OP));
  if (!op || rhs.empty()) return "this comparison is not known to weir";
  if (!rest_is_zero(*value, rhs)) return "a comparison of more bytes than its value has";
  use(*value);
  rule_.statements.push_back(imr::Match{value->expr, *op, prefix(rhs, value->size)});
  return {};
}

Reason Translator::range(const nftnl_expr* expr) {
  const auto value = registers_.load(number(expr, NFTNL_EXPR_RANGE_SREG));
  if (!value) return no_value();
  const Bytes from = data(expr, NFTNL_EXPR_RANGE_FROM_DATA);
  const Bytes to = data(expr, NFTNL_EXPR_RANGE_TO_DATA);
  const std::uint32_t op = number(expr, NFTNL_EXPR_RANGE_OP);
  if (from.empty() || from.size() != to.size() || op > NFT_RANGE_NEQ) {
    return "this range is not known to weir";
  }
  if (!rest_is_zero(*value, from) || !rest_is_zero(*value, to)) {
    return "a range of more bytes than its value has";
  }
  use(*value);
  rule_.statements.push_back(imr::MatchRange{value->expr, op == NFT_RANGE_NEQ,
                                             prefix(from, value->size), prefix(to, value->size)});
  return {};
}

Reason Translator::immediate(const nftnl_expr* expr) {
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
  if (!verdict) return "this verdict is not known to weir";
  if (verdict->kind == imr::Verdict::Kind::queue) return "verdict 'queue' stays with the kernel";
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  rule_.statements.push_back(imr::VerdictStatement{*verdict});
  return {};
}

Reason Translator::lookup(const nftnl_expr* expr) {
  const char* name = nftnl_expr_get_str(expr, NFTNL_EXPR_LOOKUP_SET);
  const imr::SetId id = name == nullptr ? imr::SetId() : scope_.find_set(name);
  if (!id.valid()) return "the rule uses a set that the kernel does not list";
  const imr::Set& set = (*scope_.ruleset)[id];
  if (!set.native_reason.empty()) return set.native_reason;
  const bool inverted = has(expr, NFTNL_EXPR_LOOKUP_FLAGS) &&
                        (number(expr, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
  const bool ranges = set.dynamic && set.dynamic->ranges;
  if (ranges && scope_.ranges == nullptr) {
    return "a rule that looks for intervals with a state is read with all others";
  }
  const imr::SetId map = ranges ? scope_.ranges->at(id) : imr::SetId();
  auto key = operand(number(expr, NFTNL_EXPR_LOOKUP_SREG),
                     ranges ? (*scope_.ruleset)[map].key_size : set.key_size);
  if (!key) return no_value();
  if (ranges) {
    if (inverted) add_nowhere((*scope_.ruleset)[map]);
    key = add(imr::MapLookup{*key, map});
  }
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
    // nft_lookup_eval() runs the statements of the element as well.
    const bool keeps = set.dynamic && !set.dynamic->statements.empty();
    if (keeps && imr::varies(*scope_.ruleset, *key)) {
      return "a number is drawn for a map whose elements have statements";
    }
    if (keeps) rule_.statements.push_back(imr::MatchSet{*key, id});
    store_load(target, imr::MapLookup{*key, id}, true);
    return {};
  }
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  rule_.statements.push_back(imr::VerdictMap{*key, id});
  return {};
}

Reason Translator::change_set(const nftnl_expr* expr) {
  using Op = imr::DynamicSet::Op;
  const char* name = nftnl_expr_get_str(expr, NFTNL_EXPR_DYNSET_SET_NAME);
  const imr::SetId id = name == nullptr ? imr::SetId() : scope_.find_set(name);
  if (!id.valid()) return "the rule uses a set that the kernel does not list";
  if (scope_.dynamic_sets == nullptr) return "a rule that changes a set is read with all others";
  imr::Set& set = (*scope_.ruleset)[id];
  if (!set.native_reason.empty()) return set.native_reason;
  imr::DynamicSet change{.key = {}, .set = id};
  const std::uint32_t op = number(expr, NFTNL_EXPR_DYNSET_OP);
  if (op > NFT_DYNSET_OP_DELETE) return "this change of a set is not translated";
  change.op = op == NFT_DYNSET_OP_ADD      ? Op::add
              : op == NFT_DYNSET_OP_UPDATE ? Op::update
                                           : Op::remove;
  const auto key = operand(number(expr, NFTNL_EXPR_DYNSET_SREG_KEY), set.key_size);
  if (!key) return no_value();
  change.key = *key;
  if (set.is_data_map() && change.op != Op::remove) {
    change.data = operand(number(expr, NFTNL_EXPR_DYNSET_SREG_DATA), set.data_size);
    if (!change.data) return no_value();
  }
  if (has(expr, NFTNL_EXPR_DYNSET_TIMEOUT)) {
    change.timeout = nftnl_expr_get_u64(expr, NFTNL_EXPR_DYNSET_TIMEOUT);
  }
  if (change.timeout > imr::longest_timeout) return "a timeout of more than 146 years";
  change.inverted = has(expr, NFTNL_EXPR_DYNSET_FLAGS) &&
                    (number(expr, NFTNL_EXPR_DYNSET_FLAGS) & NFT_DYNSET_F_INV) != 0;
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  Reason refusal = change.op == Op::remove
                       ? DynamicSets::settle(set)
                       : scope_.dynamic_sets->settle(set, id, state_of_rule(expr));
  if (!refusal.empty()) return refusal;
  add_write(change);
  return {};
}

Reason Translator::counter(const nftnl_expr* expr) {
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  const imr::CounterId id =
      scope_.ruleset->add(imr::CounterState{id_, nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_PACKETS),
                                            nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_BYTES)});
  rule_.statements.push_back(imr::Counter{id});
  return {};
}

Reason Translator::limit(const nftnl_expr* expr) {
  return take(meter_of({.rate = nftnl_expr_get_u64(expr, NFTNL_EXPR_LIMIT_RATE),
                        .unit = nftnl_expr_get_u64(expr, NFTNL_EXPR_LIMIT_UNIT),
                        .burst = number(expr, NFTNL_EXPR_LIMIT_BURST),
                        .type = number(expr, NFTNL_EXPR_LIMIT_TYPE),
                        .flags = number(expr, NFTNL_EXPR_LIMIT_FLAGS)}));
}

Reason Translator::quota(const nftnl_expr* expr) {
  return take(quota_of(nftnl_expr_get_u64(expr, NFTNL_EXPR_QUOTA_BYTES),
                       nftnl_expr_get_u64(expr, NFTNL_EXPR_QUOTA_CONSUMED),
                       number(expr, NFTNL_EXPR_QUOTA_FLAGS)));
}

Reason Translator::object(const nftnl_expr* expr) {
  if (has(expr, NFTNL_EXPR_OBJREF_SET_SREG)) return object_of_map(expr);
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  const std::uint32_t type = number(expr, NFTNL_EXPR_OBJREF_IMM_TYPE);
  const char* name = nftnl_expr_get_str(expr, NFTNL_EXPR_OBJREF_IMM_NAME);
  if (type == NFT_OBJECT_COUNTER && scope_.find_counter && name != nullptr) {
    const imr::CounterId counter = scope_.find_counter(name, id_);
    if (!counter.valid()) return "the registers name a counter that is not there";
    rule_.statements.push_back(imr::Counter{counter});
    return {};
  }
  const imr::MeterId meter =
      scope_.find_meter && name != nullptr ? scope_.find_meter(type, name) : imr::MeterId();
  if (!meter.valid())
    return "named objects other than counters, limits and quotas are not translated";
  rule_.statements.push_back(imr::Meter{meter});
  return {};
}

Reason Translator::object_of_map(const nftnl_expr* expr) {
  const char* name = nftnl_expr_get_str(expr, NFTNL_EXPR_OBJREF_SET_NAME);
  const imr::SetId id = name == nullptr ? imr::SetId() : scope_.find_set(name);
  if (!id.valid()) return "the rule uses a set that the kernel does not list";
  const imr::Set& set = (*scope_.ruleset)[id];
  if (!set.native_reason.empty()) return set.native_reason;
  const auto type = object_type(set);
  if (!type || !scope_.objects_of) return "a rule that chooses an object is read with all others";
  const auto key = operand(number(expr, NFTNL_EXPR_OBJREF_SET_SREG), set.key_size);
  if (!key) return no_value();
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  imr::Choice choice = scope_.objects_of(*type, id_);
  if (choice.counters.empty() && choice.meters.empty()) {
    return "the map can hold no object that is translated";
  }
  choice.place = add(imr::MapLookup{*key, id});
  rule_.statements.push_back(std::move(choice));
  return {};
}

Reason Translator::take(const imr::MeterState& meter) {
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  if (const std::string reason = imr::why_no_meter(meter); !reason.empty()) return reason;
  rule_.statements.push_back(imr::Meter{scope_.ruleset->add(meter)});
  return {};
}

// Errors of ICMP that chains of netdev answer with know no limit, nor do resets
// (nft_reject_netdev.c, nf_send_reset()).
Reason Translator::reject(const nftnl_expr* expr) {
  constexpr std::uint32_t last_icmpx = NFT_REJECT_ICMPX_MAX;
  if (scope_.family == Family::bridge) {
    return "the answers of bridge chains go out by a port of the bridge";
  }
  const std::uint32_t type = number(expr, NFTNL_EXPR_REJECT_TYPE);
  const std::uint8_t code =
      has(expr, NFTNL_EXPR_REJECT_CODE) ? nftnl_expr_get_u8(expr, NFTNL_EXPR_REJECT_CODE) : 0;
  imr::Answer answer;
  if (type == NFT_REJECT_TCP_RST) {
    answer.kind = imr::Answer::Kind::reset;
  } else if (type == NFT_REJECT_ICMP_UNREACH ||
             (type == NFT_REJECT_ICMPX_UNREACH && code <= last_icmpx)) {
    const bool any = type == NFT_REJECT_ICMPX_UNREACH;
    answer = {.kind = any ? imr::Answer::Kind::icmpx : imr::Answer::Kind::icmp, .code = code};
  } else {
    return "an answer of this kind is not translated";
  }
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  if (scope_.family != Family::netdev && answer.kind != imr::Answer::Kind::reset) {
    if (!scope_.limit_of_answers) return "a rule whose answers are limited is read with all others";
    answer.limit = scope_.limit_of_answers();
  }
  rule_.statements.push_back(answer);
  rule_.statements.push_back(imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop}});
  return {};
}

Reason Translator::forward(const nftnl_expr* expr) {
  if (has(expr, NFTNL_EXPR_FWD_SREG_ADDR)) {
    return "packets that are forwarded to an address go by the kernel's table of neighbours";
  }
  const auto device = device_of(expr, NFTNL_EXPR_FWD_SREG_DEV);
  if (!device) return no_value();
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  rule_.statements.push_back(imr::Forward{*device});
  rule_.statements.push_back(imr::VerdictStatement{{.kind = imr::Verdict::Kind::drop}});
  return {};
}

Reason Translator::duplicate(const nftnl_expr* expr) {
  if (has(expr, NFTNL_EXPR_DUP_SREG_ADDR)) {
    return "copies of packets that are sent to an address go by the kernel's routes";
  }
  const auto device = device_of(expr, NFTNL_EXPR_DUP_SREG_DEV);
  if (!device) return no_value();
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  rule_.statements.push_back(imr::Duplicate{*device});
  return {};
}

std::optional<imr::ExprId> Translator::device_of(const nftnl_expr* expr, std::uint16_t attribute) {
  constexpr std::size_t index_size = 4;
  const auto device = operand(number(expr, attribute), index_size);
  const bool whole = device && imr::value_size(*scope_.ruleset, *device) == index_size;
  return whole ? device : std::nullopt;
}

Reason Translator::log(const nftnl_expr* expr) {
  constexpr std::uint32_t audit = 8;  // NFT_LOGLEVEL_AUDIT
  if (Reason reason = order_reason(); !reason.empty()) return reason;
  imr::Log log;
  if (const char* prefix = nftnl_expr_get_str(expr, NFTNL_EXPR_LOG_PREFIX)) log.prefix = prefix;
  if (has(expr, NFTNL_EXPR_LOG_GROUP)) {
    log.group = nftnl_expr_get_u16(expr, NFTNL_EXPR_LOG_GROUP);
    log.snaplen = number(expr, NFTNL_EXPR_LOG_SNAPLEN);
    log.threshold = nftnl_expr_get_u16(expr, NFTNL_EXPR_LOG_QTHRESHOLD);
  } else {
    if (has(expr, NFTNL_EXPR_LOG_LEVEL)) {
      const std::uint32_t level = number(expr, NFTNL_EXPR_LOG_LEVEL);
      if (level >= audit) return "the audit log is the kernel's own";
      log.level = static_cast<std::uint8_t>(level);
    }
    log.flags = static_cast<std::uint8_t>(number(expr, NFTNL_EXPR_LOG_FLAGS));
  }
  rule_.statements.push_back(std::move(log));
  return {};
}

}  // namespace weir::frontend::nft
