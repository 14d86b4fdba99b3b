// SPDX-License-Identifier: BSD-2-Clause
#include "differential/matches.h"

#include <algorithm>
#include <array>
#include <vector>

#include "differential/keys.h"

namespace weir::differential {
namespace {

constexpr std::array<std::string_view, 5> device_names = {"eth0", "eth1", "wan0", "lan12",
                                                          "verylongname0"};
constexpr std::array<std::string_view, 5> states = {"invalid", "established", "related", "new",
                                                    "untracked"};
constexpr std::array<std::string_view, 4> orders = {"<", "<=", ">", ">="};

// More elements than this are a map in the program, of which the kernel allows 64.
constexpr std::size_t large_set = 16;

Domain domain_of(const Key& key) {
  return {.notation = key.notation, .bits = key.bits, .pool = key.pool};
}

bool fixes_message(const Key& key) {
  if (key.l4 != L4::icmp && key.l4 != L4::icmpv6) return false;
  return !key.text.ends_with(" code") && !key.text.ends_with(" checksum");
}

// nft 1.0.6 dies of concatenations with parts whose type has no size of its own (numbers, bits).
bool may_be_concatenated(const Key& key) {
  constexpr std::array<std::string_view, 9> endings = {" saddr",   " daddr",    " sport",
                                                       " dport",   " protocol", " nexthdr",
                                                       " l4proto", " mark",     " pkttype"};
  return key.bits % 8 == 0 && std::ranges::any_of(endings, [&](std::string_view ending) {
           return key.text.ends_with(ending);
         });
}

// nft takes no extension header where a statement wants a value.
bool is_extension_header(const Key& key) {
  constexpr std::array<std::string_view, 7> headers = {"hbh ",  "rt ",  "rt0 ", "srh ",
                                                       "frag ", "dst ", "mh "};
  return std::ranges::any_of(headers,
                             [&](std::string_view header) { return key.text.starts_with(header); });
}

// What a set holds beside its keys.
enum class Contents : std::uint8_t { keys, verdicts, marks, counters, limits, quotas };

// The names that generate() gives them.
bool are_objects(Contents contents) {
  return contents == Contents::counters || contents == Contents::limits ||
         contents == Contents::quotas;
}

class Writer {
 public:
  explicit Writer(MatchWriter& to) : to_(to), random_(to.random) {}

  std::string number(const Key& key);
  std::string number_map(const Key& key, Contents contents);
  std::string raw();
  std::string device();
  std::string state();
  std::string seldom(const Subject& subject);
  std::string route(const Subject& subject);
  // Whether an option, a chunk or an extension header is there.
  std::string presence(const Subject& subject);
  std::string word_map();  // of a key whose values are words
  // Of several keys of the subject at once, looked up in a set or a map.
  std::string concatenation(Subject& subject, Contents contents);
  std::string mark();
  [[nodiscard]] const Key* draw_key(Subject& subject, bool of_value = false);
  [[nodiscard]] const Key* draw_link_key(Subject& subject);

 private:
  std::string masked(const Key& key);
  std::string masked_ipv6(const Key& key);
  std::size_t draw_size();
  std::string elements(const Key& key, Contents contents, bool* interval);
  std::string named(const Key& key, Contents contents);
  // Behind an element, " : drop".
  std::string datum(Contents contents);
  // Adds a set or a map with keys of this type to the table; "@s3".
  std::string define(std::string_view type, Contents contents, bool interval,
                     const std::string& members);
  std::string inverted() { return random_.chance(30) ? "!= " : ""; }

