// SPDX-License-Identifier: BSD-2-Clause
//
// The intermediate representation of rules (IMR): what a firewall says, in terms of neither nft nor
// iptables nor BPF. A Ruleset owns everything in flat arenas; all else holds ids into them.
//
// Values are byte strings in the order in which an nf_tables register holds them: packet bytes as
// they stand in the packet, host-endian quantities (meta mark, iif, oif, length, ct state) in host
// order. Comparisons are those of memcmp(3), as in net/netfilter/nft_cmp.c.
//
// A rule is a list of statements, run in order. A match that fails, or an expression whose value is
// not there (a load beyond the packet, for instance), ends the rule: what stood before it has had
// its effect (a counter), what stands behind it has none, and the next rule runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hook.h"
#include "base/id.h"
#include "base/shared_list.h"
#include "base/shared_text.h"
#include "base/short_bytes.h"

namespace weir::imr {

using TableId = Id<struct TableTag>;
using ChainId = Id<struct ChainTag>;
using RuleId = Id<struct RuleTag>;
using ExprId = Id<struct ExprTag>;
using SetId = Id<struct SetTag>;
using CounterId = Id<struct CounterTag>;
using MeterId = Id<struct MeterTag>;

constexpr std::size_t max_value_size = 64;  // bytes; NFT_REG32_COUNT registers of 4 in the kernel

// ---- Expressions: each has a value of a fixed size, or no value for the packet at hand ----------

// `inner` is what stands behind the transport header: PacketView::find_inner().
enum class HeaderBase : std::uint8_t { link, network, transport, inner };

// `length` bytes at `offset` from a header. Without a value when they reach beyond the packet.
// A transport load has none either where no transport header was found, and, unless
// `in_later_fragments`, in a fragment other than the first. nf_tables reads aligned loads of 1, 2
// and 4 bytes out of later fragments too (nft_payload_fast_eval in net/netfilter/nf_tables_core.c
// does not look at the fragment offset); at hooks without that reference the flag has no effect.
struct Payload {
  HeaderBase base = HeaderBase::network;
  std::uint16_t offset = 0;
  std::uint16_t length = 0;
  bool in_later_fragments = false;
  friend bool operator==(const Payload&, const Payload&) = default;
};

// A header field by name, "tcp dport": a row of the table in packet/fields.def, of any layer but
// that of the IPv6 extension headers. Its value are the whole bytes that hold the field; it has
// none where the packet does not carry the field's protocol, nor, of a transport protocol, in a
// fragment other than the first. The pass resolve_fields turns it into a Payload and the guards it
// needs.
struct HeaderField {
  std::string name;
  friend bool operator==(const HeaderField&, const HeaderField&) = default;
};

// What a packet has a list of, each item with a type.
enum class ExtensionKind : std::uint8_t {
  ipv6,  // headers behind that of IPv6, by their protocol; one may be the last
  tcp,   // options
  ipv4,  // options: record route 7, loose and strict source route 131 and 137, router alert 148
  sctp,  // chunks
};

// `length` bytes at `offset` of the first item of the type; without a value where the packet has no
// such item or ends within these bytes, nor, of all but `ipv6`, where the item does. With
// `presence` one byte instead, 1 where the packet has the item, else 0; without a value only in
// packets that are not of the network protocol (net/netfilter/nft_exthdr.c; imr/extensions.h).
struct Extension {
  ExtensionKind kind = ExtensionKind::ipv6;
  std::uint8_t type = 0;
  std::uint8_t offset = 0;
  std::uint8_t length = 1;
  bool presence = false;  // then at offset 0, with length 1
  friend bool operator==(const Extension&, const Extension&) = default;
};

// Facts about a packet that are not in its bytes. Sizes in bytes are given by value_size().
enum class MetaKey : std::uint8_t {
  l4proto,    // 1: last header of the IPv6 chain, or the IPv4 protocol; may be absent (IPv6)
  nfproto,    // 1: Nfproto
  protocol,   // 2, network order: ethertype
  mark,       // 4, host order
  iif,        // 4, host order; 0 where there is none
  oif,        // 4, host order; 0 where there is none
  iifname,    // 16, padded with zero bytes; all zero where there is none
  oifname,    // 16, the same
  length,     // 4, host order: bytes from the hook's own first header on
  pkttype,    // 1: PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST, ...
  iiftype,    // 2, host order: ARPHRD_ETHER, ... of the device it is at; none where there is none
  oiftype,    // 2, host order: of the output device; none where there is none
  iifgroup,   // 4, host order: of the input device; none where there is none
  oifgroup,   // 4, the same of the output device
  iifkind,    // 16, padded with zero bytes: "veth"; none where there is no device, or one without
  oifkind,    // 16, the same of the output device
  priority,   // 4, host order
  cpu,        // 4, host order: that runs the rules
  skuid,      // 4, host order: of who opened the packet's socket; none without one, nor where it is
              // of another network namespace, or of no file
  skgid,      // 4, the same of the group
  cgroup,     // 4, host order: net_cls class of the packet's socket; none without one, nor where it
              // is of another network namespace
  rtclassid,  // 4, host order: realms of the packet's route; none before it has one
  rtipsec,    // 1: whether IPsec transforms what goes by the packet's route; none before it has one
  time,       // 8, host order: nanoseconds since 1970 (UTC)
  hour,       // 4, host order: seconds since midnight (UTC)
};
struct Meta {
  MetaKey key = MetaKey::l4proto;
  friend bool operator==(const Meta&, const Meta&) = default;
};

// What connection tracking knows of the packet's connection. Without one, all but the state have no
// value. Addresses and ports are those of the first packet of a direction.
enum class CtKey : std::uint8_t {
  state,      // 4, host order; one bit of NF_CT_STATE_BIT(), invalid when there is no connection
  direction,  // 1: 0 as the connection began, 1 of replies
  status,     // 4, host order: bits of enum ip_conntrack_status
  mark,       // 4, host order
  helper,     // 16, padded with zero bytes: name of the helper that expected it; none without one
  l3proto,    // 1: Nfproto
  protocol,   // 1: TCP, UDP, ...
  src_ip,     // 4, network order; none of a connection of IPv6
  dst_ip,     // 4, the same
  src_ip6,    // 16, network order; none of a connection of IPv4
  dst_ip6,    // 16, the same
  proto_src,  // 2, network order: port, or what the protocol has in its place
  proto_dst,  // 2, the same
  labels,     // 16: bits, the lowest first
  zone,       // 2, host order; of a direction: 0 where the zone is not that direction's
  bytes,      // 8, host order; of a direction, or of both
  packets,    // 8, the same
  avgpkt,     // 8, the same: bytes a packet; 0 without packets
};
enum class CtDirection : std::uint8_t { none, original, reply };
struct Ct {
  CtKey key = CtKey::state;
  CtDirection direction = CtDirection::none;  // addresses and ports have one, the last four may
  friend bool operator==(const Ct&, const Ct&) = default;
};

struct Immediate {
  Bytes value;
  friend bool operator==(const Immediate&, const Immediate&) = default;
};

// (source & mask) ^ flip, byte by byte; all three of one size.
struct MaskXor {
  ExprId source;
  Bytes mask;
  Bytes flip;
  friend bool operator==(const MaskXor&, const MaskXor&) = default;
};

// A shift by 1 to 31 bits over the 4-byte words of the source, each word in host order, the first
// word the most significant (nft_bitwise_eval_lshift). The size of the source is a multiple of 4,
// or less than 4, when it counts as padded with zero bytes to 4 and the value has 4 bytes.
struct Shift {
  enum class Direction : std::uint8_t { left, right };
  ExprId source;
  Direction direction = Direction::left;
  std::uint8_t bits = 0;
  friend bool operator==(const Shift&, const Shift&) = default;
};

// Reverses the bytes of each `unit` (2, 4 or 8) bytes: hton and ntoh alike on these hosts.
struct ByteSwap {
  ExprId source;
  std::uint8_t unit = 2;
  friend bool operator==(const ByteSwap&, const ByteSwap&) = default;
};

// The values of the parts in a row, each padded with zero bytes to a multiple of 4, as nf_tables
// registers hold them. No value where a part has none.
struct Concat {
  std::vector<ExprId> parts;
  friend bool operator==(const Concat&, const Concat&) = default;
};

// The data that the map has for the first key_size bytes of `key`; no value where it has none for
// them. A catch-all element counts (nft_lookup_eval in net/netfilter/nft_lookup.c).
struct MapLookup {
  ExprId key;
  SetId map;
  friend bool operator==(const MapLookup&, const MapLookup&) = default;
};

// 4 bytes, host order: the next number of a meter's sequence, plus `offset`
// (net/netfilter/nft_numgen.c). Each time that the value is asked for it is another one.
struct Numgen {
  MeterId meter;
  std::uint32_t offset = 0;
  friend bool operator==(const Numgen&, const Numgen&) = default;
};

// 4 bytes, host order: a number drawn anew each time that the value is asked for, below `modulus`
// and plus `offset`; with modulus 0 any of 32 bits (get_random_u32() of net/netfilter/nft_meta.c,
// nft_numgen.c).
struct Random {
  std::uint32_t modulus = 0;
  std::uint32_t offset = 0;
  friend bool operator==(const Random&, const Random&) = default;
};

// 4 bytes, host order: a hash of the first `length` bytes of the source, scaled to below `modulus`,
// plus `offset` (net/netfilter/nft_hash.c; imr/hash.h).
struct Hash {
  ExprId source;
  std::uint8_t length = 4;
  std::uint32_t seed = 0;
  std::uint32_t modulus = 1;
  std::uint32_t offset = 0;
  friend bool operator==(const Hash&, const Hash&) = default;
};

// The address that the packet's route leads to: its gateway, or, where it has none, the source,
// which is the destination that the packet names. Of IPv4 where the source has 4 bytes, of IPv6
// where it has 16; without a value in packets of another protocol, or before they have a route
// (net/netfilter/nft_rt.c).
struct Nexthop {
  ExprId source;
  friend bool operator==(const Nexthop&, const Nexthop&) = default;
};

using Expr = std::variant<Immediate, Payload, HeaderField, Extension, Meta, Ct, MaskXor, Shift,
                          ByteSwap, Concat, MapLookup, Numgen, Random, Hash, Nexthop>;

// ---- Statements
// ----------------------------------------------------------------------------------

enum class Relop : std::uint8_t { eq, ne, lt, le, gt, ge };

// Compares the first rhs.size() bytes of lhs (nft compares a prefix of a register for "eth*").
struct Match {
  ExprId lhs;
  Relop op = Relop::eq;
  ShortBytes rhs;
  friend bool operator==(const Match&, const Match&) = default;
};

// from <= lhs <= to, or its opposite; the first from.size() bytes of lhs.
struct MatchRange {
  ExprId lhs;
  bool inverted = false;
  ShortBytes from;
  ShortBytes to;
  friend bool operator==(const MatchRange&, const MatchRange&) = default;
};

// Whether the first key_size bytes of `key` are in the set. A catch-all element makes it true.
struct MatchSet {
  ExprId key;
  SetId set;
  bool inverted = false;
  friend bool operator==(const MatchSet&, const MatchSet&) = default;
};

struct Verdict {
  enum class Kind : std::uint8_t {
    accept,     // ends this base chain: the packet passes it
    drop,       // ends the packet
    continue_,  // no effect
    return_,    // to the rule behind the jump that led here, or to the policy
    jump,       // to `chain`, and back
    go_to,      // to `chain`, and back to where this chain would return to
    queue,      // to userspace: no program can do it, native
  };
  Kind kind = Kind::accept;
  ChainId chain;  // of jump and go_to
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// The verdict that the map holds for the key; a missing key ends the rule.
struct VerdictMap {
  ExprId key;
  SetId map;
  friend bool operator==(const VerdictMap&, const VerdictMap&) = default;
};

struct VerdictStatement {
  Verdict verdict;
  friend bool operator==(const VerdictStatement&, const VerdictStatement&) = default;
};

struct Counter {
  CounterId counter;
  friend bool operator==(const Counter&, const Counter&) = default;
};

// Takes from a limit or a quota, and ends the rule for packets beyond it; of one that is `over`,
// for packets within it.
struct Meter {
  MeterId meter;
  friend bool operator==(const Meter&, const Meter&) = default;
};

// Counts with one of the counters, or takes from one of the meters: the one at the place in the
// list that the value tells (4 bytes, host order; the first is 0). Ends the rule where the value is
// not there, and behind the end of the list. See nft_objref_map_eval() in
// net/netfilter/nft_objref.c, whose maps hold objects: in the IMR they hold places.
struct Choice {
  ExprId place;
  SharedList<CounterId> counters = {};
  SharedList<MeterId> meters = {};  // one of the two lists is empty
  friend bool operator==(const Choice&, const Choice&) = default;
};

// Gives the packet's fact the value. Rules behind it, of other roots too, read the new one. Of the
// keys, those of is_writable() can be written.
struct MetaWrite {
  MetaKey key = MetaKey::mark;
  ExprId value;
  friend bool operator==(const MetaWrite&, const MetaWrite&) = default;
};

// Puts the first `length` bytes of the value at `offset` of a header, which must be there (a
// transport header: not in later fragments), and adds the difference to checksums
// (nft_payload_set_eval() in net/netfilter/nft_payload.c). Rules behind it read the new bytes;
// where headers are and what the packet's protocol is stays as it was found.
struct PayloadWrite {
  HeaderBase base = HeaderBase::network;
  std::uint16_t offset = 0;
  std::uint16_t length = 0;
  std::optional<std::uint8_t> checksum = {};  // where in the same header one of 16 bits stands
  bool pseudo_header = false;  // whether that of TCP, UDP, UDP-Lite or ICMPv6 changes with it
  ExprId value;
  friend bool operator==(const PayloadWrite&, const PayloadWrite&) = default;
};

// Puts the value at `offset` of the first TCP option of the type, and adds the difference to the
// checksum; a maximum segment size (type 2, 2 bytes) never grows. The rule goes on where the packet
// has no such option, and ends where it has no whole TCP header, or the option no such bytes
// (nft_exthdr_tcp_set_eval() in net/netfilter/nft_exthdr.c). Rules behind it read the new bytes.
struct OptionWrite {
  std::uint8_t type = 0;
  std::uint8_t offset = 2;  // behind type and length
  std::uint8_t length = 2;  // or 4
  ExprId value;
  friend bool operator==(const OptionWrite&, const OptionWrite&) = default;
};

// Puts bytes that say nothing (NOP) in the place of the first TCP option of the type. The rule goes
// on where the packet has none, and ends where it has no whole TCP header. An option that reaches
// beyond the header ends the packet, as a drop does (nft_exthdr_tcp_strip_eval()).
struct OptionStrip {
  std::uint8_t type = 0;
  friend bool operator==(const OptionStrip&, const OptionStrip&) = default;
};

// Answers the packet, which the drop behind it ends; the two are what rules call reject
// (net/netfilter/nft_reject.c). With a limit, packets beyond it are dropped alone. See
// imr/answer.h.
struct Answer {
  enum class Kind : std::uint8_t {
    icmp,  // "destination unreachable" of the packet's own protocol, with `code` as it stands there
    icmpx,  // the same with one of enum nft_reject_inet_code, whatever the protocol
    reset,  // of TCP
  };
  Kind kind = Kind::icmp;
  std::uint8_t code = 0;
  std::optional<MeterId> limit = {};
  friend bool operator==(const Answer&, const Answer&) = default;
};

// Sends the packet out by the device whose index the value is, of 4 bytes, in host order; the drop
// behind it ends it here. Of a device that there is not, nothing is sent (nft_fwd_netdev_eval() in
// net/netfilter/nft_fwd_netdev.c).
struct Forward {
  ExprId device;
  friend bool operator==(const Forward&, const Forward&) = default;
};

// Sends a copy of the packet, as rules have left it so far, out by such a device
// (net/netfilter/nft_dup_netdev.c).
struct Duplicate {
  ExprId device;
  friend bool operator==(const Duplicate&, const Duplicate&) = default;
};

// Records the packet: its first bytes, for who reads the log (net/netfilter/nft_log.c). The rule
// goes on whether somebody does or not.
struct Log {
  SharedText prefix;
  std::optional<std::uint16_t> group = {};  // of nfnetlink_log; none: the kernel's own log
  std::uint8_t level = 4;                   // of the kernel's log, as syslog(2) has them
  std::uint8_t flags = 0;                   // of it: NF_LOG_* of linux/netfilter/nf_log.h
  std::uint32_t snaplen = 0;                // of a group: bytes of the packet; 0: all
  std::uint16_t threshold = 0;              // of it: packets that are handed over at once
  friend bool operator==(const Log&, const Log&) = default;
};

// Makes the first key_size bytes of `key` a member of a dynamic set, or takes it out
// (net/netfilter/nft_dynset.c). A member that is there already stays as it is, but that `update`
// begins its time anew. Its statements run then, which may end the rule; so does a set that is full
// (of one that is `inverted`, success does). `remove` never ends it. See imr/dynamic_sets.h.
struct DynamicSet {
  enum class Op : std::uint8_t { add, update, remove };
  Op op = Op::add;
  ExprId key;
  SetId set;
  std::optional<ExprId> data = {};  // of data maps, but to remove: what a new member has
  std::uint64_t timeout = 0;        // milliseconds; 0: that of the set
  bool inverted = false;
  friend bool operator==(const DynamicSet&, const DynamicSet&) = default;
};

// What stays with the kernel, word for word, and why. Always the last statement of its rule.
struct Native {
  SharedText text;
  SharedText reason;
  friend bool operator==(const Native&, const Native&) = default;
};

using Statement = std::variant<Match, MatchRange, MatchSet, VerdictMap, VerdictStatement, Counter,
                               Meter, Choice, MetaWrite, PayloadWrite, OptionWrite, OptionStrip,
                               Answer, Forward, Duplicate, Log, DynamicSet, Native>;

// ---- Rulesets
// ------------------------------------------------------------------------------------

// Where a rule came from. Copies of a rule share it, and it never gets lost.
struct Origin {
  std::uint64_t handle = 0;  // nf_tables handle; 0 when there is none
  SourceLocation location;
  SharedText text;  // as the user's tool lists it
  SharedText comment;
  friend bool operator==(const Origin&, const Origin&) = default;
};

struct Rule {
  ChainId chain;  // that it was written in (a copy of a chain keeps the name of the original)
  Origin origin;
  SharedList<Statement> statements;
  std::uint32_t total_statements = 0;  // as written, the native ones included
  RuleId copy_of = {};                 // the rule as written, where a pass made this one of it
  bool synthetic = false;              // made by a pass, of no rule: it never counts as matched
  // Rules of one number that follow one another are searched together (classify/runs.h); 0: none.
  std::uint32_t run = 0;
};

struct BaseChain {
  NfHook hook = NfHook::forward;
  std::int32_t priority = 0;
  bool drop_by_policy = false;
  std::string type = "filter";       // filter, nat or route
  std::vector<std::string> devices;  // of ingress chains
  friend bool operator==(const BaseChain&, const BaseChain&) = default;
};

struct Table {
  Family family = Family::ip;
  std::string name;
  bool dormant = false;
  friend bool operator==(const Table&, const Table&) = default;
};

struct Chain {
  TableId table;
  std::string name;
  std::optional<BaseChain> base;
  std::vector<RuleId> rules;
};

// What packets use up, all those of a ruleset together (net/netfilter/nft_limit.c, nft_quota.c,
// nft_numgen.c). See imr/meters.h.
struct MeterState {
  enum class Kind : std::uint8_t {
    packet_rate,  // a limit: `amount` packets each `unit` seconds, and `burst` at once
    byte_rate,    // the same of bytes, where `burst` comes on top of a unit's
    quota,        // `amount` bytes in all, `used` of them to begin with
    sequence,     // the numbers below `amount`, again and again
  };
  Kind kind = Kind::packet_rate;
  bool over = false;
  std::uint64_t amount = 1;
  std::uint64_t unit = 1;
  std::uint32_t burst = 0;
  std::uint64_t used = 0;
  friend bool operator==(const MeterState&, const MeterState&) = default;
};

// What each element of a dynamic set has for itself: a limit, a quota, or a counter.
struct ElementCounter {
  std::uint64_t packets = 0;  // that a new element begins with
  std::uint64_t bytes = 0;
  friend bool operator==(const ElementCounter&, const ElementCounter&) = default;
};
using ElementStatement = std::variant<MeterState, ElementCounter>;

// Of sets that packets change, whose elements expire, or whose elements keep something: there may
// be other elements at each packet.
struct Dynamics {
  bool timeouts = false;      // whether elements may expire
  std::uint64_t timeout = 0;  // milliseconds that they last; 0: for good
  std::uint32_t size = 0;     // how many there may be
  // Keys are the ends of intervals, each padded with zero bytes to a multiple of 4, and field_sizes
  // those of one end twice: elements are found by way of a map from intervals to their ends.
  bool ranges = false;
  std::vector<ElementStatement> statements = {};  // that each of them has, run in order
  friend bool operator==(const Dynamics&, const Dynamics&) = default;
};

// Of concatenations with intervals, key and last are the lower and upper ends field by field.
struct Element {
  Bytes key;                       // lower end of an interval
  Bytes last;                      // upper end, inclusive; equal to key for a single value
  std::optional<Verdict> verdict;  // of verdict maps
  Bytes data = {};                 // of data maps: data_size bytes
  // Of dynamic sets: milliseconds that are left, 0 where it stays; and the words that its
  // statements hold (imr/dynamic_sets.h), none where they are as they begin.
  std::uint64_t expires = 0;
  std::vector<std::uint64_t> held = {};
  // Milliseconds from its beginning to its end, where that is more than what is left.
  std::uint64_t timeout = 0;
  friend bool operator==(const Element&, const Element&) = default;
};

// A set, or a map to verdicts or to data.
struct Set {
  TableId table;
  std::string name;
  std::uint16_t key_size = 0;  // bytes
  bool interval = false;
  bool is_verdict_map = false;
  bool anonymous = false;
  std::string key_type;  // nft's name of it, for people: "ipv4_addr"
  // Of concatenations: bytes of each field without the padding to a multiple of 4 that stands
  // behind it in keys. Empty where the key is one value.
  std::vector<std::uint8_t> field_sizes = {};
  std::uint16_t data_size = 0;  // bytes; 0 where it is no map to data
  std::string data_type = {};   // as key_type
  // Ascending by key, never overlapping. But of a concatenation with intervals they may overlap,
  // and the first one that holds every field of the key decides (net/netfilter/nft_set_pipapo.c).
  SharedList<Element> elements;
  std::optional<Element> catch_all;      // "*"; its key and last are empty
  std::optional<Dynamics> dynamic = {};  // then without intervals, verdicts and a catch-all element
  std::string native_reason;             // not empty: nothing that uses the set can be translated

