// SPDX-License-Identifier: BSD-2-Clause
//
// ns per packet of statements that do more than compare: limits, quotas, numbers, hashes, counters,
// writes, logs. Ten rules each that all packets pass, at the netfilter hook and at tc:ingress,
// where nft runs the same ones.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "bench/duel.h"
#include "bench/entry.h"
#include "bench/sites.h"
#include "bench/subjects.h"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 2> usual_hooks = {"netfilter:prerouting", "tc:ingress"};
constexpr std::uint32_t usual_count = 10;

struct Statement {
  std::string_view name;
  std::string_view text;
  bool at_netfilter = true;      // whether weir's programs there have it
  std::string_view object = {};  // of the table
};

constexpr std::string_view seen = "set seen { type ipv4_addr; flags dynamic; size 65535; }";

// Limits are far away, or were passed long ago, so that each rule comes to its end; numbers are
// compared in front of a counter, since nothing would compute them else. A frame is used again as
// rules left it: what is to be written each time is written twice, and of an option that is taken
// away only the search is left.
constexpr std::array<Statement, 22> statements = {{
    {.name = "counter", .text = "counter"},
    {.name = "counter name", .text = "counter name \"every\"", .object = "counter every { }"},
    {.name = "limit", .text = "limit rate 100000000/second burst 1000000 packets"},
    {.name = "limit over", .text = "limit rate over 1/day burst 1 packets"},
    {.name = "limit bytes", .text = "limit rate 1000 mbytes/second burst 100 mbytes"},
    {.name = "quota", .text = "quota 1000000 mbytes"},
    {.name = "numgen inc", .text = "numgen inc mod 10 < 5 counter"},
    {.name = "numgen random", .text = "numgen random mod 10 < 5 counter"},
    {.name = "jhash", .text = "jhash ip saddr . ip daddr mod 10 seed 7 < 5 counter"},
    {.name = "ttl", .text = "ip ttl set 254", .at_netfilter = false},
    {.name = "mark", .text = "meta mark set 1", .at_netfilter = false},
    {.name = "maxseg", .text = "tcp option maxseg size set 1360", .at_netfilter = false},
    {.name = "tsval twice",
     .text = "tcp option timestamp tsval set 7 tcp option timestamp tsval set 8",
     .at_netfilter = false},
    {.name = "reset", .text = "reset tcp option timestamp", .at_netfilter = false},
    {.name = "set lookup",
     .text = "ip saddr @known counter",
     .object = "set known { type ipv4_addr; flags dynamic,timeout; "
               "elements = { 10.0.0.1 timeout 1d } }"},
    {.name = "ranges counter",
     .text = "ip saddr @nets counter",
     .object = "set nets { type ipv4_addr; flags interval; counter; "
               "elements = { 10.0.0.0/24, 10.1.0.0-10.1.0.99, 172.16.0.0/12 } }"},
    {.name = "ranges timeout",
     .text = "ip saddr @nets counter",
     .object =
         "set nets { type ipv4_addr; flags interval,timeout; elements = { 10.0.0.0/24 timeout "
         "1d, 10.1.0.0-10.1.0.99 timeout 1d, 172.16.0.0/12 timeout 1d } }"},
    {.name = "set add", .text = "add @seen { ip saddr }", .object = seen},
    {.name = "set update",
     .text = "update @seen { ip saddr }",
     .object = "set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 65535; }"},
    {.name = "set counter", .text = "update @seen { ip saddr counter }", .object = seen},
    {.name = "set limit",
     .text = "update @seen { ip saddr limit rate 100000000/second burst 1000000 packets }",
     .object = seen},
    {.name = "log group", .text = "log group 9 snaplen 64"},
}};

// The rules in front of the policy of a chain, which drops.
std::string script_of(const Site& site, const Statement& statement, std::uint32_t count) {
  std::string text = script(site.family, site.chain, Shape::first_fails, 0, "", "drop");
  std::string rules;
  for (std::uint32_t i = 0; i < count; ++i) rules += fmt::format("    {}\n", statement.text);
  text.insert(text.find("  }\n"), rules);
  if (!statement.object.empty()) {
    text.insert(text.find("  chain"), fmt::format("  {}\n", statement.object));
  }
  return text;
}

std::string measure(const Options& options) {
  std::vector<Duel> duels;
  std::vector<std::uint32_t> counts = options.rules;
  if (counts.empty()) counts.push_back(usual_count);
  for (const Site& site : sites()) {
    const bool wanted = options.hooks.empty()
                            ? std::ranges::find(usual_hooks, site.hook) != usual_hooks.end()
                            : std::ranges::find(options.hooks, site.hook) != options.hooks.end();
    if (!wanted) continue;
    for (const Statement& statement : statements) {
      if (!statement.at_netfilter && site.hook.starts_with("netfilter")) continue;
      for (const std::uint32_t count : counts) {
        duels.emplace_back(site, script_of(site, statement, count), script_of(site, statement, 0),
                           fmt::format("{} {}", site.hook, statement.name), count);
      }
    }
  }
  return run_duels(std::move(duels), options.rounds, options.json);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench("statements_bench",
                                "ns per packet of statements that do more than compare, weir "
                                "against an empty program and against nft",
                                argc, argv, weir::bench::measure);
}