  MatchWriter& to_;
  Random& random_;
};

std::size_t Writer::draw_size() {
  const std::uint64_t way = random_.below(100);
  if (way < 80) return 1 + random_.below(6);
  if (way < 94 || to_.large_sets == 0) return 1 + random_.below(large_set);
  --to_.large_sets;
  return way < 98 ? 17 + random_.below(80) : 80 + random_.below(250);
}

std::string Writer::mark() {
  const Key& key = fact_keys().front();
  return write(domain_of(key), draw(domain_of(key), random_));
}

std::string Writer::datum(Contents contents) {
  switch (contents) {
    case Contents::keys:
      return {};
    case Contents::verdicts:
      return " : " + to_.verdict();
    case Contents::marks:
      return " : " + mark();
    case Contents::counters:
      return " : \"shared" + std::to_string(random_.below(2)) + "\"";
    case Contents::limits:
      return random_.chance(50) ? " : \"slow\"" : " : \"beyond\"";
    case Contents::quotas:
      return random_.chance(50) ? " : \"little\"" : " : \"much\"";
  }
  throw InvariantError("contents out of range");
}

// "{ 1, 2-5 }". `interval` is set when one of them is not a single value; without it, ranges may
// be there all the same.
std::string Writer::elements(const Key& key, Contents contents, bool* interval) {
  const bool exact = !key.ordered || random_.chance(60);
  const Domain domain = domain_of(key);
  std::string out = "{ ";
  bool first = true;
  for (const Interval& drawn : draw_intervals(domain, draw_size(), exact, random_)) {
    if (interval != nullptr && drawn.first != drawn.last) *interval = true;
    if (!first) out += ", ";
    first = false;
    out += write(domain, drawn, random_) + datum(contents);
  }
  if (contents != Contents::keys && random_.chance(25)) out += ", *" + datum(contents);
  return out + " }";
}

std::string Writer::define(std::string_view type, Contents contents, bool interval,
                           const std::string& members) {
  const bool map = contents != Contents::keys;
  const std::string name = (map ? "m" : "s") + std::to_string(to_.table.sets.size());
  const std::string_view data = contents == Contents::verdicts ? " : verdict"
                                : contents == Contents::marks  ? " : meta mark"
                                                               : "";
  to_.table.sets.push_back({.name = name,
                            .definition = (map ? "map " : "set ") + name + " { typeof " +
                                          std::string(type) + std::string(data) + "; " +
                                          (interval ? "flags interval; " : "") +
                                          "elements = " + members + " }"});
  return "@" + name;
}

std::string Writer::named(const Key& key, Contents contents) {
  bool interval = false;
  const std::string members = elements(key, contents, &interval);
  interval = interval || (key.ordered && random_.chance(20));
  return define(key.text, contents, interval, members);
}

std::string Writer::masked_ipv6(const Key& key) {
  constexpr std::array<std::string_view, 5> masks = {"ffff:ffff::", "::ffff", "ffff:ffff:ffff::1",
                                                     "::ff00:0:0:00f0", "fff0::f"};
  constexpr std::array<std::string_view, 5> values = {"2001:db8::", "::1", "2001:db8:1::1", "::10",
                                                      "fe80::1"};
  return std::string(key.text) + " & " + std::string(random_.pick(masks)) +
         (random_.chance(30) ? " != " : " == ") + std::string(random_.pick(values));
}

std::string Writer::masked(const Key& key) {
  if (key.notation == Notation::ipv6) return masked_ipv6(key);
  const Domain domain = domain_of(key);
  const std::uint64_t mask = draw_mask(domain, random_);
  std::uint64_t value = draw(domain, random_) & mask;
  std::string_view operation = " & ";
  // nft 1.0.6 folds "^" and "|" of fields narrower than their bytes wrongly into nonsense that
  // the kernel refuses; whole bytes are fine.
  if (key.bits % 8 == 0 && random_.chance(15)) {
    operation = random_.chance(50) ? " ^ " : " | ";
    value = operation == " | " ? value | mask : draw(domain, random_);
  }
  return std::string(key.text) + std::string(operation) + write(domain, mask) +
         (random_.chance(35) ? " != " : " == ") + write(domain, value);
}

std::string Writer::number(const Key& key) {
  const Domain domain = domain_of(key);
  const std::string text = std::string(key.text) + " ";
  const std::uint64_t way = random_.below(100);
  if (way < 30) return text + inverted() + write(domain, draw(domain, random_));
  if (way < 45 && key.ordered)
    return text + inverted() + write(domain, draw_range(domain, random_), random_);
  if (way < 57 && key.ordered) {
    const std::uint64_t edge = draw(domain, random_);
    const std::uint64_t inner = std::clamp<std::uint64_t>(edge, 1, domain.max() - 1);
    return text + std::string(random_.pick(orders)) + " " + write(domain, inner);
  }
  if (way < 72) return masked(key);
  if (way < 88) return text + inverted() + elements(key, Contents::keys, nullptr);
  return text + inverted() + named(key, Contents::keys);
}

std::string Writer::number_map(const Key& key, Contents contents) {
  const std::string relation = contents == Contents::verdicts ? " vmap " : " map ";
  return std::string(key.text) + relation +
         (!are_objects(contents) && random_.chance(35) ? named(key, contents)
                                                       : elements(key, contents, nullptr));
}

// Raw bytes, of any alignment: "@th,16,16 22".
std::string Writer::raw() {
  const bool transport = random_.chance(50);
  const std::string_view base = !is_ip(to_.table.family) && random_.chance(35) ? "@ll,"
                                : transport && random_.chance(25)              ? "@ih,"
                                : transport                                    ? "@th,"
                                                                               : "@nh,";
  unsigned bits = 0;
  unsigned offset = 0;
  if (random_.chance(60)) {
    bits = 8 * static_cast<unsigned>(1 + random_.below(random_.chance(70) ? 4 : 16));
    offset = 8 * static_cast<unsigned>(random_.below(24));
  } else {
    bits = static_cast<unsigned>(1 + random_.below(random_.chance(70) ? 24 : 100));
    offset = static_cast<unsigned>(random_.below(190));
  }
  std::string text = std::string(base) + std::to_string(offset) + "," + std::to_string(bits) + " ";
  if (bits > 48) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string value = "0x";
    for (unsigned digit = 0; digit < bits / 4; ++digit) {
      value += digits[random_.chance(60) ? 0 : random_.below(16)];
    }
    return text + inverted() + value;
  }
  Key key{.text = {}, .bits = bits, .pool = {0, 1, 2, 4, 6, 22, 80, 64}};
  const Domain domain = domain_of(key);
  const std::uint64_t way = random_.below(10);
  if (way < 5 || bits < 2) return text + inverted() + write(domain, draw(domain, random_));
  if (way < 7) return text + inverted() + write(domain, draw_range(domain, random_), random_);
  if (way < 8 && bits % 8 == 0) {
    const std::uint64_t mask = draw_mask(domain, random_);
    return text + "& " + write(domain, mask) + (random_.chance(30) ? " != " : " == ") +
           write(domain, draw(domain, random_) & mask);
  }
  return text + std::string(random_.pick(orders)) + " " +
         write(domain, std::clamp<std::uint64_t>(draw(domain, random_), 1, domain.max() - 1));
}

std::string Writer::device() {
  const std::uint64_t way = random_.below(20);
  const bool both = to_.options.input_device && to_.options.output_device;
  const bool in = both ? random_.chance(50) : to_.options.input_device;
  const std::string side = in ? "iif" : "oif";
  if (way == 0) {
    return side + " " + inverted() + "\"" + std::string(random_.pick(device_names).substr(0, 4)) +
           "\"";
  }
  // Devices of judges are Ethernet; rules of frames may be about nothing else.
  if (way == 1 && is_ip(to_.table.family) && in) {
    return "meta iiftype " + inverted() + (random_.chance(70) ? "ether" : "loopback");
  }
  if (way < 10) {
    return side + "name " + inverted() + "\"" + std::string(random_.pick(device_names)) + "\"";
  }
  if (way < 15) {
    constexpr std::array<std::string_view, 4> patterns = {"eth*", "wan*", "l*", "verylong*"};
    return side + "name " + inverted() + "\"" + std::string(random_.pick(patterns)) + "\"";
  }
  std::string out = side + "name " + inverted() + "{ ";
  const std::size_t start = random_.below(3);
  for (std::size_t i = start; i < start + 2; ++i) {
    out += (i == start ? "\"" : ", \"") + std::string(device_names.at(i)) + "\"";
  }
  return out + (random_.chance(20) ? ", \"ppp*\" }" : " }");
}

std::string Writer::state() {
  const std::size_t first = random_.below(states.size());
  const std::size_t second = (first + 1 + random_.below(4)) % states.size();
  const std::string one(states.at(first));
  const std::string two(states.at(second));
  switch (random_.below(5)) {
    case 0:
      return "ct state " + inverted() + one;
    case 1:
      return "ct state " + one + "," + two;
    case 2:
      return "ct state " + inverted() + "{ " + one + ", " + two + " }";
    case 3:
      return "ct state & (" + one + "|" + two + ") != " + (random_.chance(50) ? "0" : one);
    default:
      return "ct state " + one;
  }
}

std::string Writer::presence(const Subject& subject) {
  constexpr std::array<std::string_view, 5> headers = {"hbh", "rt", "frag", "dst", "mh"};
  constexpr std::array<std::string_view, 4> ip_options = {"rr", "lsrr", "ssrr", "ra"};
  constexpr std::array<std::string_view, 10> tcp_options = {
      "eol",  "nop",       "maxseg",   "window", "sack-perm",
      "sack", "timestamp", "fastopen", "mptcp",  "253"};
  constexpr std::array<std::string_view, 6> chunks = {"data",  "init",  "sack",
                                                      "abort", "error", "shutdown"};
  std::string item = "tcp option " + std::string(random_.pick(tcp_options));
  if (subject.l4 == L4::sctp) {
    item = "sctp chunk " + std::string(random_.pick(chunks));
  } else if (subject.l3 == L3::ipv6 && random_.chance(60)) {
    item = "exthdr " + std::string(random_.pick(headers));
  } else if (subject.l3 == L3::ipv4 && random_.chance(50)) {
    item = "ip option " + std::string(random_.pick(ip_options));
  }
  return item + (random_.chance(65) ? " exists" : " missing");
}

// Of the protocol that the subject has.
std::string Writer::route(const Subject& subject) {
  if (random_.chance(20)) return random_.chance(50) ? "rt ipsec exists" : "rt ipsec missing";
  const Family family = to_.table.family;
  const bool open = subject.l3 == L3::any && family == Family::inet;
  if (open ? random_.chance(50) : (subject.l3 == L3::ipv6 || family == Family::ip6)) {
    constexpr std::array<std::string_view, 3> values = {"2001:db8::1", "2001:db8::/32",
                                                        "{ 2001:db8::1, fe80::/10 }"};
    return "rt ip6 nexthop " + inverted() + std::string(random_.pick(values));
  }
  constexpr std::array<std::string_view, 3> values = {"10.0.0.1", "10.0.0.0/8",
                                                      "{ 10.0.0.1, 192.168.0.0/16 }"};
  return "rt ip nexthop " + inverted() + std::string(random_.pick(values));
}

// Few values each: those that packets are given.
std::string Writer::seldom(const Subject& subject) {
  if (is_ip(to_.table.family) && random_.chance(15)) return route(subject);
  constexpr std::array<std::string_view, 16> numbers = {
      "meta skuid",    "meta skgid",          "meta cgroup",    "meta cpu",
      "meta iifgroup", "meta oifgroup",       "meta rtclassid", "ct mark",
      "ct zone",       "ct original zone",    "ct bytes",       "ct reply bytes",
      "ct packets",    "ct original packets", "ct avgpkt",      "ct reply avgpkt"};
  // Addresses and families are not among them: nft refuses a match of the other family then.
  constexpr std::array<std::string_view, 20> words = {
      "meta priority 0:1",
      "meta priority != 0:2",
      "meta iifkind \"veth\"",
      "meta iifkind != \"tun\"",
      "meta oifkind \"tun\"",
      "meta oiftype ether",
      "meta hour \"09:00\"-\"17:00\"",
      "meta hour != \"22:00\"-\"05:00\"",
      "meta time < \"2020-06-01 12:00:00\"",
      "ct direction original",
      "ct direction != original",
      "ct status assured",
      "ct status seen-reply,confirmed",
      "ct status & (assured | confirmed) == confirmed",
      "ct protocol udp",
      "ct protocol { tcp, udp }",
      "ct label 1",
      "ct label != 1",
      "ct helper \"ftp\"",
      "ct helper != \"ftp\""};
  if (random_.chance(45)) return std::string(random_.pick(words));
  const std::string key = std::string(random_.pick(numbers)) + " ";
  const auto value = [&] { return std::to_string(random_.below(5)); };
  switch (random_.below(5)) {
    case 0:
      return key + "1-3";
    case 1:
      return key + "{ 1, 3-4 }";
    case 2:
      return key + std::string(random_.pick(orders)) + " 2";
    default:
      return key + inverted() + value();
  }
}

std::string Writer::word_map() {
  std::string out;
  const bool of_state = to_.options.connections && random_.chance(50);
  const bool in = to_.options.input_device && (!to_.options.output_device || random_.chance(50));
  out = of_state ? "ct state vmap { " : in ? "iifname vmap { " : "oifname vmap { ";
  const std::size_t start = random_.below(3);
  const std::size_t count = 1 + random_.below(3);
  for (std::size_t i = start; i < std::min<std::size_t>(start + count, 5); ++i) {
    if (i != start) out += ", ";
    const std::string name(of_state ? states.at(i) : device_names.at(i));
    out += (of_state ? name : "\"" + name + "\"") + " : " + to_.verdict();
  }
  if (random_.chance(25)) out += ", * : " + to_.verdict();
  return out + " }";
}

// "ip saddr . tcp dport { 10.0.0.0/8 . 22, 10.9.0.1 . 80-90 }". The first parts of elements never
// overlap: the kernel refuses most of what overlaps in all fields.
std::string Writer::concatenation(Subject& subject, Contents contents) {
  std::vector<const Key*> parts;
  const std::size_t wanted = random_.chance(75) ? 2 : 3;
  for (int attempt = 0; attempt < 12 && parts.size() < wanted; ++attempt) {
    const bool of_value = contents != Contents::keys && contents != Contents::verdicts;
    const Key* key = draw_key(subject, of_value);
    const bool known =
        std::ranges::any_of(parts, [&](const Key* other) { return other->text == key->text; });
    if (!known && may_be_concatenated(*key)) parts.push_back(key);
  }
  if (parts.size() < 2) {
    const Key& key = parts.empty() ? keys().front() : *parts.front();
    return contents == Contents::keys ? number(key) : number_map(key, contents);
  }
  const bool exact = random_.chance(45);
  bool interval = !exact;
  std::string text;
  for (const Key* key : parts) text += (text.empty() ? "" : " . ") + std::string(key->text);
  std::string members;
  const Domain first = domain_of(*parts.front());
  for (const Interval& drawn :
       draw_intervals(first, draw_size(), exact || !parts.front()->ordered, random_)) {
    members += (members.empty() ? "{ " : ", ") + write(first, drawn, random_);
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const Domain domain = domain_of(*parts[i]);
      const bool range = !exact && parts[i]->ordered && random_.chance(60);
      members += " . " + (range ? write(domain, draw_range(domain, random_), random_)
                                : write(domain, draw(domain, random_)));
    }
    members += datum(contents);
  }
  members += " }";
  const std::string_view relation = contents == Contents::verdicts ? " vmap "
                                    : contents != Contents::keys   ? " map "
                                    : random_.chance(25)           ? " != "
                                                                   : " ";
  return text + std::string(relation) +
         (are_objects(contents) || random_.chance(60) ? members
                                                      : define(text, contents, interval, members));
}

