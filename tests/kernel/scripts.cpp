// SPDX-License-Identifier: BSD-2-Clause
//
// A script is chosen top down: table, sets, user chains, base chains, rules, matches, values.
#include "kernel/scripts.h"

#include <array>
#include <string_view>
#include <vector>

#include "differential/random.h"

namespace weir::test {
namespace {

using differential::Random;

using Words = std::vector<std::string_view>;

const Words& v4_addresses() {
  static const Words words = {"10.0.0.1", "10.0.0.2", "192.168.1.1", "172.16.5.4",
                              "10.255.255.255"};
  return words;
}
const Words& v4_prefixes() {
  static const Words words = {"10.0.0.0/8",     "10.0.0.0/30",        "192.168.0.0/16",
                              "128.0.0.0/1",    "10.0.0.1-10.0.0.77", "172.16.0.0/12",
                              "192.168.1.1/32", "11.0.0.0-12.1.255.3"};
  return words;
}
const Words& v6_addresses() {
  static const Words words = {"2001:db8::1", "2001:db8::2", "fd00::1:2", "2001:db8:1::ffff"};
  return words;
}
const Words& v6_prefixes() {
  static const Words words = {"2001:db8::/32", "2001:db8::/127",           "fd00::/8",
                              "2000::/3",      "2001:db8::1-2001:db8::ff", "2001:db8:1::/49"};
  return words;
}
const Words& ports() {
  static const Words words = {"22", "53", "80", "443", "1024", "40000", "0", "65535", "8080"};
  return words;
}
const Words& port_ranges() {
  static const Words words = {"1-1023", "1024-65535", "50-60", "443-8443"};
  return words;
}

class Writer {
 public:
  Writer(const ScriptOptions& options, std::mt19937_64& random)
      : options_(options), chance_(random) {}

  std::string write() {
    family_ = std::array{Family::ip, Family::ip6, Family::inet, Family::inet}[chance_.below(4)];
    const std::size_t user_chains = chance_.below(4);
    out_ = "table " + std::string(std::array{"ip", "ip6", "inet"}[static_cast<int>(family_)]) +
           " t {\n";
    write_sets();
    for (std::size_t i = 0; i < user_chains; ++i) {
      usable_chains_ = i;
      out_ += "  chain u" + std::to_string(i) + " {\n";
      write_rules(1 + chance_.below(options_.max_rules / 4));
      out_ += "  }\n";
    }
    usable_chains_ = user_chains;
    const std::size_t bases = !options_.single_chain && chance_.one_in(5) ? 2 : 1;
    // Of chains with one priority the kernel runs the youngest first.
    const int step = bases == 2 && chance_.one_in(2) ? 0 : 10;
    for (std::size_t i = 0; i < bases; ++i) {
      out_ += "  chain base" + std::to_string(i) + " {\n    type filter hook " + options_.hook +
              " priority " + std::to_string(static_cast<int>(i) * step - 5) + "; policy " +
              (chance_.one_in(3) ? "drop" : "accept") + ";\n";
      write_rules(1 + chance_.below(options_.max_rules));
      out_ += "  }\n";
    }
    return out_ + "}\n";
  }

 private:
  enum class Family { ip, ip6, inet };
  enum class Network { none, v4, v6 };
  enum class Transport { none, tcp, udp, sctp, icmp, other };

  void write_sets();
  void write_rules(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out_ += "    " + rule() + "\n";
  }
  std::string rule();
  std::string match();
  std::string network_match();
  std::string v4_match();
  std::string v6_match();
  std::string transport_match();
  std::string tuple();
  [[nodiscard]] const Words& tuples() const;
  std::string tuple_match();
  std::string meta_match();
  std::string raw_match();
  std::string extension_match();
  std::string verdict();
  std::string verdict_map();
  std::string target(bool in_map);

  // "SELECTOR [op] VALUE" over one list of values and one of ranges.
  std::string compare(const std::string& selector, const Words& values, const Words& ranges,
                      const std::string& set_type);
  std::string number(const std::string& selector, const Words& values) {
    static const Words operators = {"", "", "!= ", "< ", "> ", "<= ", ">= "};
    return selector + " " + std::string(chance_.pick(operators)) +
           std::string(chance_.pick(values));
  }
  std::string list(const Words& values, std::size_t most) {
    std::string out;
    const std::size_t first = chance_.below(values.size());
    const std::size_t count = 1 + chance_.below(std::min(most, values.size()));
    for (std::size_t i = 0; i < count; ++i) {
      out += (i > 0 ? ", " : "") + std::string(values[(first + i) % values.size()]);
    }
    return out;
  }

