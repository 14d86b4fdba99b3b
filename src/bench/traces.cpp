// SPDX-License-Identifier: BSD-2-Clause
#include "bench/traces.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

#include "packet/builder.h"
#include "packet/headers.h"

namespace weir::bench {
namespace {

using packet::IpProtocol;

constexpr auto tcp = static_cast<std::uint8_t>(IpProtocol::tcp);
constexpr auto udp = static_cast<std::uint8_t>(IpProtocol::udp);

bool has_ports(std::uint8_t protocol) {
  return protocol == tcp || protocol == udp;
}

bool contains(const Ipv4Prefix& prefix, std::uint32_t address) {
  return (address & prefix.mask()) == prefix.address;
}

bool contains(const PortRange& ports, std::uint16_t port) {
  return ports.first <= port && port <= ports.last;
}

packet::Ipv4Address to_address(std::uint32_t number) {
  return {static_cast<std::uint8_t>(number >> 24U), static_cast<std::uint8_t>(number >> 16U),
          static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)};
}

class Drawer {
 public:
  explicit Drawer(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  // From 0 to below 1, the same everywhere.
  double fraction() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }

  std::uint32_t inside(const Ipv4Prefix& prefix) {
    return prefix.address | (static_cast<std::uint32_t>(random_()) & ~prefix.mask());
  }
  std::uint16_t inside(const PortRange& ports) {
    return static_cast<std::uint16_t>(ports.first + below(ports.last - ports.first + 1U));
  }
  FiveTuple inside(const ListRule& rule) {
    FiveTuple out{.source = inside(rule.source), .destination = inside(rule.destination)};
    out.protocol = rule.protocol ? *rule.protocol : below(4) == 0 ? udp : tcp;
    if (!has_ports(out.protocol)) return out;
    out.source_port = inside(rule.source_port);
    out.destination_port = inside(rule.destination_port);
    return out;
  }
  std::mt19937_64& random() { return random_; }

 private:
  std::mt19937_64 random_;
};

// The order in which rules are hit more or less often.
std::vector<std::size_t> shuffled(std::size_t count, Drawer& drawer) {
  std::vector<std::size_t> out(count);
  std::iota(out.begin(), out.end(), 0);
  for (std::size_t i = count; i > 1; --i) std::swap(out[i - 1], out[drawer.below(i)]);
  return out;
}

}  // namespace

bool matches(const ListRule& rule, const FiveTuple& packet) {
  if (!contains(rule.source, packet.source)) return false;
  if (!contains(rule.destination, packet.destination)) return false;
  if (rule.protocol && *rule.protocol != packet.protocol) return false;
  if (rule.source_port.is_any() && rule.destination_port.is_any()) return true;
  return has_ports(packet.protocol) && contains(rule.source_port, packet.source_port) &&
         contains(rule.destination_port, packet.destination_port);
}

std::optional<std::size_t> first_match(std::span<const ListRule> rules, const FiveTuple& packet) {
  const auto found =
      std::ranges::find_if(rules, [&](const ListRule& rule) { return matches(rule, packet); });
  if (found == rules.end()) return std::nullopt;
  return static_cast<std::size_t>(found - rules.begin());
}

// A block of rules at a time, so that it stays in the cache while the packets pass.
std::vector<bool> accepted_by(const List& list, std::span<const FiveTuple> trace) {
  const std::span<const ListRule> rules = list.rules;
  constexpr std::size_t block = 512;
  std::vector<bool> accepted(trace.size(), list.accept_rest);
  std::vector<std::size_t> unmatched(trace.size());
  std::iota(unmatched.begin(), unmatched.end(), 0);
  for (std::size_t at = 0; at < rules.size(); at += block) {
    const std::span<const ListRule> some = rules.subspan(at, std::min(block, rules.size() - at));
    std::erase_if(unmatched, [&](std::size_t packet) {
      const auto found = first_match(some, trace[packet]);
      if (found) accepted[packet] = some[*found].accept;
      return found.has_value();
    });
  }
  return accepted;
}

std::vector<FiveTuple> make_trace(std::span<const ListRule> rules, std::size_t packets,
                                  std::uint64_t seed, const TraceOptions& options) {
  Drawer drawer(seed);
  const std::vector<std::size_t> order = shuffled(rules.size(), drawer);
  std::vector<double> sums;  // of the weights up to each place in the order
  double sum = 0;
  for (std::size_t n = 1; n <= rules.size(); ++n) {
    sum += std::pow(static_cast<double>(n), -options.skew);
    sums.push_back(sum);
  }
  const ListRule anything{
      .source = {}, .destination = {}, .source_port = {}, .destination_port = {}, .protocol = {}};
  std::vector<FiveTuple> out;
  out.reserve(packets);
  for (std::size_t i = 0; i < packets; ++i) {
    if (rules.empty() || drawer.below(100) < options.strangers) {
      out.push_back(drawer.inside(anything));
      continue;
    }
    const auto at = std::ranges::upper_bound(sums, drawer.fraction() * sum) - sums.begin();
    const std::size_t place = std::min(static_cast<std::size_t>(at), rules.size() - 1);
    out.push_back(drawer.inside(rules[order[place]]));
  }
  return out;
}

Bytes to_packet(const FiveTuple& packet) {
  packet::Recipe recipe;
  packet::Ipv4 network{.source = to_address(packet.source),
                       .destination = to_address(packet.destination)};
  if (packet.protocol == tcp) {
    recipe.transport =
        packet::Tcp{.source_port = packet.source_port, .destination_port = packet.destination_port};
  } else if (packet.protocol == udp) {
    recipe.transport =
        packet::Udp{.source_port = packet.source_port, .destination_port = packet.destination_port};
  } else {
    network.protocol = packet.protocol;
    recipe.payload = Bytes(8);
  }
  recipe.network = network;
  return packet::build(recipe).bytes;
}

}  // namespace weir::bench