// A key of the Ethernet header or of what stands there for others, if the subject has room for one.
// A rule about tags begins with one of theirs: behind a field of another protocol nft takes none.
const Key* Writer::draw_link_key(Subject& subject) {
  if (is_ip(to_.table.family)) return nullptr;
  if (subject.tagged && !subject.tag_written) {
    subject.tag_written = true;
    return &random_.pick(tag_keys());
  }
  if (!random_.chance(15)) return nullptr;
  if (subject.tag_written && random_.chance(50)) return &random_.pick(tag_keys());
  const bool lone = subject.l3 == L3::any && subject.l4 == L4::any && !subject.tagged;
  if (lone && !subject.protocol_chosen && random_.chance(60)) {
    subject.protocol_chosen = true;
    return &random_.pick(protocol_keys());
  }
  return subject.protocol_chosen ? nullptr : &random_.pick(address_keys());
}

// A key of the subject; with a subject of several layers, mostly of its transport protocol.
// `of_value`: one that a statement may map to a value.
const Key* Writer::draw_key(Subject& subject, bool of_value) {
  if (const Key* key = draw_link_key(subject)) return key;
  const bool wants_transport = subject.l4 != L4::any && random_.chance(60);
  for (int attempt = 0; attempt < 4000; ++attempt) {
    if (to_.options.marks && random_.chance(4)) return &fact_keys().front();
    const bool facts = to_.options.facts != Facts::bytes && random_.chance(4);
    const Key& key = facts               ? random_.pick(fact_keys())
                     : random_.chance(3) ? random_.pick(extension_keys())
                                         : random_.pick(keys());
    if (key.l3 != L3::any && key.l3 != subject.l3) continue;
    if (key.l4 != L4::any && key.l4 != subject.l4) continue;
    if (wants_transport && key.l4 == L4::any) continue;
    if (of_value && is_extension_header(key)) continue;
    if (!to_.options.length && key.text == "meta length") continue;
    if (key.in_inet_only && (to_.table.family != Family::inet || subject.l3 != L3::any)) continue;
    // "ip protocol 6" settles the transport protocol, as does "meta l4proto 6": nft refuses a
    // contradiction.
    const bool settles =
        key.text == "ip protocol" || key.text == "ip6 nexthdr" || key.text == "meta l4proto";
    if (settles && subject.l4 != L4::any) continue;
    // So does "icmp id": it goes with echo messages only.
    if (fixes_message(key)) {
      if (subject.message_chosen) continue;
      subject.message_chosen = true;
    }
    return &key;
  }
  return &keys().front();
}

}  // namespace

