// SPDX-License-Identifier: BSD-2-Clause
#include "imr/constants.h"

#include <algorithm>
#include <cstring>

#include "imr/field_place.h"
#include "imr/visit.h"
#include "packet/fields.h"

namespace weir::imr {
namespace {

// The words of a shifted value, shifted back; bits that fell off the end are 0.
Bytes shift_back(const Bytes& value, const Shift& shift) {
  Bytes out(value.size());
  std::vector<std::uint32_t> words(value.size() / 4);
  std::memcpy(words.data(), value.data(), words.size() * 4);
  const unsigned bits = shift.bits;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::uint32_t word = 0;
    if (shift.direction == Shift::Direction::left) {
      word = words[i] >> bits | (i > 0 ? words[i - 1] << (32 - bits) : 0);
    } else {
      word = words[i] << bits | (i + 1 < words.size() ? words[i + 1] >> (32 - bits) : 0);
    }
    std::memcpy(out.data() + 4 * i, &word, 4);
  }
  return out;
}

class Collector {
 public:
  explicit Collector(const Ruleset& ruleset) : ruleset_(ruleset) {}

  void add_chain(ChainId chain) {
    for (const RuleId rule : ruleset_[chain].rules) {
      rule_ = rule;
      for (const Statement& statement : ruleset_[rule].statements) add(statement);
    }
  }
  Constants take() { return std::move(out_); }

 private:
  void add(const Statement& statement);
  void add_elements(ExprId key, const Set& set);
  void add_keys(ExprId expr);
  void add_option(const OptionWrite& write);
  void add_presence(std::uint8_t option);
  void add(ExprId expr, Bytes value);

