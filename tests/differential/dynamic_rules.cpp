// SPDX-License-Identifier: BSD-2-Clause
#include "differential/dynamic_rules.h"

#include <string_view>
#include <utility>

namespace weir::differential {
namespace {

// All elements of a set have one statement.
constexpr std::string_view dynamic_rate = "limit rate over 1/week burst 3 packets";
constexpr std::string_view dynamic_quota = "quota over 500 bytes";

}  // namespace

std::vector<Script::Set> dynamic_sets() {
  const auto set = [](std::string name, const std::string& rest) {
    std::string definition = "set " + name + " { " + rest + " }";
    return Script::Set{.name = std::move(name), .definition = std::move(definition)};
  };
  return {
      set("seen4", "type ipv4_addr; flags dynamic,timeout; timeout 1h; size 5;"),
      set("seen6", "type ipv6_addr; flags dynamic; size 100;"),
      set("rates4", "type ipv4_addr; flags dynamic; size 50;"),
      set("rates6", "type ipv6_addr; flags dynamic,timeout; timeout 3h; size 50;"),
      set("ports", "type inet_service; flags dynamic,timeout; size 4;"),
      set("pairs", "type ipv4_addr . inet_service; flags dynamic; size 30;"),
      set("nets4", "type ipv4_addr; flags interval; " + std::string(dynamic_rate) +
                       "; elements = { 0.0.0.0/2, 80.0.0.0/4, 192.0.2.0/24 }"),
      set("ranges",
          "type inet_service; flags interval,timeout; timeout 1h; elements = { 0-99, 1024-40000 "
          "timeout 2h }"),
      set("areas",
          "type ipv4_addr . inet_service; flags interval,timeout; elements = { 0.0.0.0/1 . 0-1023 "
          "timeout 3h, 128.0.0.0/1 . 80-50000 }")};
}

std::vector<std::string> dynamic_statements(const Subject& subject, Random& random) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& set, const std::string& key, const std::string& with) {
    const std::string change = std::string(random.one_in(2) ? "add" : "update") + " @" + set;
    out.push_back(change + " { " + key + with + " }");
    out.push_back("delete @" + set + " { " + key + " }");
    out.push_back(key + (random.one_in(3) ? " != @" : " @") + set);
  };
  const auto ask = [&](const std::string& set, const std::string& key) {
    out.push_back(key + (random.one_in(3) ? " != @" : " @") + set);
  };
  const std::string side = random.one_in(3) ? "daddr" : "saddr";
  const bool v4 = subject.l3 == L3::ipv4;
  if (v4) {
    add("seen4", "ip " + side, random.one_in(3) ? " timeout 2h" : "");
    add("rates4", "ip " + side, std::string(" ") + std::string(dynamic_rate));
    ask("nets4", "ip " + side);
  }
  if (subject.l3 == L3::ipv6) {
    add("seen6", "ip6 " + side, "");
    add("rates6", "ip6 " + side, std::string(" ") + std::string(dynamic_quota));
  }
  if (subject.l4 == L4::tcp || subject.l4 == L4::udp) {
    const std::string port = subject.l4 == L4::tcp ? "tcp dport" : "udp dport";
    add("ports", port, "");
    ask("ranges", port);
    if (v4) {
      add("pairs", "ip saddr . " + port, "");
      ask("areas", "ip saddr . " + port);
    }
  }
  return out;
}

}  // namespace weir::differential
