// SPDX-License-Identifier: BSD-2-Clause
//
// What expressions of one unit come to as registers. Loads that several rules need are gathered
// once, in front of the first rule that needs one of them; others are made where they are used.
// Where a packet's transport header is, is found out once, and only when some rule needs it.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/builder.h"
#include "backend/dynamic_sets.h"
#include "backend/extensions.h"
#include "backend/lower.h"
#include "backend/profile.h"
#include "backend/set_maps.h"
#include "backend/start.h"
#include "backend/words.h"
#include "imr/imr.h"

namespace weir::backend {

// A leaf of expressions, cut to one word.
struct Leaf {
  enum class Kind : std::uint8_t { link, network, transport, inner, l4proto, meta, ct, extension };
  Kind kind = Kind::network;
  // Of packet words; the key of meta; key and direction of ct; the type of an extension.
  std::uint16_t offset = 0;
  std::uint8_t size = 0;  // of packet words; which half of a name; the kind of an extension
  friend auto operator<=>(const Leaf&, const Leaf&) = default;
};

[[nodiscard]] Leaf ct_leaf(const imr::Ct& ct, std::size_t half);
[[nodiscard]] imr::Ct ct_of(const Leaf& leaf);
// An item of which something is looked at: all loads from one go by its place.
[[nodiscard]] Leaf leaf_of(const imr::Extension& item);

// How often each leaf occurs.
using Demand = std::map<Leaf, unsigned>;

// Adds the leaves that statements need.
void add_demand(const imr::Ruleset& ruleset, std::span<const imr::Statement> statements,
                Demand& demand);
// Adds those of an expression.
void add_demand(const imr::Ruleset& ruleset, imr::ExprId expr, Demand& demand);

// What parsing finds out about a packet's headers; registers are not valid until parsed.
struct Headers {
  flow::Reg network;        // offset of the network header; not valid: 0
  flow::Reg protocol;       // of its packet, as a native load; not valid: the hook's context has it
  flow::Reg l4proto;        // above 255: there is none
  flow::Reg transport;      // offset of the transport header
  flow::Reg available;      // bytes from there on, 0 when there is none or in later fragments
  flow::Reg available_any;  // the same for loads that are there in later fragments, too
  flow::Reg fragment;       // 0 but in later fragments
  flow::Reg inner;          // offset of what is behind the transport header
  flow::Reg length;         // of the packet, from the hook's first header on
  flow::Reg counted;        // of it, what counters and meta length take; not valid: all
  flow::Reg vlan_tag;       // of an skb, where a rule reads what it moves: ContextKey::vlan_tag
  flow::Reg link_protocol;  // of an skb: the ethertype behind that tag
};

class Values {
 public:
  // `demand` holds what all rules of the unit and root need together. `opaque` is a register that
  // is zero, which the verifier does not know.
  Values(Builder& out, const imr::Unit& unit, const Profile& profile, const Demand& demand,
         const SetMaps& sets, const DynamicMaps& dynamic_sets, isa::MapIndex meters,
         Headers headers, const Start& start, unsigned shared_words);

  // Makes everything of `needed` that is worth sharing, at the cursor, which must dominate all
  // uses.
  void gather(const Demand& needed);

  // The value of an expression; leaves to `absent` when the packet has none.
  [[nodiscard]] Words evaluate(imr::ExprId expr, flow::BlockId absent);
  // For who asks only whether it equals a constant: what has no value may come as a word that no
  // value equals, without a test of its own.
  [[nodiscard]] Words evaluate_to_equal(imr::ExprId expr, flow::BlockId absent);
  // The packet's fact becomes the value, for all that is evaluated from here on.
  void write_meta(imr::MetaKey key, const Words& value);
  // The same of its bytes; leaves to `absent` where they, or a checksum, are not there.
  void write_packet(const imr::PayloadWrite& write, flow::BlockId absent);
  // The same of a TCP option: writes to it; or makes it one that says nothing, and leaves to `drop`
  // where it reaches beyond the header.
  void write_option(const imr::OptionWrite& write, flow::BlockId absent);
  void strip_option(const imr::OptionStrip& strip, flow::BlockId absent, flow::BlockId drop);
  // Length of the packet in bytes, as counters take it.
  [[nodiscard]] flow::Reg length();