  [[nodiscard]] bool is_data_map() const { return data_size != 0; }
  [[nodiscard]] bool has_interval_fields() const { return interval && !field_sizes.empty(); }
};

struct CounterState {
  RuleId rule;                // the first one, of a counter with a name
  std::uint64_t packets = 0;  // initial values, as written
  std::uint64_t bytes = 0;
  SharedText name = {};  // within the rule's table; rules share it
  friend bool operator==(const CounterState&, const CounterState&) = default;
};

// An interface that the ruleset names by "iif" or "oif": its index is in the expressions.
struct Interface {
  std::string name;
  std::uint32_t index = 0;
  friend bool operator==(const Interface&, const Interface&) = default;
};

// Copies share rules until one of them changes any: there may be a million of them, and of a
// ruleset a copy for each program and network protocol.
struct Ruleset {
  std::vector<Table> tables;
  std::vector<Chain> chains;
  SharedList<Rule> rules;
  std::vector<Set> sets;
  SharedList<CounterState> counters;
  SharedList<MeterState> meters;
  std::vector<Interface> interfaces;
  std::vector<Expr> exprs;

  [[nodiscard]] const Table& operator[](TableId id) const { return tables.at(id.index()); }
  [[nodiscard]] const Chain& operator[](ChainId id) const { return chains.at(id.index()); }
  [[nodiscard]] const Rule& operator[](RuleId id) const { return rules.at(id.index()); }
  [[nodiscard]] const Set& operator[](SetId id) const { return sets.at(id.index()); }
  [[nodiscard]] const Expr& operator[](ExprId id) const { return exprs.at(id.index()); }
  [[nodiscard]] Chain& operator[](ChainId id) { return chains.at(id.index()); }
  // To change the rule, which ends the sharing: who reads has a const Ruleset.
  [[nodiscard]] Rule& operator[](RuleId id) { return rules.edit().at(id.index()); }
  [[nodiscard]] Set& operator[](SetId id) { return sets.at(id.index()); }

