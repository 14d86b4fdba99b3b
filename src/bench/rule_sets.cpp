// SPDX-License-Identifier: BSD-2-Clause
#include "bench/rule_sets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <set>
#include <span>
#include <tuple>

#include "packet/headers.h"

namespace weir::bench {
namespace {

using packet::IpProtocol;

constexpr std::size_t most_rules = 1'000'000;

template <typename T>
struct Share {
  T what;
  unsigned weight;
};

enum class PortClass : std::uint8_t {
  any,
  high,   // 1024-65535
  low,    // 0-1023
  range,  // any other
  exact,
};

struct Lengths {
  std::uint8_t source;
  std::uint8_t destination;
};

// What lists of one kind are drawn from.
struct Distribution {
  std::span<const Share<int>> protocols;  // -1: any
  std::span<const Share<Lengths>> lengths;
  std::span<const Share<PortClass>> source_ports;
  std::span<const Share<PortClass>> destination_ports;
};

constexpr int any_protocol = -1;
constexpr int tcp = static_cast<int>(IpProtocol::tcp);
constexpr int udp = static_cast<int>(IpProtocol::udp);
constexpr int icmp = static_cast<int>(IpProtocol::icmp);
constexpr int gre = static_cast<int>(IpProtocol::gre);

constexpr std::array acl_protocols = {Share{tcp, 74}, Share{udp, 16}, Share{icmp, 4},
                                      Share{any_protocol, 6}};
constexpr std::array<Share<Lengths>, 14> acl_lengths = {{{{32, 32}, 18},
                                                         {{24, 32}, 17},
                                                         {{0, 32}, 14},
                                                         {{16, 32}, 8},
                                                         {{28, 32}, 6},
                                                         {{24, 24}, 8},
                                                         {{0, 24}, 5},
                                                         {{32, 24}, 6},
                                                         {{20, 30}, 4},
                                                         {{0, 28}, 3},
                                                         {{22, 27}, 4},
                                                         {{32, 16}, 3},
                                                         {{0, 16}, 2},
                                                         {{30, 29}, 2}}};
constexpr std::array acl_source_ports = {Share{PortClass::any, 98}, Share{PortClass::high, 1},
                                         Share{PortClass::exact, 1}};
constexpr std::array acl_destination_ports = {
    Share{PortClass::exact, 60}, Share{PortClass::range, 16}, Share{PortClass::any, 17},
    Share{PortClass::high, 5}, Share{PortClass::low, 2}};

constexpr std::array fw_protocols = {Share{tcp, 57}, Share{udp, 24}, Share{icmp, 6}, Share{gre, 1},
                                     Share{any_protocol, 12}};
constexpr std::array<Share<Lengths>, 15> fw_lengths = {{{{0, 32}, 24},
                                                        {{32, 0}, 11},
                                                        {{32, 32}, 14},
                                                        {{0, 24}, 7},
                                                        {{24, 32}, 8},
                                                        {{24, 0}, 6},
                                                        {{16, 32}, 6},
                                                        {{32, 24}, 4},
                                                        {{0, 28}, 4},
                                                        {{24, 24}, 4},
                                                        {{8, 32}, 3},
                                                        {{16, 0}, 2},
                                                        {{0, 16}, 3},
                                                        {{27, 30}, 3},
                                                        {{0, 0}, 1}}};
constexpr std::array fw_source_ports = {Share{PortClass::any, 76}, Share{PortClass::exact, 12},
                                        Share{PortClass::high, 10}, Share{PortClass::range, 2}};
constexpr std::array fw_destination_ports = {Share{PortClass::any, 31}, Share{PortClass::exact, 46},
                                             Share{PortClass::high, 8}, Share{PortClass::range, 12},
                                             Share{PortClass::low, 3}};

constexpr std::array ipc_protocols = {Share{tcp, 54}, Share{udp, 23}, Share{icmp, 6}, Share{gre, 2},
                                      Share{any_protocol, 15}};
constexpr std::array<Share<Lengths>, 16> ipc_lengths = {{{{32, 32}, 30},
                                                         {{24, 24}, 10},
                                                         {{0, 32}, 8},
                                                         {{32, 0}, 8},
                                                         {{24, 32}, 7},
                                                         {{32, 24}, 7},
                                                         {{28, 28}, 4},
                                                         {{27, 32}, 4},
                                                         {{32, 27}, 4},
                                                         {{16, 24}, 3},
                                                         {{24, 16}, 3},
                                                         {{30, 30}, 3},
                                                         {{20, 22}, 3},
                                                         {{16, 16}, 2},
                                                         {{0, 24}, 2},
                                                         {{26, 31}, 2}}};
constexpr std::array ipc_source_ports = {Share{PortClass::any, 66}, Share{PortClass::exact, 22},
                                         Share{PortClass::high, 8}, Share{PortClass::range, 4}};
constexpr std::array ipc_destination_ports = {
    Share{PortClass::any, 40}, Share{PortClass::exact, 42}, Share{PortClass::high, 7},
    Share{PortClass::range, 9}, Share{PortClass::low, 2}};

Distribution distribution_of(ListKind kind) {
  switch (kind) {
    case ListKind::acl:
      return {acl_protocols, acl_lengths, acl_source_ports, acl_destination_ports};
    case ListKind::fw:
      return {fw_protocols, fw_lengths, fw_source_ports, fw_destination_ports};
    case ListKind::ipc:
      return {ipc_protocols, ipc_lengths, ipc_source_ports, ipc_destination_ports};
    case ListKind::linear:
      break;
  }
  throw InvariantError("a kind of list without a distribution");
}

// Services that exact ports name, the more frequent ones first.
constexpr std::array<std::uint16_t, 40> services = {
    80,  443, 53,  25,  22,   21,   110,  23,   161,  123,  1521, 3306, 8080, 143,
    389, 139, 445, 137, 1433, 3389, 5060, 179,  162,  514,  69,   119,  113,  993,
    995, 111, 88,  636, 1723, 5432, 6000, 8443, 2049, 5900, 1812, 500};

class Generator {
 public:
  Generator(ListKind kind, std::size_t rules, std::uint64_t seed)
      : distribution_(distribution_of(kind)), random_(seed) {
    // The more rules, the more networks: prefixes of one list nest in those of another part of it,
    // but a list of any size has some that hold many.
    const std::size_t networks = std::clamp<std::size_t>(rules / 100, 24, 4096);
    for (std::size_t i = 0; i < networks; ++i) {
      // No loopback, multicast or reserved addresses: the stack takes no such sources.
      auto first = static_cast<std::uint32_t>(1 + below(222));
      if (first == 127) first = 10;
      networks_.push_back(first << 24U | static_cast<std::uint32_t>(below(256)) << 16U);
    }
  }