Subject draw_subject(Family family, Random& random) {
  Subject subject;
  if (family == Family::ip) subject.l3 = L3::ipv4;
  if (family == Family::ip6) subject.l3 = L3::ipv6;
  if (family == Family::inet) {
    constexpr std::array<L3, 5> choices = {L3::ipv4, L3::ipv4, L3::ipv6, L3::ipv6, L3::any};
    subject.l3 = random.pick(choices);
  }
  if (family == Family::arp) subject.l3 = L3::arp;
  if (family == Family::netdev || family == Family::bridge) {
    constexpr std::array<L3, 7> choices = {L3::ipv4, L3::ipv4, L3::ipv6, L3::ipv6,
                                           L3::arp,  L3::any,  L3::any};
    subject.l3 = random.pick(choices);
    subject.tagged = random.chance(20);
  }
  if (subject.l3 == L3::arp || random.chance(35)) return subject;
  constexpr std::array<L4, 20> transports = {L4::tcp,    L4::tcp,  L4::tcp,  L4::tcp,  L4::tcp,
                                             L4::udp,    L4::udp,  L4::udp,  L4::udp,  L4::udplite,
                                             L4::sctp,   L4::dccp, L4::icmp, L4::icmp, L4::icmpv6,
                                             L4::icmpv6, L4::ah,   L4::esp,  L4::comp, L4::ports};
  subject.l4 = random.pick(transports);
  if (random.chance(2)) subject.l4 = L4::igmp;
  const bool needs_v4 = subject.l4 == L4::icmp || subject.l4 == L4::igmp;
  const bool needs_v6 = subject.l4 == L4::icmpv6;
  if ((needs_v4 && subject.l3 != L3::ipv4) || (needs_v6 && subject.l3 != L3::ipv6)) {
    subject.l4 = L4::udp;
  }
  return subject;
}

