// SPDX-License-Identifier: BSD-2-Clause
//
// Expressions that fill registers.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "frontend/nft/keys.h"
#include "frontend/nft/translator.h"
#include "imr/meters.h"

namespace weir::frontend::nft {
namespace {

constexpr std::size_t word_bits = 32;

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

}  // namespace

Reason Translator::payload(const nftnl_expr* expr) {
  const auto base = header_base(number(expr, NFTNL_EXPR_PAYLOAD_BASE));
  if (has(expr, NFTNL_EXPR_PAYLOAD_SREG)) return write_payload(expr, base);
  if (!base) return "weir does not look into tunnels";
  imr::Payload load{.base = *base};
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
                            load.base != imr::HeaderBase::inner &&
                            (length == 1 || length == 2 || length == 4) && offset % length == 0;
  store_load(number(expr, NFTNL_EXPR_PAYLOAD_DREG), load, true);
  return {};
}

Reason Translator::meta(const nftnl_expr* expr) {
  if (has(expr, NFTNL_EXPR_META_SREG)) return set_meta(expr);
  if (number(expr, NFTNL_EXPR_META_KEY) == NFT_META_PRANDOM) {
    store_load(number(expr, NFTNL_EXPR_META_DREG), imr::Random{}, true);
    return {};
  }
  const auto key = meta_key(number(expr, NFTNL_EXPR_META_KEY));
  if (!key) {
    return not_translated("meta " + key_in_text(expr),
                          never_known(number(expr, NFTNL_EXPR_META_KEY)));
  }
  store_load(number(expr, NFTNL_EXPR_META_DREG), imr::Meta{*key}, imr::may_be_absent(*key));
  return {};
}

Reason Translator::ct(const nftnl_expr* expr) {
  if (has(expr, NFTNL_EXPR_CT_SREG)) {
    return not_translated("ct " + key_in_text(expr) + " set",
                          "a program reads the packet's connection, and cannot write to it");
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

Reason Translator::exthdr(const nftnl_expr* expr) {
  if (has(expr, NFTNL_EXPR_EXTHDR_SREG)) return write_option(expr);
  if (!has(expr, NFTNL_EXPR_EXTHDR_DREG)) return strip_option(expr);
  const auto kind =
      extension_kind(has(expr, NFTNL_EXPR_EXTHDR_OP) ? number(expr, NFTNL_EXPR_EXTHDR_OP)
                                                     : std::uint32_t{NFT_EXTHDR_OP_IPV6});
  if (!kind) return "options of this protocol are not known to weir";
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

Reason Translator::bitwise(const nftnl_expr* expr) {
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
      return "two values of a packet are not combined bit by bit";
  }
}

Reason Translator::mask_xor(const nftnl_expr* expr, const Value& source, std::size_t length,
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

Reason Translator::shift(const nftnl_expr* expr, const Value& source, std::size_t length,
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

Reason Translator::byteorder(const nftnl_expr* expr) {
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

Reason Translator::route(const nftnl_expr* expr) {
  const std::uint32_t target = number(expr, NFTNL_EXPR_RT_DREG);
  const auto next_hop = [&](imr::Payload destination) {
    store_load(target, imr::Nexthop{add(destination)}, true);
    return Reason();
  };
  switch (number(expr, NFTNL_EXPR_RT_KEY)) {
    case NFT_RT_CLASSID:
      store_load(target, imr::Meta{imr::MetaKey::rtclassid}, true);
      return {};
    case NFT_RT_XFRM:
      store_load(target, imr::Meta{imr::MetaKey::rtipsec}, true);
      return {};
    case NFT_RT_NEXTHOP4:
      return next_hop({.base = imr::HeaderBase::network, .offset = 16, .length = 4});
    case NFT_RT_NEXTHOP6:
      return next_hop({.base = imr::HeaderBase::network, .offset = 24, .length = 16});
    case NFT_RT_TCPMSS:
      return "a segment size goes by the route back, too, which no program looks up as the kernel "
             "does";
    default:
      return "this of a route is not known to weir";
  }
}

Reason Translator::hash(const nftnl_expr* expr) {
  if (number(expr, NFTNL_EXPR_HASH_TYPE) == NFT_HASH_SYM) {
    return "symmetric hashes of packets are made with a secret of the kernel";
  }
  if (!has(expr, NFTNL_EXPR_HASH_SEED)) return "the kernel draws the seed of this hash itself";
  const std::uint32_t length = number(expr, NFTNL_EXPR_HASH_LEN);
  const std::uint32_t modulus = number(expr, NFTNL_EXPR_HASH_MODULUS);
  if (length == 0 || length > imr::max_value_size || modulus == 0) {
    return "a hash of this size is not translated";
  }
  const auto source = operand(number(expr, NFTNL_EXPR_HASH_SREG), length);
  if (!source) return no_value();
  store_load(number(expr, NFTNL_EXPR_HASH_DREG),
             imr::Hash{.source = *source,
                       .length = static_cast<std::uint8_t>(length),
                       .seed = number(expr, NFTNL_EXPR_HASH_SEED),
                       .modulus = modulus,
                       .offset = number(expr, NFTNL_EXPR_HASH_OFFSET)},
             true);
  return {};
}

Reason Translator::numgen(const nftnl_expr* expr) {
  const std::uint32_t modulus = number(expr, NFTNL_EXPR_NG_MODULUS);
  if (number(expr, NFTNL_EXPR_NG_TYPE) != NFT_NG_INCREMENTAL) {
    if (modulus == 0) return "a number below 0 is not translated";
    store_load(number(expr, NFTNL_EXPR_NG_DREG),
               imr::Random{modulus, number(expr, NFTNL_EXPR_NG_OFFSET)}, true);
    return {};
  }
  const imr::MeterState sequence{.kind = imr::MeterState::Kind::sequence, .amount = modulus};
  if (const std::string reason = imr::why_no_meter(sequence); !reason.empty()) return reason;
  store_load(number(expr, NFTNL_EXPR_NG_DREG),
             imr::Numgen{scope_.ruleset->add(sequence), number(expr, NFTNL_EXPR_NG_OFFSET)}, true);
  return {};
}

}  // namespace weir::frontend::nft