  ListRule rule() {
    const Lengths lengths = draw(distribution_.lengths);
    ListRule out;
    out.source = prefix(lengths.source);
    out.destination = prefix(lengths.destination);
    const int protocol = draw(distribution_.protocols);
    if (protocol != any_protocol) out.protocol = static_cast<std::uint8_t>(protocol);
    if (protocol == tcp || protocol == udp) {
      out.source_port = ports(draw(distribution_.source_ports));
      out.destination_port = ports(draw(distribution_.destination_ports));
    }
    out.accept = below(10) < 7;
    return out;
  }

  // What a rule is sorted by: how much it tests, and some disorder.
  unsigned rank(const ListRule& rule) {
    const auto port_bits = [](const PortRange& ports) {
      return ports.is_any() ? 0U : ports.first == ports.last ? 16U : 8U;
    };
    return rule.source.length + rule.destination.length + (rule.protocol ? 8U : 0U) +
           port_bits(rule.source_port) + port_bits(rule.destination_port) +
           static_cast<unsigned>(below(24));
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  // The smaller the likelier.
  std::uint64_t skewed_below(std::uint64_t limit) { return std::min(below(limit), below(limit)); }

  template <typename T>
  T draw(std::span<const Share<T>> shares) {
    unsigned sum = 0;
    for (const Share<T>& share : shares) sum += share.weight;
    auto at = static_cast<unsigned>(below(sum));
    for (const Share<T>& share : shares) {
      if (at < share.weight) return share.what;
      at -= share.weight;
    }
    throw InvariantError("a draw beyond all shares");
  }

  Ipv4Prefix prefix(std::uint8_t length) {
    Ipv4Prefix out{.address = 0, .length = length};
    const std::uint32_t network = networks_[skewed_below(networks_.size())];
    const auto subnet = static_cast<std::uint32_t>(skewed_below(256));
    const auto host = static_cast<std::uint32_t>(below(256));
    out.address = (network | subnet << 8U | host) & out.mask();
    return out;
  }

  PortRange ports(PortClass kind) {
    switch (kind) {
      case PortClass::any:
        return {};
      case PortClass::high:
        return {1024, 65535};
      case PortClass::low:
        return {0, 1023};
      case PortClass::range: {
        const auto first = static_cast<std::uint16_t>(below(60000));
        const auto span = static_cast<std::uint16_t>(1 + below(below(4) == 0 ? 4000 : 20));
        return {first, static_cast<std::uint16_t>(first + span)};
      }
      case PortClass::exact: {
        // Two of three are a well-known service.
        const auto port = below(3) != 0 ? services[skewed_below(services.size())]
                                        : static_cast<std::uint16_t>(1024 + below(64000));
        return {port, port};
      }
    }
    throw InvariantError("port class out of range");
  }

  Distribution distribution_;
  std::mt19937_64 random_;
  std::vector<std::uint32_t> networks_;
};

auto tests_of(const ListRule& rule) {
  return std::tuple(rule.source.address, rule.source.length, rule.destination.address,
                    rule.destination.length, rule.source_port.first, rule.source_port.last,
                    rule.destination_port.first, rule.destination_port.last,
                    rule.protocol ? *rule.protocol : any_protocol);
}

std::vector<ListRule> linear_list(std::size_t rules) {
  std::vector<ListRule> out;
  for (std::size_t i = 0; i < rules; ++i) {
    const auto port = static_cast<std::uint16_t>(1 + i % 60000);
    out.push_back({.source = {static_cast<std::uint32_t>((10U << 24U) + i), 32},
                   .destination = {},
                   .source_port = {},
                   .destination_port = {port, port},
                   .protocol = static_cast<std::uint8_t>(tcp),
                   .accept = false});
  }
  return out;
}

}  // namespace

std::string_view to_string(ListKind kind) {
  switch (kind) {
    case ListKind::acl:
      return "acl";
    case ListKind::fw:
      return "fw";
    case ListKind::ipc:
      return "ipc";
    case ListKind::linear:
      return "linear";
  }
  throw InvariantError("list kind out of range");
}

Result<ListName> parse_list_name(std::string_view text) {
  const auto wrong = [&] {
    return input_error("'" + std::string(text) +
                       "' is no list of rules, expected acl:N, fw:N, ipc:N or linear:N with N from "
                       "1 to " +
                       std::to_string(most_rules));
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return wrong();
  const std::string_view number = text.substr(colon + 1);
  ListName out;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), out.rules);
  if (error != std::errc() || end != number.data() + number.size()) return wrong();
  if (out.rules == 0 || out.rules > most_rules) return wrong();
  for (const ListKind kind : {ListKind::acl, ListKind::fw, ListKind::ipc, ListKind::linear}) {
    if (to_string(kind) != text.substr(0, colon)) continue;
    out.kind = kind;
    return out;
  }
  return wrong();
}

std::vector<ListRule> make_list(ListKind kind, std::size_t rules, std::uint64_t seed) {
  if (kind == ListKind::linear) return linear_list(rules);
  Generator generator(kind, rules, seed);
  struct Ranked {
    ListRule rule;
    unsigned rank;
  };
  std::vector<Ranked> ranked;
  std::set<decltype(tests_of(ListRule{}))> seen;
  while (ranked.size() < rules) {
    const ListRule rule = generator.rule();
    if (!seen.insert(tests_of(rule)).second) continue;
    ranked.push_back({rule, generator.rank(rule)});
  }
  std::ranges::stable_sort(ranked, std::ranges::greater{}, &Ranked::rank);
  std::vector<ListRule> out;
  out.reserve(rules);
  for (const Ranked& one : ranked) out.push_back(one.rule);
  return out;
}

std::string to_text(const Ipv4Prefix& prefix) {
  std::string out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    out += (out.empty() ? "" : ".") + std::to_string(prefix.address >> shift & 0xffU);
  }
  return prefix.length == 32 ? out : out + "/" + std::to_string(prefix.length);
}

std::string to_text(const PortRange& ports) {
  const std::string first = std::to_string(ports.first);
  return ports.first == ports.last ? first : first + "-" + std::to_string(ports.last);
}

std::string to_nft(const ListRule& rule) {
  std::string out;
  if (rule.source.length != 0) out += "ip saddr " + to_text(rule.source) + " ";
  if (rule.destination.length != 0) out += "ip daddr " + to_text(rule.destination) + " ";
  const bool has_ports = !rule.source_port.is_any() || !rule.destination_port.is_any();
  if (has_ports) {
    invariant(rule.protocol == tcp || rule.protocol == udp, "ports of a protocol without ports");
    const std::string name = rule.protocol == tcp ? "tcp" : "udp";
    if (!rule.source_port.is_any()) out += name + " sport " + to_text(rule.source_port) + " ";
    if (!rule.destination_port.is_any()) {
      out += name + " dport " + to_text(rule.destination_port) + " ";
    }
  } else if (rule.protocol) {
    out += "ip protocol " + std::to_string(*rule.protocol) + " ";
  }
  return out + (rule.accept ? "accept" : "drop");
}

}  // namespace weir::bench