std::string MatchWriter::match(Subject& subject) {
  Writer writer(*this);
  if (random.chance(8)) return writer.raw();
  if (subject.l3 != L3::arp && random.chance(1)) return writer.presence(subject);
  const bool devices = options.input_device || options.output_device;
  if (options.facts == Facts::all && (devices || options.connections) && random.chance(12)) {
    const bool device = devices && (!options.connections || random.chance(60));
    return device ? writer.device() : writer.state();
  }
  if (options.seldom_facts && random.chance(15)) return writer.seldom(subject);
  if (random.chance(10)) return writer.concatenation(subject, Contents::keys);
  return writer.number(*writer.draw_key(subject));
}

std::string MatchWriter::verdict_map(Subject& subject) {
  Writer writer(*this);
  const bool words = options.input_device || options.output_device || options.connections;
  if (options.facts == Facts::all && words && random.chance(15)) return writer.word_map();
  if (random.chance(15)) return writer.concatenation(subject, Contents::verdicts);
  return writer.number_map(*writer.draw_key(subject), Contents::verdicts);
}

std::string MatchWriter::mark(Subject& subject) {
  Writer writer(*this);
  const std::string set = "meta mark set ";
  const std::uint64_t way = random.below(100);
  if (way < 25) return set + writer.mark();
  if (way < 45) {
    constexpr std::array<std::string_view, 3> operations = {" | ", " & ", " ^ "};
    return set + "meta mark" + std::string(random.pick(operations)) + writer.mark();
  }
  if (way < 55) return set + "meta mark & " + writer.mark() + " | " + writer.mark();
  if (way < 70) return set + writer.concatenation(subject, Contents::marks);
  return set + writer.number_map(*writer.draw_key(subject, true), Contents::marks);
}

