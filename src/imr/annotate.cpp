// SPDX-License-Identifier: BSD-2-Clause
#include "imr/annotate.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "imr/field_place.h"
#include "imr/visit.h"
#include "packet/fields.h"

namespace weir::imr {
namespace {

// The bits of a field within the bytes that hold it.
Bytes mask_of(const packet::Field& field) {
  Bytes mask(field.byte_length());
  const std::size_t first = field.bit_offset % 8;
  for (std::size_t bit = first; bit < first + field.bit_length; ++bit) {
    mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 0x80 >> bit % 8);
  }
  return mask;
}

bool is_all_ones(const Bytes& bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0xff; });
}

struct ItemName {
  ExtensionKind kind;
  std::uint8_t type;
  std::string_view name;
};

// As nft calls them.
constexpr std::array items = {
    ItemName{ExtensionKind::ipv6, 0, "hbh"},
    ItemName{ExtensionKind::ipv6, 43, "rt"},
    ItemName{ExtensionKind::ipv6, 44, "frag"},
    ItemName{ExtensionKind::ipv6, 60, "dst"},
    ItemName{ExtensionKind::ipv6, 135, "mh"},
    ItemName{ExtensionKind::tcp, 0, "tcp option eol"},
    ItemName{ExtensionKind::tcp, 1, "tcp option nop"},
    ItemName{ExtensionKind::tcp, 2, "tcp option maxseg"},
    ItemName{ExtensionKind::tcp, 3, "tcp option window"},
    ItemName{ExtensionKind::tcp, 4, "tcp option sack-perm"},
    ItemName{ExtensionKind::tcp, 5, "tcp option sack"},
    ItemName{ExtensionKind::tcp, 8, "tcp option timestamp"},
    ItemName{ExtensionKind::tcp, 19, "tcp option md5sig"},
    ItemName{ExtensionKind::tcp, 30, "tcp option mptcp"},
    ItemName{ExtensionKind::tcp, 34, "tcp option fastopen"},
    ItemName{ExtensionKind::ipv4, 7, "ip option rr"},
    ItemName{ExtensionKind::ipv4, 131, "ip option lsrr"},
    ItemName{ExtensionKind::ipv4, 137, "ip option ssrr"},
    ItemName{ExtensionKind::ipv4, 148, "ip option ra"},
    ItemName{ExtensionKind::sctp, 0, "sctp chunk data"},
    ItemName{ExtensionKind::sctp, 1, "sctp chunk init"},
    ItemName{ExtensionKind::sctp, 2, "sctp chunk init-ack"},
    ItemName{ExtensionKind::sctp, 3, "sctp chunk sack"},
    ItemName{ExtensionKind::sctp, 4, "sctp chunk heartbeat"},
    ItemName{ExtensionKind::sctp, 5, "sctp chunk heartbeat-ack"},
    ItemName{ExtensionKind::sctp, 6, "sctp chunk abort"},
    ItemName{ExtensionKind::sctp, 7, "sctp chunk shutdown"},
    ItemName{ExtensionKind::sctp, 8, "sctp chunk shutdown-ack"},
    ItemName{ExtensionKind::sctp, 9, "sctp chunk error"},
    ItemName{ExtensionKind::sctp, 10, "sctp chunk cookie-echo"},
    ItemName{ExtensionKind::sctp, 11, "sctp chunk cookie-ack"},
    ItemName{ExtensionKind::sctp, 12, "sctp chunk ecne"},
    ItemName{ExtensionKind::sctp, 13, "sctp chunk cwr"},
    ItemName{ExtensionKind::sctp, 14, "sctp chunk shutdown-complete"},
};

std::string name_of_extension(const Extension& extension) {
  const auto* found = std::ranges::find_if(items, [&](const ItemName& item) {
    return item.kind == extension.kind && item.type == extension.type;
  });
  return found == items.end() ? std::string() : std::string(found->name);
}

}  // namespace

// The one field at the place. A mask that selects a part of the field's bytes must be that of the
// field, or the field must be whole bytes (a prefix of an address is still the address).
std::string Annotator::field_at(const Payload& place, const Bytes* mask) const {
  const packet::Field* found = nullptr;
  for (const packet::Field& field : packet::fields()) {
    const packet::Protocol& protocol = *field.protocol;
    const auto candidate = place_of(field);
    if (!candidate || candidate->base != place.base || candidate->offset != place.offset ||
        candidate->length != place.length) {
      continue;
    }
    if (protocol.layer == packet::Layer::network &&
        (!ethertype_ || protocol.ethertype != *ethertype_)) {
      continue;
    }
    if (protocol.layer == packet::Layer::transport &&
        (!l4proto_ || protocol.ip_protocol != *l4proto_)) {
      continue;
    }
    const Bytes bits = mask_of(field);
    if (mask != nullptr && *mask == bits) return std::string(field.name);
    if (!is_all_ones(bits)) continue;
    if (found != nullptr) return {};
    found = &field;
  }
  return found == nullptr ? std::string() : std::string(found->name);
}