 private:
  [[nodiscard]] bool shared(const Leaf& leaf) const;
  void find_writes();
  [[nodiscard]] bool may_change(const Leaf& leaf) const;
  [[nodiscard]] flow::Reg start_of_written(const imr::PayloadWrite& write, flow::BlockId absent);
  void mend_header_sum(flow::Reg header, std::uint64_t offset, flow::Reg difference,
                       flow::BlockId absent);
  void mend_transport_sum(flow::Reg difference, flow::BlockId absent);
  // The option, at place 0 where the packet has none.
  [[nodiscard]] Item option_to_write(std::uint8_t type, flow::BlockId absent);
  flow::Reg nop_out(flow::Reg place, std::uint64_t size);
  void mend_tcp_sum(flow::Reg difference);
  void gather_packet(Leaf::Kind kind);
  void parse_transport();
  void parse_ipv4();
  void parse_ipv6();
  void no_transport();
  void parse_inner();
  // Length of the packet from its first byte on.
  [[nodiscard]] flow::Reg extent();
  // Bytes of a header that every packet of the unit has.
  [[nodiscard]] std::uint64_t sure_bytes(imr::HeaderBase base) const;
  void expect_bytes(imr::HeaderBase header, flow::Reg start, std::uint64_t end,
                    flow::BlockId absent);
  void leave_without(imr::MetaKey key, Words& words, flow::BlockId absent);
  [[nodiscard]] Words packet_value(const imr::Payload& payload, flow::BlockId absent);
  [[nodiscard]] flow::Reg meta_word(imr::MetaKey key, unsigned half);
  [[nodiscard]] flow::Reg make_meta(imr::MetaKey key, unsigned half);
  [[nodiscard]] flow::Reg make_pkttype();
  [[nodiscard]] flow::Reg wall_clock();
  [[nodiscard]] flow::Reg second_of_day();
  [[nodiscard]] Words ct_value(const imr::Ct& ct, flow::BlockId absent);
  // The word of a packet with a connection; anything without one.
  [[nodiscard]] flow::Reg make_ct(const imr::Ct& ct, unsigned half);
  [[nodiscard]] flow::Reg make_ct_state();
  [[nodiscard]] flow::Reg make_ct_zone(imr::CtDirection direction);
  void choose_items(unsigned shared_words);
  void gather_items(imr::ExtensionKind kind);
  [[nodiscard]] ItemLoop loop_for(std::span<const std::uint8_t> types);
  [[nodiscard]] std::vector<Item> find_items(imr::ExtensionKind kind,
                                             std::span<const std::uint8_t> types);
  [[nodiscard]] Words next_hop(const imr::Nexthop& hop, flow::BlockId absent);
  [[nodiscard]] Words extension_value(const imr::Extension& item, flow::BlockId absent);
  [[nodiscard]] Words shifted(const imr::Shift& shift, flow::BlockId absent);
  // dst = the word at base + offset, or zero where the packet ends before.
  void load_or_zero(flow::Reg dst, flow::Reg base, const Leaf& leaf);
  // dst = the word at base + its offset; leaves to `absent` where the packet ends before.
  void load_word(flow::Reg dst, flow::Reg base, const Leaf& leaf, flow::BlockId absent);
  void load_retagged(flow::Reg dst, const Leaf& leaf, flow::BlockId absent);
  [[nodiscard]] flow::Reg blurred(flow::Reg reg);

  Builder& out_;
  const imr::Unit& unit_;
  const imr::Ruleset& ruleset_;
  const Profile& profile_;
  const Demand& demand_;
  const SetMaps& sets_;
  const DynamicMaps& dynamic_sets_;
  isa::MapIndex meters_;
  Headers headers_;
  const Start& start_;
  flow::Reg opaque_;
  std::map<Leaf, flow::Reg> gathered_;
  std::map<Leaf, Item> items_;  // extensions that were looked for
  std::set<Leaf> chosen_;       // leaves worth sharing
  // What rules of the unit write: of that, nothing is shared but the mark.
  bool writes_packet_ = false;
  std::set<imr::MetaKey> writes_meta_;
};

// Emits the walk to the transport header of an IPv6 packet, exactly as ipv6_find_hdr() makes it in
// nft_set_pktinfo_ipv6(): see the .cpp. Sets l4proto (0x100: none), transport and fragment offset.
struct Ipv6Walk {
  flow::Reg l4proto;
  flow::Reg transport;
  flow::Reg fragment_offset;
};
[[nodiscard]] Ipv6Walk walk_ipv6(Builder& out, const imr::Unit& unit, flow::Reg network,
                                 flow::Reg opaque);

// Makes `available` and `available_any` of headers whose length and transport are known.
// `fragment_offset` is zero but in later fragments. With `reaches`, no packet ends before its
// transport header begins.
void finish_transport(Builder& out, bool quirks, Headers& headers, flow::Reg fragment_offset,
                      flow::Reg opaque, bool reaches);

// An offset at which no packet has a byte.
constexpr std::uint64_t nowhere = 0x7fffffff;
constexpr std::uint64_t no_protocol = 0x100;
// A packet type that is none.
constexpr std::uint64_t no_type = 0x100;

}  // namespace weir::backend