std::string MatchWriter::write(const Subject& subject) {
  const std::string byte = std::to_string(random.below(256));
  const std::string port = std::to_string(random.one_in(3) ? 53 : random.below(65536));
  const std::string host = std::to_string(1 + random.below(3));
  std::vector<std::string> choice = {"@nh,64,8 set " + byte, "@th,32,16 set " + port,
                                     "@ll,88,8 set " + byte};
  const auto add = [&](bool transport, std::initializer_list<std::string> some) {
    if (!transport || options.transport_writes) choice.insert(choice.end(), some);
  };
  // Where a test of link-layer bytes tells the protocol, hooks do not know that what stands at
  // these offsets in the other one is left alone, and refuse in front of another chain.
  if (subject.l3 == L3::ipv4) {
    add(false, {"ip ttl set " + byte, "ip dscp set cs1"});
    if (is_ip(table.family)) add(false, {"ip id set " + port});
    add(true, {"ip saddr set 10.0.0." + host, "ip daddr set ip saddr"});
  }
  if (subject.l3 == L3::ipv6) {
    add(false, {"ip6 hoplimit set " + byte});
    if (is_ip(table.family)) add(false, {"ip6 flowlabel set " + port});
    add(true, {"ip6 saddr set fd00::" + host, "ip6 daddr set ip6 saddr"});
  }
  if (subject.l4 == L4::tcp) {
    constexpr std::array<std::string_view, 9> types = {
        "maxseg", "window", "sack-perm", "sack", "timestamp", "nop", "eol", "mptcp", "253"};
    const std::string option(random.pick(types));
    add(true,
        {"tcp dport set " + port, "tcp flags set syn | ack", "tcp option maxseg size set " + port,
         "tcp option timestamp tsecr set " + port, "tcp option sack left set tcp option sack right",
         "reset tcp option " + option, "reset tcp option timestamp"});
  }
  if (subject.l4 == L4::udp) add(true, {"udp sport set " + port, "udp dport set udp sport"});
  if (subject.l4 == L4::udplite) add(false, {"udplite sport set " + port});
  return random.pick(choice);
}