  // Appends to an arena and returns the new id.
  TableId add(Table table);
  ChainId add(Chain chain);
  SetId add(Set set);
  ExprId add(Expr expr);
  CounterId add(CounterState counter);
  MeterId add(MeterState meter);
  RuleId add(Rule rule);  // also appends the rule to its chain
};

// What is compiled into one program, or one half of one: chains that decide one after another (a
// packet passes if none drops it; an accept ends one chain, not the others), for one network
// protocol, at one hook. The passes work on it.
struct Unit {
  Ruleset ruleset;
  std::vector<ChainId> roots;
  Nfproto nfproto = Nfproto::ipv4;
  Hook hook;
};

// ---- Questions about it
// --------------------------------------------------------------------------

// Bytes of the value of an expression. HeaderFields count as the bytes that hold the field.
[[nodiscard]] std::size_t value_size(const Ruleset& ruleset, ExprId expr);
[[nodiscard]] std::size_t value_size(MetaKey key);
[[nodiscard]] std::size_t value_size(CtKey key);
// The protocol of the packets that it is of.
[[nodiscard]] Nfproto protocol_of(const Ruleset& ruleset, const Nexthop& hop);
// Whether some packets have no value.
[[nodiscard]] bool may_be_absent(MetaKey key);
[[nodiscard]] bool may_be_absent(CtKey key);
// Whether MetaWrite may give it: mark, priority and pkttype.
[[nodiscard]] bool is_writable(MetaKey key);
// Whether there may be one of each direction, and whether it always is of one.
[[nodiscard]] bool takes_direction(CtKey key);
[[nodiscard]] bool needs_direction(CtKey key);
// In the order of their enumerators.
[[nodiscard]] std::vector<MetaKey> all_meta_keys();
[[nodiscard]] std::vector<CtKey> all_ct_keys();
[[nodiscard]] std::string_view to_string(MetaKey key);
[[nodiscard]] std::string_view to_string(CtKey key);
[[nodiscard]] std::string_view to_string(CtDirection direction);
[[nodiscard]] std::string_view to_string(HeaderBase base);
[[nodiscard]] std::string_view to_string(ExtensionKind kind);
[[nodiscard]] std::string_view to_string(Relop op);
[[nodiscard]] std::string_view to_string(Answer::Kind kind);
// Whether the value is another one each time that it is asked for.
[[nodiscard]] bool varies(const Ruleset& ruleset, ExprId expr);
// Whether it may be another one later on, with the same packet: that, or what is looked up in a map
// that packets change.
[[nodiscard]] bool may_change(const Ruleset& ruleset, ExprId expr);
// The meters that a rule takes from, in order, and behind them those that it may choose.
[[nodiscard]] std::vector<MeterId> meters_of(const Ruleset& ruleset, const Rule& rule);

enum class Translation : std::uint8_t { full, partial, native };
// full: no native statement. native: nothing before it. partial: something before it.
[[nodiscard]] Translation translation(const Rule& rule);

// As bytes stand in registers: up to whole words of 4.
[[nodiscard]] constexpr std::size_t padded_size(std::size_t size) {
  return (size + 3) / 4 * 4;
}
// The expressions that an expression is made of, the key of a lookup included.
[[nodiscard]] std::vector<ExprId> sources(const Expr& expr);
// The expressions whose values a statement looks at or writes; none of verdicts and counters.
[[nodiscard]] std::vector<ExprId> operands(const Statement& statement);
// Whether the value depends on a meta key, wherever in the expression.
[[nodiscard]] bool reads(const Ruleset& ruleset, ExprId expr, MetaKey key);
// Whether it reads bytes of the packet.
[[nodiscard]] bool reads_packet(const Ruleset& ruleset, ExprId expr);
// Whether it may change bytes of the packet.
[[nodiscard]] bool writes_packet(const Statement& statement);
// Whether its value may be another one behind the statement, a write or not. Of what changes a map,
// everything that is looked up there.
[[nodiscard]] bool reads_written(const Ruleset& ruleset, const Statement& write, ExprId expr);

// "inet filter forward"
[[nodiscard]] std::string qualified_name(const Ruleset& ruleset, ChainId chain);
// The chains that a rule, or those of `chain`, jump or go to, verdict maps included, in order of
// appearance, repeats included.
[[nodiscard]] std::vector<ChainId> targets(const Ruleset& ruleset, const Rule& rule);
[[nodiscard]] std::vector<ChainId> targets(const Ruleset& ruleset, ChainId chain);
// The chain and those that its jumps, gotos and verdict maps reach, each once, `root` first.
[[nodiscard]] std::vector<ChainId> reachable_chains(const Ruleset& ruleset, ChainId root);

}  // namespace weir::imr