  const ScriptOptions& options_;
  Random chance_;
  Family family_ = Family::inet;
  Network network_ = Network::none;        // of the rule being written
  Transport transport_ = Transport::none;  // the same
  std::size_t usable_chains_ = 0;
  std::string out_;
};

void Writer::write_sets() {
  if (family_ != Family::ip6) {
    out_ += "  set a4 { type ipv4_addr; elements = { " + list(v4_addresses(), 5) + " } }\n";
    out_ +=
        "  set p4 { type ipv4_addr; flags interval; elements = { 10.0.0.0/30, "
        "10.0.0.8-10.0.0.20, 192.168.0.0/16 } }\n";
    out_ +=
        "  set e4 { type ipv4_addr . inet_service; elements = { 10.0.0.1 . 80, 10.0.0.2 . 22 } }\n";
    out_ +=
        "  set t4 { type ipv4_addr . inet_service; flags interval; elements = { "
        "10.0.0.0/30 . 50-60, 10.0.0.1 . 80-443, 192.168.0.0/16 . 22 } }\n";
  }
  if (family_ != Family::ip) {
    out_ += "  set a6 { type ipv6_addr; elements = { " + list(v6_addresses(), 4) + " } }\n";
    out_ +=
        "  set p6 { type ipv6_addr; flags interval; elements = { 2001:db8::/126, "
        "fd00::/8 } }\n";
    out_ +=
        "  set e6 { type ipv6_addr . inet_service; elements = { 2001:db8::1 . 80, fd00::1:2 . 22 } "
        "}\n";
    out_ +=
        "  set t6 { type ipv6_addr . inet_service; flags interval; elements = { "
        "2001:db8::/127 . 50-443, fd00::/8 . 22 } }\n";
  }
  out_ += "  set ports { type inet_service; elements = { " + list(ports(), 9) + " } }\n";
  out_ +=
      "  set portranges { type inet_service; flags interval; elements = { 1-30, 53, "
      "1000-2000, 60000-65535 } }\n";
}

std::string Writer::compare(const std::string& selector, const Words& values, const Words& ranges,
                            const std::string& set_type) {
  const std::string no = chance_.one_in(3) ? "!= " : "";
  switch (chance_.below(5)) {
    case 0:
      return selector + " " + no + std::string(chance_.pick(values));
    case 1:
      return selector + " " + no + std::string(chance_.pick(ranges));
    case 2:
      return selector + " " + no + "{ " + list(values, 6) + " }";
    case 3:
      if (set_type.empty()) return selector + " " + no + "{ " + list(values, 6) + " }";
      return selector + " " + no + "@" + set_type;
    default:
      return number(selector, values);
  }
}

std::string Writer::v4_match() {
  static const Words selectors = {"ip saddr", "ip daddr"};
  const std::string address(chance_.pick(selectors));
  switch (chance_.below(9)) {
    case 0:
    case 1:
    case 2:
      return compare(address, v4_addresses(), v4_prefixes(), chance_.one_in(2) ? "a4" : "p4");
    case 3:
      return address + " & 255.0.0.255 == 10.0.0.1";
    case 4:
      return number("ip ttl", {"1", "2", "62", "63", "64", "255"});
    case 5:
      return number("ip length", {"20", "28", "40", "60", "100", "1500"});
    case 6:
      return number("ip protocol", {"tcp", "udp", "icmp", "sctp", "47", "0"});
    case 7:
      return number("ip frag-off", {"0", "0x2000", "0x4000", "1"});
    default:
      return number(std::string(chance_.pick(Words{"ip hdrlength", "ip version"})),
                    {"4", "5", "6", "15"});
  }
}

std::string Writer::v6_match() {
  static const Words selectors = {"ip6 saddr", "ip6 daddr"};
  const std::string address(chance_.pick(selectors));
  switch (chance_.below(7)) {
    case 0:
    case 1:
    case 2:
      return compare(address, v6_addresses(), v6_prefixes(), chance_.one_in(2) ? "a6" : "p6");
    case 3:
      return number("ip6 hoplimit", {"1", "2", "62", "63", "64", "255"});
    case 4:
      return number("ip6 length", {"0", "8", "20", "100", "1460"});
    case 5:
      return number("ip6 nexthdr", {"tcp", "udp", "icmpv6", "0", "43", "44", "60", "51"});
    default:
      return number("ip6 dscp", {"0", "8", "46", "63"});
  }
}

std::string Writer::network_match() {
  if (network_ == Network::none) {
    network_ = family_ == Family::ip    ? Network::v4
               : family_ == Family::ip6 ? Network::v6
               : chance_.one_in(2)      ? Network::v4
                                        : Network::v6;
  }
  return network_ == Network::v4 ? v4_match() : v6_match();
}

// Of an address and a port.
std::string Writer::tuple() {
  const bool v6 = network_ == Network::v6 || family_ == Family::ip6 ||
                  (family_ == Family::inet && network_ == Network::none && chance_.one_in(2));
  network_ = v6 ? Network::v6 : Network::v4;
  if (transport_ == Transport::none) {
    transport_ = chance_.one_in(2) ? Transport::tcp : Transport::udp;
  }
  return (v6 ? "ip6 " : "ip ") + std::string(chance_.pick(Words{"saddr", "daddr"})) + " . " +
         (transport_ == Transport::udp ? "udp " : "tcp ") +
         std::string(chance_.pick(Words{"sport", "dport"}));
}

// Elements that overlap, as far as the kernel takes them: the first one decides.
const Words& Writer::tuples() const {
  static const Words v4 = {"10.0.0.0/30 . 53", "10.0.0.1 . 50-60", "10.0.0.2-10.0.0.9 . 80",
                           "192.168.0.0/16 . 22"};
  static const Words v6 = {"2001:db8::/127 . 53", "2001:db8::1 . 50-60", "fd00::/8 . 22-80"};
  return network_ == Network::v6 ? v6 : v4;
}

std::string Writer::tuple_match() {
  const std::string key = tuple() + (chance_.one_in(4) ? " != " : " ");
  const std::string version = network_ == Network::v6 ? "6" : "4";
  switch (chance_.below(3)) {
    case 0:
      return key + "@e" + version;
    case 1:
      return key + "@t" + version;
    default:
      return key + "{ " + list(tuples(), tuples().size()) + " }";
  }
}

std::string Writer::transport_match() {
  if (transport_ == Transport::none) {
    transport_ = std::array{Transport::tcp,  Transport::tcp,  Transport::udp,  Transport::udp,
                            Transport::sctp, Transport::icmp, Transport::other}[chance_.below(7)];
  }
  const std::string port(chance_.pick(Words{" dport", " sport"}));
  const std::string set(chance_.pick(Words{"ports", "portranges"}));
  switch (transport_) {
    case Transport::tcp:
      if (chance_.one_in(3)) {
        return std::string(
            chance_.pick(Words{"tcp flags syn", "tcp flags & (fin|syn|rst|ack) == syn",
                               "tcp flags != ack", "tcp flags & (syn|ack) == 0", "tcp doff > 5",
                               "tcp window < 1000", "tcp sequence 1", "tcp ackseq != 0"}));
      }
      return compare("tcp" + port, ports(), port_ranges(), set);
    case Transport::udp:
      if (chance_.one_in(4)) return number("udp length", {"8", "9", "20", "100"});
      return compare("udp" + port, ports(), port_ranges(), set);
    case Transport::sctp:
      return compare(std::string(chance_.pick(Words{"sctp", "dccp", "udplite"})) + port, ports(),
                     port_ranges(), "");
    case Transport::icmp: {
      const bool v6 = network_ == Network::v6 ||
                      (network_ == Network::none && (family_ == Family::ip6 || chance_.one_in(2)));
      if (v6 && family_ != Family::ip) {
        network_ = Network::v6;
        return number(std::string(chance_.pick(Words{"icmpv6 type", "icmpv6 code"})),
                      {"1", "2", "3", "128", "129", "135"});
      }
      if (family_ == Family::ip6) return "meta l4proto icmpv6";
      network_ = Network::v4;
      return number(std::string(chance_.pick(Words{"icmp type", "icmp code"})),
                    {"0", "3", "8", "11", "1", "255"});
    }
    case Transport::other:
    case Transport::none:
      break;
  }
  return chance_.one_in(2) ? compare("th" + port, ports(), port_ranges(), set)
                           : number(std::string(chance_.pick(Words{"esp spi", "ah spi"})),
                                    {"1", "2", "0", "4294967295"});
}

std::string Writer::meta_match() {
  const std::string name(chance_.pick(Words{"iifname", "oifname"}));
  switch (chance_.below(options_.devices ? 10 : 3)) {
    case 0:
      return number("meta length", {"20", "28", "40", "60", "100", "576", "1500"});
    case 1:
      return std::string(chance_.pick(Words{"meta l4proto tcp", "meta l4proto != udp",
                                            "meta l4proto { tcp, udp, sctp }", "meta l4proto 60",
                                            "meta l4proto icmp"}));
    case 2:
      if (family_ != Family::inet) return "meta length > 0";
      return std::string(chance_.pick(Words{"meta nfproto ipv4", "meta nfproto ipv6",
                                            "meta protocol ip", "meta protocol != ip6"}));
    case 3:
      return std::string(chance_.pick(
          Words{"meta mark 0", "meta mark != 0", "meta mark & 0xff == 0", "meta mark 7-9"}));
    case 4:
      return std::string(
          chance_.pick(Words{"iif tun0", "oif tun1", "iif != tun1", "oif tun0", "iif lo"}));
    case 5:
      return name + " " +
             std::string(chance_.pick(Words{"tun0", "tun1", "tun*", "!= tu*", "eth0"}));
    case 6:
      return name + " { tun0, eth7, wlan0 }";
    case 7:
      return std::string(chance_.pick(Words{"meta pkttype host", "meta pkttype != broadcast",
                                            "meta pkttype { broadcast, multicast }"}));
    default:
      return name + " != { tun1, eth0 }";
  }
}

std::string Writer::raw_match() {
  static const Words places = {"@nh,8,8",  "@nh,0,16",  "@nh,96,24", "@th,0,16",  "@th,16,16",
                               "@th,0,32", "@th,8,8",   "@th,24,24", "@nh,160,8", "@nh,64,64",
                               "@th,96,8", "@th,32,32", "@nh,320,16"};
  return number(std::string(chance_.pick(places)), {"0", "1", "4", "20", "53", "255"});
}

// Extension headers, options and chunks, and whether they are there.
std::string Writer::extension_match() {
  const std::string there(chance_.pick(Words{" exists", " missing"}));
  if (network_ == Network::none && chance_.one_in(2)) network_match();  // settles it
  if (network_ == Network::v6 && chance_.one_in(2)) {
    switch (chance_.below(5)) {
      case 0:
        return "exthdr " + std::string(chance_.pick(Words{"hbh", "rt", "frag", "dst", "mh"})) +
               there;
      case 1:
        return number(std::string(chance_.pick(Words{"frag frag-off", "frag id", "rt type"})),
                      {"0", "1", "2", "4"});
      case 2:
        return std::string(chance_.pick(Words{"frag more-fragments 1", "frag more-fragments != 1",
                                              "rt type { 0, 2, 4 }", "dst hdrlength 0-1"}));
      default:
        return number(
            std::string(chance_.pick(Words{"hbh hdrlength", "dst hdrlength", "rt seg-left",
                                           "hbh nexthdr", "dst nexthdr", "rt nexthdr", "mh type"})),
            {"0", "1", "2", "6", "17", "60"});
    }
  }
  if (network_ == Network::v4 && chance_.one_in(2)) {
    if (chance_.one_in(2)) {
      return "ip option " + std::string(chance_.pick(Words{"rr", "ra", "lsrr", "ssrr"})) + there;
    }
    return number(std::string(chance_.pick(Words{"ip option rr ptr", "ip option rr length",
                                                 "ip option ra value", "ip option ra length"})),
                  {"0", "4", "8", "12"});
  }
  if (transport_ == Transport::none && chance_.one_in(3)) transport_ = Transport::sctp;
  if (transport_ == Transport::sctp) {
    if (chance_.one_in(2)) {
      return "sctp chunk " +
             std::string(chance_.pick(Words{"data", "init", "sack", "abort", "error"})) + there;
    }
    return number(
        std::string(chance_.pick(Words{"sctp chunk data tsn", "sctp chunk data flags",
                                       "sctp chunk init initial-tsn", "sctp chunk data length"})),
        {"0", "1", "17", "20", "255"});
  }
  if (chance_.one_in(2)) {
    return "tcp option " +
           std::string(chance_.pick(Words{"maxseg", "window", "sack-perm", "sack", "timestamp",
                                          "eol", "nop", "fastopen", "mptcp", "md5sig", "253"})) +
           there;
  }
  return number(
      std::string(chance_.pick(Words{"tcp option maxseg size", "tcp option window count",
                                     "tcp option timestamp tsval", "tcp option sack left",
                                     "tcp option sack1 right", "tcp option maxseg length"})),
      {"0", "1", "2", "4", "64", "255"});
}

std::string Writer::match() {
  if (options_.connections && chance_.one_in(3)) {
    return std::string(chance_.pick(
        Words{"ct state new", "ct state established", "ct state established,related",
              "ct state invalid", "ct state untracked", "ct state != new", "ct state related",
              "ct state { new, untracked }", "ct state & (new|established) == 0"}));
  }
  if (chance_.one_in(16)) return extension_match();
  switch (chance_.below(9)) {
    case 0:
    case 1:
    case 2:
      return network_match();
    case 3:
    case 4:
    case 5:
      return transport_match();
    case 6:
      return meta_match();
    case 7:
      if (transport_ == Transport::none || transport_ == Transport::tcp ||
          transport_ == Transport::udp) {
        return tuple_match();
      }
      return raw_match();
    default:
      return raw_match();
  }
}

std::string Writer::target(bool in_map) {
  if (usable_chains_ > 0 && chance_.one_in(2)) {
    return (chance_.one_in(3) ? "goto u" : "jump u") +
           std::to_string(chance_.below(usable_chains_));
  }
  static const Words plain = {"accept", "drop", "accept", "return", "continue"};
  return std::string(plain[chance_.below(in_map ? plain.size() : 4)]);
}

std::string Writer::verdict_map() {
  const auto map = [&](const Words& keys) {
    std::string out = " vmap { ";
    const std::size_t first = chance_.below(keys.size());
    const std::size_t count = 1 + chance_.below(keys.size());
    for (std::size_t i = 0; i < count; ++i) {
      out +=
          (i > 0 ? ", " : "") + std::string(keys[(first + i) % keys.size()]) + " : " + target(true);
    }
    return out + (chance_.one_in(4) ? ", * : " + target(true) : "") + " }";
  };
  if (chance_.one_in(4)) {
    std::string out = tuple() + " vmap { ";
    const std::size_t count = 1 + chance_.below(tuples().size());
    for (std::size_t i = 0; i < count; ++i) {
      out += (i > 0 ? ", " : "") + std::string(tuples()[i]) + " : " + target(true);
    }
    return out + " }";
  }
  if (options_.connections && chance_.one_in(2)) {
    return "ct state" + map({"new", "established", "related", "invalid", "untracked"});
  }
  switch (chance_.below(options_.devices ? 6 : 4)) {
    case 0:
      return "tcp dport" + map({"22", "80", "443", "1000-2000"});
    case 1:
      return "udp dport" + map({"53", "80", "40000"});
    case 2:
      return "meta l4proto" + map({"tcp", "udp", "icmp", "icmpv6", "47"});
    case 3:
      if (family_ == Family::ip6) return "ip6 daddr" + map({"2001:db8::/127", "fd00::/8"});
      return "ip saddr" + map({"10.0.0.0/30", "10.0.0.9", "192.168.0.0/16"});
    case 4:
      return "iifname" + map({"tun0", "tun1", "eth0"});
    default:
      return "oif" + map({"tun0", "tun1"});
  }
}

std::string Writer::verdict() {
  return chance_.one_in(3) ? "" : target(false);
}

std::string Writer::rule() {
  network_ = Network::none;
  transport_ = Transport::none;
  if (chance_.one_in(9)) return (chance_.one_in(2) ? "counter " : "") + verdict_map();
  std::string text;
  const std::size_t matches = chance_.one_in(12) ? 0 : 1 + chance_.below(3);
  for (std::size_t i = 0; i < matches; ++i) text += match() + " ";
  // A verdict without a match would leave nothing for the rules behind it.
  const std::string end = matches == 0 ? "" : verdict();
  if (end.empty() || !chance_.one_in(6)) text += "counter ";
  return text + end;
}

}  // namespace

std::string random_script(const ScriptOptions& options, std::mt19937_64& random) {
  return Writer(options, random).write();
}

}  // namespace weir::test
