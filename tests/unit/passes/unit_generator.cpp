// SPDX-License-Identifier: BSD-2-Clause
#include "unit/passes/unit_generator.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/bytes.h"
#include "imr/constants.h"
#include "packet/directed.h"
#include "packet/fields.h"

namespace weir::test {
namespace {

// An expression, and values that are worth comparing it with.
struct Subject {
  std::string text;
  std::size_t size = 1;
  std::vector<Bytes> values;
};

class Writer {
 public:
  Writer(const UnitOptions& options, Random& random)
      : options_(options),
        ipv4_(options.nfproto == Nfproto::ipv4),
        random_(random),
        family_(one_in(2) ? "inet" : (ipv4_ ? "ip" : "ip6")) {}

  std::string unit() {
    roots_ = 1 + below(2);
    subs_ = below(5);
    std::string chains;
    std::string names;
    for (std::size_t i = 0; i < roots_; ++i) {
      const std::string name = family_ + " t r" + std::to_string(i);
      names += (i == 0 ? " roots " : ", ") + name;
      chains += "chain " + name + " hook forward priority 0 policy " +
                (one_in(2) ? "accept\n" : "drop\n") + rules(0, 1 + below(8));
    }
    for (std::size_t i = 0; i < subs_; ++i) {
      chains += "chain " + family_ + " t s" + std::to_string(i) + "\n" + rules(i + 1, below(5));
    }
    return std::string("unit ") + (options_.at_xdp ? "xdp" : "netfilter:forward") +
           (ipv4_ ? " ipv4" : " ipv6") + names + "\ntable " + family_ + " t\n" + sets_ + chains;
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <typename Container>
  const auto& pick(const Container& candidates) {
    return candidates[below(candidates.size())];
  }

  // Rules of a chain that may jump to sub-chains from `first_target` on.
  std::string rules(std::size_t first_target, std::size_t count) {
    std::string out;
    std::string first;
    for (std::size_t i = 0; i < count; ++i) {
      if (first.empty() || one_in(2)) first = match();
      out += "  rule handle " + std::to_string(++handle_);
      if (!one_in(6)) out += one_in(6) ? ports() : first;
      for (std::size_t more = below(3); more > 0; --more) out += statement(first_target);
      if (!one_in(4)) out += " " + verdict(first_target);
      out += "\n";
    }
    return out;
  }

  std::string statement(std::size_t first_target) {
    switch (below(12)) {
      case 0:
      case 1:
        return " counter";
      case 2:
        return lookup("vmap ", true, first_target);
      case 3: {
        // Neighbours, in either order.
        const std::string a = ipv4_ ? " match payload network 12 4 == 0x0a000001"
                                    : " match (payload network 8 4 & 0xffff0000) == 0x20010000";
        const std::string b = ipv4_ ? " match (payload network 16 4 & 0xffffff00) == 0x0a000000"
                                    : " match payload network 12 4 == 0x00000001";
        return one_in(2) ? a + b : b + a;
      }
      case 4: {
        const Subject subject = expression();
        const std::string side = " match " + subject.text + (one_in(3) ? " != " : " == ");
        std::string between = one_in(3) ? " counter" : "";
        if (one_in(3)) between = lookup("vmap ", true, first_target);
        return side + to_hex(pick(subject.values)) + between + " match " + subject.text +
               " == " + to_hex(pick(subject.values));
      }
      default:
        return match();
    }
  }

  // Neighbours that may differ in what they are in later fragments.
  std::string ports() {
    const auto port = [&](const char* offset, const char* value) {
      return std::string(" match payload transport ") + offset + " 2" +
             (one_in(2) ? " later-fragments" : "") + " == " + value;
    };
    const std::string source = port("0", "0x9c40");
    const std::string destination = port("2", one_in(2) ? "0x0016" : "0x0050");
    return one_in(2) ? source + destination : destination + source;
  }

  std::string match() {
    Subject subject = expression();
    if (one_in(6)) return lookup("match ", false, 0);
    if (one_in(8) && subject.size > 1) {
      for (Bytes& value : subject.values) value.resize(subject.size - 1);
    }
    if (one_in(5)) {
      Bytes from = pick(subject.values);
      Bytes to = pick(subject.values);
      if (to < from && !one_in(8)) std::swap(from, to);
      return " match " + subject.text + (one_in(3) ? " not in [" : " in [") + to_hex(from) + ", " +
             to_hex(to) + "]";
    }
    static constexpr std::array operators = {"==", "==", "==", "==", "!=", "<", "<=", ">", ">="};
    return " match " + subject.text + " " + pick(operators) + " " + to_hex(pick(subject.values));
  }

  // A lookup in a new set or map.
  std::string lookup(const std::string& start, bool verdicts, std::size_t first_target) {
    const Subject subject = expression();
    std::set<Bytes> keys;
    for (std::size_t n = below(5); n > 0; --n) keys.insert(pick(subject.values));
    if (one_in(8)) {
      // Enough for another form than code.
      for (int n = 0; n < 70; ++n) keys.insert(random_value(subject.size));
    }
    const bool interval = one_in(2);
    std::string elements;
    const auto value = [&] { return verdicts ? " : " + verdict(first_target) : std::string(); };
    for (auto key = keys.begin(); key != keys.end(); ++key) {
      elements += (elements.empty() ? "" : ", ") + to_hex(*key);
      if (interval && !one_in(3) && std::next(key) != keys.end()) elements += "-" + to_hex(*++key);
      elements += value();
    }
    if (one_in(verdicts ? 3 : 8)) elements += (elements.empty() ? "*" : ", *") + value();
    const std::string name = "set" + std::to_string(++set_count_);
    sets_ += std::string(verdicts ? "map " : "set ") + family_ + " t " + name + " type " +
             std::to_string(subject.size) + (interval ? " interval { " : " { ") + elements + " }\n";
    const std::string in = verdicts ? " @" : (one_in(4) ? " not in @" : " in @");
    return " " + start + subject.text + in + name;
  }

  std::string verdict(std::size_t first_target) {
    const bool targets = first_target < subs_;
    switch (below(targets ? 10 : 6)) {
      case 0:
      case 1:
        return "accept";
      case 2:
        return "drop";
      case 3:
        return "return";
      case 4:
      case 5:
        return "continue";
      default: {
        const std::size_t target = first_target + below(subs_ - first_target);
        return (one_in(3) ? "goto s" : "jump s") + std::to_string(target);
      }
    }
  }

  Bytes random_value(std::size_t size) {
    static constexpr std::array<std::uint8_t, 8> likely = {0, 1, 2, 6, 0x0a, 0x11, 0x45, 0xff};
    Bytes value(size);
    for (std::uint8_t& byte : value) {
      byte = one_in(3) ? static_cast<std::uint8_t>(below(256)) : pick(likely);
    }
    return value;
  }

  Subject with_values(std::string text, std::size_t size) {
    Subject subject{.text = std::move(text), .size = size, .values = {}};
    for (int i = 0; i < 3; ++i) subject.values.push_back(random_value(size));
    return subject;
  }

  Subject load(const char* base, std::size_t offset, std::size_t size) {
    return with_values(
        std::string("payload ") + base + " " + std::to_string(offset) + " " + std::to_string(size),
        size);
  }

  Subject leaf() {
    switch (below(14)) {
      case 0:
      case 1:
        return {"meta l4proto", 1, {{6}, {0x11}, {1}, {0x3a}, {0x2c}}};
      case 2:
        return {"meta nfproto", 1, {{2}, {10}}};
      case 3:
      case 4:
        if (ipv4_) {
          Subject address = load("network", one_in(2) ? 12 : 16, 4);
          address.values = {{10, 0, 0, 1}, {10, 0, 0, 2}, {10, 0, 0, 3}, {10, 1, 0, 0}};
          return address;
        }
        return load("network", one_in(2) ? 8 : 24, one_in(2) ? 16 : 8);
      case 5:
        return load("network", below(62), 1 + below(9));
      case 6:
      case 7:
      case 8: {
        Subject port = load("transport", one_in(2) ? 0 : 2, 2);
        port.values = {{0, 22}, {0, 53}, {0, 80}, {0x9c, 0x40}};
        if (one_in(4)) port = load("transport", 4 * below(5), 4);
        if (one_in(2)) port.text += " later-fragments";
        return port;
      }
      case 9:
        if (options_.named_fields) return field();
        return load(one_in(4) ? "inner" : "transport", below(24), 1 + below(8));
      case 10:
        return with_values(to_hex(random_value(2)), 2);
      case 11:
        return extension();
      default:
        return fact();
    }
  }

  // Of its own network protocol, mostly.
  Subject extension() {
    static constexpr std::array ipv4 = {"ipv4 7 ", "ipv4 148 ", "tcp 2 ", "tcp 8 ", "sctp 0 "};
    static constexpr std::array ipv6 = {"ipv6 0 ", "ipv6 60 ", "ipv6 44 ", "tcp 2 ", "sctp 1 "};
    const std::string item =
        std::string("extension ") + (ipv4_ != one_in(12) ? pick(ipv4) : pick(ipv6));
    if (one_in(2)) return {item + "present", 1, {{0}, {1}}};
    const std::size_t size = 1 + below(5);
    return with_values(item + std::to_string(below(4)) + " " + std::to_string(size), size);
  }

  Subject field() {
    for (;;) {
      const packet::Field& one = packet::fields()[below(packet::fields().size())];
      const packet::Layer layer = one.protocol->layer;
      if (layer == packet::Layer::extension) continue;
      if (layer == packet::Layer::link && !options_.at_xdp) continue;
      return with_values("field \"" + std::string(one.name) + "\"", one.byte_length());
    }
  }

  Subject fact() {
    if (options_.all_facts && !one_in(4)) return seldom_fact();
    if (options_.at_xdp) {
      return one_in(2) ? Subject{"meta iif", 4, {{1, 0, 0, 0}, {2, 0, 0, 0}}}
                       : Subject{"meta length", 4, {{60, 0, 0, 0}, {0x2a, 0, 0, 0}}};
    }
    static const std::array<Subject, 7> known = {{
        {"meta mark", 4, {{0, 0, 0, 0}, {1, 0, 0, 0}, {0x12, 0x34, 0, 0}}},
        {"meta iif", 4, {{1, 0, 0, 0}, {2, 0, 0, 0}}},
        {"meta oif", 4, {{0, 0, 0, 0}, {3, 0, 0, 0}}},
        {"meta iifname", 16, {{'e', 't', 'h', '0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}},
        {"meta length", 4, {{20, 0, 0, 0}, {0x2a, 0, 0, 0}, {60, 0, 0, 0}}},
        {"meta pkttype", 1, {{0}, {1}, {2}}},
        {"ct state", 4, {{2, 0, 0, 0}, {8, 0, 0, 0}, {64, 0, 0, 0}}},
    }};
    return pick(known);
  }

  Subject seldom_fact() {
    static const std::array<imr::MetaKey, 12> keys = {
        imr::MetaKey::oiftype, imr::MetaKey::iifgroup,  imr::MetaKey::oifgroup,
        imr::MetaKey::iifkind, imr::MetaKey::oifkind,   imr::MetaKey::priority,
        imr::MetaKey::cpu,     imr::MetaKey::skuid,     imr::MetaKey::skgid,
        imr::MetaKey::cgroup,  imr::MetaKey::rtclassid, imr::MetaKey::rtipsec};
    static const std::vector<imr::CtKey> ct_keys = imr::all_ct_keys();
    if (one_in(10)) {
      return ipv4_ != one_in(12) ? seldom("nexthop(payload network 16 4)", 4)
                                 : seldom("nexthop(payload network 24 16)", 16);
    }
    if (one_in(2)) {
      const imr::MetaKey key = pick(keys);
      return seldom("meta " + std::string(imr::to_string(key)), imr::value_size(key));
    }
    const imr::CtKey key = pick(ct_keys);
    std::string direction;
    if (imr::needs_direction(key) || (imr::takes_direction(key) && one_in(2))) {
      direction = one_in(2) ? "original " : "reply ";
    }
    return seldom("ct " + direction + std::string(imr::to_string(key)), imr::value_size(key));
  }

  // Few values, so that packets have them.
  Subject seldom(std::string text, std::size_t size) {
    Subject subject{.text = std::move(text), .size = size, .values = {}};
    for (const unsigned first : {0U, 1U, 2U}) {
      Bytes value(size);
      value[0] = static_cast<std::uint8_t>(first);
      subject.values.push_back(std::move(value));
    }
    return subject;
  }

  Subject expression() {
    Subject subject = leaf();
    while (one_in(3)) subject = wrapped(subject);
    return subject;
  }

  Subject wrapped(const Subject& inner) {
    const std::size_t size = inner.size;
    if (one_in(4) && size % 2 == 0) {
      const char* unit = size % 8 == 0 ? "swap8(" : size % 4 == 0 ? "swap4(" : "swap2(";
      return with_values(unit + inner.text + ")", size);
    }
    if (one_in(5) && (size < 4 || size % 4 == 0)) {
      return with_values(
          "(" + inner.text + (one_in(2) ? " << " : " >> ") + std::to_string(1 + below(31)) + ")",
          std::max<std::size_t>(4, size));
    }
    Subject out = inner;
    out.text = "(" + inner.text;
    const bool flips = one_in(2);
    if (!flips || one_in(2)) {
      Bytes mask(size, 0xff);
      if (!one_in(4)) mask[below(size)] = one_in(2) ? 0xf0 : 0;
      out.text += " & " + to_hex(mask);
    }
    if (flips) out.text += " ^ " + to_hex(random_value(size));
    out.text += ")";
    return out;
  }

  const UnitOptions& options_;
  bool ipv4_;
  Random& random_;
  std::string family_;
  std::string sets_;
  std::size_t roots_ = 1;
  std::size_t subs_ = 0;
  unsigned handle_ = 0;
  unsigned set_count_ = 0;
};

packet::Layer layer_of(imr::HeaderBase base) {
  switch (base) {
    case imr::HeaderBase::link:
      return packet::Layer::link;
    case imr::HeaderBase::network:
      return packet::Layer::network;
    // Most often behind ports and lengths.
    case imr::HeaderBase::transport:
    case imr::HeaderBase::inner:
      return packet::Layer::transport;
  }
  throw InvariantError("header base out of range");
}

// As seldom_fact() asks for them.
class SeldomFacts {
 public:
  SeldomFacts(const imr::Constants& constants, Random& random) : random_(random) {
    for (const imr::MetaConstant& constant : constants.meta) values_.push_back(constant.value);
    for (const imr::CtConstant& constant : constants.ct) values_.push_back(constant.value);
    for (const imr::NexthopConstant& constant : constants.next_hop) {
      values_.push_back(constant.value);
    }
  }

  static bool asked_for(const imr::Constants& constants) {
    return !constants.next_hop.empty() || std::ranges::any_of(constants.meta, [](const auto& c) {
      return c.key >= imr::MetaKey::oiftype;
    }) || std::ranges::any_of(constants.ct, [](const auto& c) {
      return c.key != imr::CtKey::state;
    });
  }

  void give(packet::Packet& packet) {
    packet.priority = number();
    packet.cpu = number();
    for (packet::Device* device : {&packet.in, &packet.out}) {
      device->group = number();
      device->kind = name();
    }
    if (random_() % 3 != 0) packet.route = route(packet.ethertype == 0x86dd);
    if (random_() % 3 != 0) {
      packet.socket = packet::Socket{.has_file = random_() % 4 != 0,
                                     .user = number(),
                                     .group = number(),
                                     .cgroup_class = number()};
    }
    packet::Connection& connection = packet.connection;
    connection.status = number();
    connection.mark = number();
    connection.helper = name();
    connection.ipv6 = random_() % 2 == 0;
    connection.protocol = static_cast<std::uint8_t>(number());
    connection.zone = {.id = static_cast<std::uint16_t>(number()),
                       .of_original = random_() % 2 == 0,
                       .of_reply = random_() % 2 == 0};
    const Bytes labels = value(16);
    std::ranges::copy(labels, connection.labels.begin());
    give(connection.original, connection.ipv6);
    give(connection.reply, connection.ipv6);
  }

 private:
  // One of IPv4 may have a gateway of IPv6.
  packet::Route route(bool ipv6) {
    packet::Route out{
        .realms = number(), .cached = random_() % 3 == 0, .transformed = random_() % 2 == 0};
    if (random_() % 3 != 0) out.next_hop = value(ipv6 || random_() % 6 == 0 ? 16 : 4);
    return out;
  }

  void give(packet::ConnectionSide& side, bool ipv6) {
    side = {.source = value(ipv6 ? 16 : 4),
            .destination = value(ipv6 ? 16 : 4),
            .source_port = static_cast<std::uint16_t>(load_big_endian(value(2))),
            .destination_port = static_cast<std::uint16_t>(load_big_endian(value(2))),
            .bytes = number(),
            .packets = number()};
  }

  // A constant of the rules, cut or filled, or a small number.
  Bytes value(std::size_t size) {
    Bytes out = values_.empty() || random_() % 3 == 0 ? native_bytes(random_() % 3, 4)
                                                      : values_[random_() % values_.size()];
    out.resize(size);
    return out;
  }
  std::uint32_t number() { return static_cast<std::uint32_t>(load_native(value(4))); }
  std::string name() {
    const Bytes bytes = value(15);
    return {bytes.begin(), std::ranges::find(bytes, 0)};
  }

  Random& random_;
  std::vector<Bytes> values_;
};

void add_context(packet::Packet& packet, const imr::Constants& constants, Random& random) {
  static constexpr std::array<std::uint8_t, 5> tracked = {0, 1, 2, 3, 4};
  static constexpr std::array<std::uint8_t, 5> types = {0, 1, 2, 3, 5};
  packet.mark = static_cast<std::uint32_t>(random() % 3);
  packet.in = {.index = static_cast<std::uint32_t>(random() % 4), .name = ""};
  packet.out = {.index = static_cast<std::uint32_t>(random() % 4), .name = ""};
  if (packet.in.index != 0) packet.in.name = random() % 2 == 0 ? "eth0" : "eth1.4094-long";
  if (packet.out.index != 0) packet.out.name = "lo";
  for (const imr::MetaConstant& constant : constants.meta) {
    if (random() % 3 != 0 || constant.value.size() < 4) continue;
    const auto number = static_cast<std::uint32_t>(load_native(ByteView(constant.value).first(4)));
    if (constant.key == imr::MetaKey::mark) packet.mark = number;
    if (constant.key == imr::MetaKey::iif && packet.in.index != 0 && number != 0) {
      packet.in.index = number;
    }
  }
  packet.has_connection = random() % 2 == 0;
  if (packet.has_connection) {
    packet.ct_info = static_cast<packet::CtInfo>(tracked[random() % tracked.size()]);
  } else if (random() % 2 == 0) {
    packet.ct_info = packet::CtInfo::untracked;
  }
  packet.type = static_cast<packet::PacketType>(types[random() % types.size()]);
  if (SeldomFacts::asked_for(constants)) SeldomFacts(constants, random).give(packet);
}

}  // namespace

std::string random_unit(const UnitOptions& options, Random& random) {
  return Writer(options, random).unit();
}

std::vector<packet::Packet> packets_for(const imr::Unit& unit, std::size_t count, Random& random) {
  const imr::Constants constants = imr::constants(unit);
  std::vector<packet::Probe> probes;
  for (const imr::PacketConstant& constant : constants.packet) {
    probes.push_back({.layer = layer_of(constant.base),
                      .offset = constant.offset,
                      .length = constant.length,
                      .value = constant.value,
                      .group = constant.rule.value});
  }
  const bool at_xdp = unit.hook.kind == Hook::Kind::xdp;
  const bool ipv4 = unit.nfproto == Nfproto::ipv4;
  packet::DirectedOptions options;
  options.count = count;
  options.link_header = at_xdp;
  options.vlan_tags = at_xdp;
  options.other_protocols = at_xdp;
  options.ipv4 = at_xdp || ipv4;
  options.ipv6 = at_xdp || !ipv4;
  std::vector<packet::Packet> packets = packet::directed_packets(probes, options, random);
  for (packet::Packet& packet : packets) add_context(packet, constants, random);
  return packets;
}

}  // namespace weir::test
