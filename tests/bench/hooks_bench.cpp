// SPDX-License-Identifier: BSD-2-Clause
//
// ns per packet of linear rules at every hook: weir's program against one that drops at once, and
// against nf_tables where it has a chain that sees the same packets. docs/benchmarks.md has the
// method.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bench/duel.h"
#include "bench/entry.h"
#include "bench/sites.h"
#include "bench/subjects.h"

namespace weir::bench {
namespace {

using test::expect;

const std::vector<std::uint32_t> usual_counts = {10, 1000};
constexpr auto shape = Shape::last_matches;
constexpr std::uint32_t packets = duel_packets;

std::string script_of(const Site& site, std::uint32_t rules, std::string_view verdict = "drop") {
  return script(site.family, site.chain, shape, rules, verdict, "drop");
}

// What each counter of the one program has counted.
std::vector<std::uint64_t> counted_by(const kernel::Fd& counters, std::uint32_t rules) {
  constexpr std::size_t value_size = 16;
  std::vector<std::uint64_t> packets_of;
  for (std::uint32_t i = 0; i < rules; ++i) {
    const Bytes value =
        expect(kernel::read_element(counters, native_bytes(i, 4), value_size, true));
    std::uint64_t sum = 0;
    for (std::size_t cpu = 0; cpu + value_size <= value.size(); cpu += value_size) {
      sum += load_native(ByteView(value).subspan(cpu, 8));
    }
    packets_of.push_back(sum);
  }
  return packets_of;
}

// Gives up unless all packets come to the last rule, of nft and of weir.
void check_site(const Site& site, std::uint32_t rules) {
  const std::string what = fmt::format("{}, {} rules", site.hook, rules);
  const std::string text = script_of(site, rules, "counter drop");
  if (site.has_nft) {
    Place place(site);
    place.load_ruleset(text);
    static_cast<void>(place.send(packets));
    const auto counted = place.nft_counters();
    if (counted.size() != rules) test::give_up(what + ": nft lists another number of counters");
    check_counts(what + ", nft", counted, rules - 1, packets);
  }
  Place place(site);
  Compiled compiled = compile(text, expect(parse_hook(site.hook)));
  place.attach(std::move(compiled.loaded.programs.front()), compiled.priority);
  static_cast<void>(place.send(packets));
  check_counts(what + ", weir",
               counted_by(compiled.loaded.maps.at(compiled.counters.index()), rules), rules - 1,
               packets);
}

std::string measure(const Options& options) {
  std::vector<Duel> duels;
  const auto& counts = options.rules.empty() ? usual_counts : options.rules;
  for (const Site& site : sites()) {
    const auto wanted = std::ranges::find(options.hooks, site.hook);
    if (!options.hooks.empty() && wanted == options.hooks.end()) continue;
    for (const auto rules : counts) {
      check_site(site, rules);
      duels.emplace_back(site, script_of(site, rules), script_of(site, 0), std::string(site.hook),
                         rules);
    }
  }
  return run_duels(std::move(duels), options.rounds, options.json);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench("hooks_bench",
                                "ns per packet of linear rules at every hook, weir against an "
                                "empty program and against nft",
                                argc, argv, weir::bench::measure);
}
