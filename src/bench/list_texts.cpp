// SPDX-License-Identifier: BSD-2-Clause
#include "bench/list_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bench/layers.h"
#include "packet/headers.h"

namespace weir::bench {
namespace {

constexpr auto tcp = static_cast<std::uint8_t>(packet::IpProtocol::tcp);
constexpr auto udp = static_cast<std::uint8_t>(packet::IpProtocol::udp);

// Fewer rules than this are tried sooner than looked up.
constexpr std::size_t fewest_elements = 8;

std::string base_chain(const ChainPlace& place, bool accept, std::string_view rules) {
  return fmt::format("  chain rules {{\n    type filter {}; policy {};\n{}  }}\n", place.hook,
                     accept ? "accept" : "drop", rules);
}

std::string table(const ChainPlace& place, std::string_view content) {
  return fmt::format("table {} bench {{\n{}}}\n", place.family, content);
}

std::string protocol_text(const ListRule& rule) {
  return rule.protocol ? std::to_string(*rule.protocol) : "0-255";
}

std::string element(const ListRule& rule, bool with_ports) {
  std::string out = fmt::format("{} . {} . {}", to_text(rule.source), to_text(rule.destination),
                                protocol_text(rule));
  if (with_ports) {
    out += fmt::format(" . {} . {}", to_text(rule.source_port), to_text(rule.destination_port));
  }
  return out + (rule.accept ? " : accept" : " : drop");
}

// How many changes are timed.
constexpr std::uint16_t updates = 5;

// Maps, and rules that look into them one after another.
struct Lookups {
  std::string maps;
  std::string rules;
  std::size_t count = 0;
  std::string free_map;  // the first one without a rule for packets from nowhere
};

// Of a packet that none but the widest rules match.
ListRule rule_from_nowhere(std::uint16_t port) {
  return {.source = {.address = 1, .length = 32},
          .destination = {.address = 1, .length = 32},
          .source_port = {port, port},
          .destination_port = {port, port},
          .protocol = tcp};
}

Lookups lookups_of(const std::vector<ListRule>& rules, bool with_ports, std::string_view name) {
  const std::string_view port_types = with_ports ? " . inet_service . inet_service" : "";
  const std::string_view ports = with_ports ? " . th sport . th dport" : "";
  Lookups out;
  for (const std::vector<std::size_t>& layer : disjoint_layers(rules)) {
    if (layer.size() < fewest_elements) {
      for (const std::size_t i : layer) out.rules += "    " + to_nft(rules[i]) + "\n";
      continue;
    }
    const std::string map = fmt::format("{}{}", name, out.count++);
    if (out.free_map.empty() && std::ranges::none_of(layer, [&](std::size_t i) {
          return overlap(rules[i], rule_from_nowhere(1));
        })) {
      out.free_map = map;
    }
    out.maps += fmt::format(
        "  map {} {{\n    type ipv4_addr . ipv4_addr . inet_proto{} : verdict; flags interval\n"
        "    elements = {{\n",
        map, port_types);
    for (const std::size_t i : layer) {
      out.maps += "      " + element(rules[i], with_ports) + ",\n";
    }
    out.maps += "    }\n  }\n";
    out.rules += fmt::format("    ip saddr . ip daddr . ip protocol{} vmap @{}\n", ports, map);
  }
  return out;
}

std::string iptables_ports(std::string_view option, const PortRange& ports) {
  if (ports.is_any()) return {};
  return fmt::format(" {} {}:{}", option, ports.first, ports.last);
}

std::string iptables_rule(const ListRule& rule) {
  std::string out = "-A PREROUTING";
  if (rule.source.length != 0) out += " -s " + to_text(rule.source);
  if (rule.destination.length != 0) out += " -d " + to_text(rule.destination);
  if (rule.protocol) out += " -p " + std::to_string(*rule.protocol);
  if (!rule.source_port.is_any() || !rule.destination_port.is_any()) {
    out += rule.protocol == tcp ? " -m tcp" : " -m udp";
    out += iptables_ports("--sport", rule.source_port);
    out += iptables_ports("--dport", rule.destination_port);
  }
  return out + (rule.accept ? " -j ACCEPT\n" : " -j DROP\n");
}

std::string raw_table(bool accept, std::string_view lines) {
  return fmt::format("*raw\n:PREROUTING {} [0:0]\n:OUTPUT ACCEPT [0:0]\n{}COMMIT\n",
                     accept ? "ACCEPT" : "DROP", lines);
}

}  // namespace

std::string nft_text(const List& list, const ChainPlace& place) {
  std::string lines;
  for (const ListRule& rule : list.rules) lines += "    " + to_nft(rule) + "\n";
  return table(place, base_chain(place, list.accept_rest, lines));
}

std::string nft_floor_text(const ChainPlace& place, bool accept) {
  return table(place, base_chain(place, accept, ""));
}

SetsText nft_sets_text(const List& list, const ChainPlace& place) {
  std::vector<ListRule> of_ports;  // what TCP and UDP packets may match
  std::vector<ListRule> of_others;
  for (const ListRule& rule : list.rules) {
    const bool has_ports = rule.protocol == tcp || rule.protocol == udp;
    if (has_ports || !rule.protocol) of_ports.push_back(rule);
    if (!has_ports) of_others.push_back(rule);
  }
  const Lookups ports = lookups_of(of_ports, true, "ports");
  const Lookups others = lookups_of(of_others, false, "others");
  const std::string chain = "  chain with_ports {\n" + ports.rules + "  }\n";
  const std::string first = "    ip protocol { tcp, udp } goto with_ports\n";
  SetsText out{.text = table(place, ports.maps + others.maps + chain +
                                        base_chain(place, list.accept_rest, first + others.rules)),
               .maps = ports.count + others.count};
  for (std::uint16_t port = 1; port <= updates && !ports.free_map.empty(); ++port) {
    out.insertions.push_back(fmt::format("add element {} bench {} {{ {} }}", place.family,
                                         ports.free_map, element(rule_from_nowhere(port), true)));
  }
  return out;
}

std::string nft_insertion(const ChainPlace& place) {
  return fmt::format("insert rule {} bench rules ip saddr 0.0.0.1 drop", place.family);
}

std::string iptables_text(const List& list) {
  std::string lines;
  for (const ListRule& rule : list.rules) lines += iptables_rule(rule);
  return raw_table(list.accept_rest, lines);
}

std::string iptables_floor_text(bool accept) {
  return raw_table(accept, "");
}

}  // namespace weir::bench