  const Ruleset& ruleset_;
  RuleId rule_;
  Constants out_;
};

void Collector::add(const Statement& statement) {
  match_on(
      statement,
      [&](const Match& s) {
        add(s.lhs, s.rhs);
        const auto* masked = std::get_if<MaskXor>(&ruleset_[s.lhs]);
        if (masked == nullptr || std::ranges::any_of(s.rhs, [](auto b) { return b != 0; })) return;
        Bytes all(masked->mask.size());
        for (std::size_t i = 0; i < all.size(); ++i) {
          all[i] = static_cast<std::uint8_t>(masked->mask[i] ^ masked->flip[i]);
        }
        add(s.lhs, std::move(all));
      },
      [&](const MatchRange& s) {
        add(s.lhs, s.from);
        add(s.lhs, s.to);
      },
      [&](const MatchSet& s) { add_elements(s.key, ruleset_[s.set]); },
      [&](const VerdictMap& s) { add_elements(s.key, ruleset_[s.map]); },
      [](const VerdictStatement&) {}, [](const Counter&) {}, [](const Meter&) {},
      [&](const Choice& s) { add_keys(s.place); }, [&](const MetaWrite& s) { add_keys(s.value); },
      [&](const PayloadWrite& s) { add_keys(s.value); },
      [&](const OptionWrite& s) {
        add_option(s);
        add_keys(s.value);
      },
      [&](const OptionStrip& s) { add_presence(s.type); },
      [&](const DynamicSet& s) { add_elements(s.key, ruleset_[s.set]); }, [](const Answer&) {},
      [&](const Forward& s) { add_keys(s.device); },
      [&](const Duplicate& s) { add_keys(s.device); }, [](const Log&) {}, [](const Native&) {});
}

void Collector::add_elements(ExprId key, const Set& set) {
  for (const Element& element : set.elements) {
    add(key, element.key);
    if (element.last != element.key) add(key, element.last);
  }
}

// Packets with the option, and with the value in its place that stays as it is.
void Collector::add_option(const OptionWrite& write) {
  const auto* value = std::get_if<Immediate>(&ruleset_[write.value]);
  if (value == nullptr) return add_presence(write.type);
  const Extension place{ExtensionKind::tcp, write.type, write.offset, write.length};
  Bytes same = value->value;
  same.resize(write.length);
  out_.extension.push_back({rule_, place, std::move(same)});
}

void Collector::add_presence(std::uint8_t option) {
  const Extension presence{.kind = ExtensionKind::tcp, .type = option, .presence = true};
  out_.extension.push_back({rule_, presence, Bytes{1}});
}

// The keys of the maps that an expression of unknown value looks up in.
void Collector::add_keys(ExprId expr) {
  if (const auto* lookup = std::get_if<MapLookup>(&ruleset_[expr])) {
    add_elements(lookup->key, ruleset_[lookup->map]);
    return;
  }
  for (const ExprId source : sources(ruleset_[expr])) add_keys(source);
}

// Undoes the operations around a place, from the outside in. A comparison of fewer bytes than the
// value has says nothing about the others: they become 0.
void Collector::add(ExprId expr, Bytes value) {
  value.resize(value_size(ruleset_, expr));
  match_on(
      ruleset_[expr], [](const Immediate&) {},
      [&](const Payload& e) {
        out_.packet.push_back({rule_, e.base, e.offset, e.length, std::move(value)});
      },
      [&](const HeaderField& e) {
        const packet::Field* field = packet::find_field(e.name);
        invariant(field != nullptr, "unknown header field " + e.name);
        const auto place = place_of(*field);
        invariant(place.has_value(), "header field without a fixed place: " + e.name);
        out_.packet.push_back({rule_, place->base, place->offset, place->length, std::move(value)});
        if (field->protocol->ip_protocol) {
          out_.meta.push_back({rule_, MetaKey::l4proto, Bytes{*field->protocol->ip_protocol}});
        }
      },
      [&](const Extension& e) { out_.extension.push_back({rule_, e, std::move(value)}); },
      [&](const Meta& e) { out_.meta.push_back({rule_, e.key, std::move(value)}); },
      [&](const Ct& e) { out_.ct.push_back({rule_, e.key, std::move(value)}); },
      [&](const MaskXor& e) {
        for (std::size_t i = 0; i < value.size(); ++i) {
          value[i] = static_cast<std::uint8_t>((value[i] ^ e.flip[i]) & e.mask[i]);
        }
        add(e.source, std::move(value));
      },
      [&](const Shift& e) { add(e.source, shift_back(value, e)); },
      [&](const ByteSwap& e) {
        for (auto at = value.begin(); at != value.end(); at += e.unit) {
          std::reverse(at, at + e.unit);
        }
        add(e.source, std::move(value));
      },
      [&](const Concat& e) {
        auto at = value.begin();
        for (const ExprId part : e.parts) {
          const auto size = static_cast<std::ptrdiff_t>(value_size(ruleset_, part));
          add(part, Bytes(at, at + size));
          at += static_cast<std::ptrdiff_t>(padded_size(static_cast<std::size_t>(size)));
        }
      },
      // Keys that lead to the value, and keys that do not.
      [&](const MapLookup& e) { add_elements(e.key, ruleset_[e.map]); }, [](const Numgen&) {},
      // Bytes that lead to a given hash would have to be searched for.
      [](const Random&) {}, [](const Hash&) {},
      [&](const Nexthop& e) {
        out_.next_hop.push_back({rule_, value});
        add(e.source, std::move(value));
      });
}

}  // namespace

Constants constants(const Ruleset& ruleset) {
  Collector collector(ruleset);
  for (std::size_t i = 0; i < ruleset.chains.size(); ++i) collector.add_chain(ChainId(i));
  return collector.take();
}

Constants constants(const Unit& unit) {
  Collector collector(unit.ruleset);
  std::vector<bool> seen(unit.ruleset.chains.size());
  for (const ChainId root : unit.roots) {
    for (const ChainId chain : reachable_chains(unit.ruleset, root)) {
      if (!seen.at(chain.index())) collector.add_chain(chain);
      seen[chain.index()] = true;
    }
  }
  return collector.take();
}

}  // namespace weir::imr