// nft 1.0.6 knows no "typeof" for maps to objects with names: these are of rules alone.
std::string MatchWriter::object(Subject& subject) {
  Writer writer(*this);
  constexpr std::array<std::pair<std::string_view, Contents>, 3> kinds = {
      {{"counter", Contents::counters}, {"limit", Contents::limits}, {"quota", Contents::quotas}}};
  const auto [word, contents] = random.pick(kinds);
  const std::string map = random.chance(25)
                              ? writer.concatenation(subject, contents)
                              : writer.number_map(*writer.draw_key(subject, true), contents);
  return std::string(word) + " name " + map;
}

std::string MatchWriter::state(const Subject& subject) {
  const auto number = [&](std::uint64_t below) { return std::to_string(random.below(below)); };
  const std::string burst = std::to_string(1 + random.below(20));
  const std::string bytes = std::to_string(100 + random.below(3000));
  const std::string modulus = std::to_string(3 + random.below(8));
  const std::string over = random.one_in(2) ? "over " : "";
  // What flows in within a test is far less than a packet or a byte.
  std::vector<std::string> choice = {
      "log",
      "log prefix \"drawn " + number(9) + ": \"",
      "log group " + number(9) + " snaplen " + number(200),
      "log group 1 log group 2",
      "limit rate " + over + "1/day burst " + burst + " packets",
      "limit rate " + over + "10 bytes/day burst " + bytes + " bytes",
      "quota " + over + bytes + " bytes",
      "numgen inc mod " + modulus + " < 2",
      "numgen inc mod " + modulus + " offset 7 { 7, 9 }",
      "counter name \"shared" + number(2) + "\"",
      "limit name \"slow\"",
  };
  if (options.chance) {
    choice.push_back("numgen random mod " + modulus + " < 2");
    choice.push_back("meta random & 1 == 1");
  }
  const auto hash = [&](const std::string& of) {
    choice.push_back("jhash " + of + " mod " + modulus + " seed " + number(99) + " < 2");
    choice.push_back("jhash " + of + " mod " + modulus + " seed 7 offset 3 { 3, 4 }");
  };
  if (subject.l3 == L3::ipv4) hash(random.one_in(2) ? "ip saddr" : "ip saddr . ip daddr");
  if (subject.l3 == L3::ipv6) hash(random.one_in(2) ? "ip6 daddr" : "ip6 saddr . ip6 daddr");
  if (subject.l4 == L4::udp) hash("udp dport");
  if (subject.l4 == L4::tcp) hash("tcp sport . tcp dport");
  return random.pick(choice);
}

}  // namespace weir::differential
