// SPDX-License-Identifier: BSD-2-Clause
//
// One match of a generated rule, as nft text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/hook.h"
#include "differential/generator.h"
#include "differential/script.h"
#include "differential/values.h"

namespace weir::differential {

enum class L3 : std::uint8_t { any, ipv4, ipv6, arp };
enum class L4 : std::uint8_t {
  any,
  tcp,
  udp,
  udplite,
  sctp,
  dccp,
  icmp,
  icmpv6,
  ah,
  esp,
  comp,
  igmp,
  ports,  // tcp or udp
};

// What a rule is about. nft refuses contradictions, so every match of a rule keeps to it.
struct Subject {
  L3 l3 = L3::any;
  L4 l4 = L4::any;
  bool message_chosen = false;  // an ICMP field fixed the message type
  // Of frames: the rule is about those with a tag, which nft wants to hear first.
  bool tagged = false;
  bool tag_written = false;
  bool protocol_chosen = false;  // by its number
};
[[nodiscard]] Subject draw_subject(Family family, Random& random);

// Where matches are written: they may add named sets to the table.
struct MatchWriter {
  Random& random;
  Script::Table& table;
  const GeneratorOptions& options;
  std::size_t& large_sets;                      // how many the script may still have
  const std::function<std::string()>& verdict;  // of an element of a verdict map

  [[nodiscard]] std::string match(Subject& subject);
  // A match that ends the rule: "tcp dport vmap { ... }".
  [[nodiscard]] std::string verdict_map(Subject& subject);
  // "meta mark set 5", "meta mark set tcp dport map { ... }".
  [[nodiscard]] std::string mark(Subject& subject);
  // "ip ttl set 5", "udp dport set udp sport": of the headers that the rule is about, or raw bytes.
  [[nodiscard]] std::string write(const Subject& subject);
  // "counter name tcp dport map { 80 : \"shared0\", * : \"shared1\" }"
  [[nodiscard]] std::string object(Subject& subject);
  // "log group 2", "limit rate 1/day", "jhash ip saddr mod 3 seed 5 1", "counter name \"shared\"".
  [[nodiscard]] std::string state(const Subject& subject);
};

}  // namespace weir::differential