std::string Annotator::name_of(const Ruleset& ruleset, ExprId expr) const {
  return match_on(
      ruleset[expr], [](const Immediate&) { return std::string(); },
      [&](const Payload& e) { return field_at(e, nullptr); },
      [](const HeaderField&) { return std::string(); },
      [](const Extension& e) { return name_of_extension(e); },
      [](const Meta&) { return std::string(); }, [](const Ct&) { return std::string(); },
      [&](const MaskXor& e) {
        const auto* place = std::get_if<Payload>(&ruleset[e.source]);
        return place != nullptr ? field_at(*place, &e.mask) : name_of(ruleset, e.source);
      },
      [&](const Shift& e) { return name_of(ruleset, e.source); },
      [&](const ByteSwap& e) { return name_of(ruleset, e.source); },
      [&](const Concat& e) {
        std::string names;
        for (const ExprId part : e.parts) {
          const std::string name = name_of(ruleset, part);
          if (name.empty()) return std::string();
          names += (names.empty() ? "" : " . ") + name;
        }
        return names;
      },
      [&](const MapLookup& e) { return name_of(ruleset, e.key); },
      [](const Numgen&) { return std::string(); }, [](const Random&) { return std::string(); },
      [](const Hash&) { return std::string(); }, [](const Nexthop&) { return std::string(); });
}

std::string Annotator::learn(MetaKey key, const Bytes& value) {
  if (key == MetaKey::nfproto && value.size() == 1) {
    for (const Nfproto nfproto : {Nfproto::ipv4, Nfproto::ipv6}) {
      if (value[0] != static_cast<std::uint8_t>(nfproto)) continue;
      ethertype_ = nfproto == Nfproto::ipv4 ? 0x0800 : 0x86dd;
      return std::string(to_string(nfproto));
    }
  }
  if (key == MetaKey::protocol && value.size() == 2) {
    ethertype_ = static_cast<std::uint16_t>(load_big_endian(value));
  }
  if (key == MetaKey::l4proto && value.size() == 1) {
    l4proto_ = value[0];
    for (const packet::Protocol& protocol : packet::protocols()) {
      if (protocol.layer == packet::Layer::transport && protocol.ip_protocol == value[0]) {
        return std::string(protocol.name);
      }
    }
  }
  return {};
}

std::string Annotator::annotate(const Ruleset& ruleset, const Statement& statement) {
  return match_on(
      statement,
      [&](const Match& s) {
        const auto* meta = std::get_if<Meta>(&ruleset[s.lhs]);
        if (meta != nullptr && s.op == Relop::eq) return learn(meta->key, s.rhs);
        std::string name = name_of(ruleset, s.lhs);
        // "ip protocol 6" says as much as "meta l4proto 6" does.
        if (s.op == Relop::eq && s.rhs.size() == 1 &&
            (name == "ip protocol" || name == "ip6 nexthdr")) {
          l4proto_ = s.rhs[0];
        }
        // Behind a tag stands the one that counts.
        if (s.op == Relop::eq && (name == "ether type" || name == "vlan type")) {
          ethertype_ = static_cast<std::uint16_t>(load_big_endian(s.rhs));
        }
        return name;
      },
      [&](const MatchRange& s) { return name_of(ruleset, s.lhs); },
      [&](const MatchSet& s) { return name_of(ruleset, s.key); },
      [&](const VerdictMap& s) { return name_of(ruleset, s.key); },
      [](const VerdictStatement&) { return std::string(); },
      [](const Counter&) { return std::string(); }, [](const Meter&) { return std::string(); },
      [&](const Choice& s) { return name_of(ruleset, s.place); },
      [&](const MetaWrite& s) { return name_of(ruleset, s.value); },
      [&](const PayloadWrite& s) { return name_of(ruleset, s.value); },
      [](const OptionWrite& s) { return name_of_extension({ExtensionKind::tcp, s.type}); },
      [](const OptionStrip& s) { return name_of_extension({ExtensionKind::tcp, s.type}); },
      [&](const DynamicSet& s) { return name_of(ruleset, s.key); },
      [](const Answer&) { return std::string(); },
      [&](const Forward& s) { return name_of(ruleset, s.device); },
      [&](const Duplicate& s) { return name_of(ruleset, s.device); },
      [](const Log&) { return std::string(); }, [](const Native&) { return std::string(); });
}

}  // namespace weir::imr
