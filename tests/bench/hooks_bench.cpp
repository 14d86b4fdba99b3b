// SPDX-License-Identifier: BSD-2-Clause
//
// ns per packet of linear rules at every hook: weir's program against one that drops at once, and
// against nf_tables where it has a chain that sees the same packets. docs/benchmarks.md has the
// method.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "backend/profile.h"
#include "bench/entry.h"
#include "bench/report.h"
#include "bench/sites.h"
#include "bench/subjects.h"

namespace weir::bench {
namespace {

using test::expect;

const std::vector<std::uint32_t> usual_counts = {10, 1000};
constexpr auto shape = Shape::last_matches;
// As in netfilter_bench; a system call each takes longer, and has no pages to make.
constexpr std::uint32_t packets = 8192;

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

Place place_of_nft(const Site& site, std::uint32_t rules) {
  Place place(site);
  place.load_ruleset(script_of(site, rules));
  return place;
}

Place place_of_floor(const Site& site) {
  Place place(site);
  const backend::Profile profile = backend::profile_for(expect(parse_hook(site.hook)));
  place.attach(returning_program(profile.program_type, profile.direction, profile.drop), -300);
  return place;
}

// What is measured at one hook, each in a place of its own.
struct Contest {
  const Site* site;
  std::optional<Place> chain;
  std::optional<Place> nft;
  Place weir;
  Place program;
  HookCase result;
};

Contest make_contest(const Site& site, std::uint32_t rules) {
  check_site(site, rules);
  Contest contest{.site = &site,
                  .chain = {},
                  .nft = {},
                  .weir = Place(site),
                  .program = place_of_floor(site),
                  .result = {.hook = std::string(site.hook), .rules = rules}};
  if (site.has_nft) {
    contest.chain.emplace(place_of_nft(site, 0));
    contest.nft.emplace(place_of_nft(site, rules));
  }
  Compiled compiled = compile(script_of(site, rules), expect(parse_hook(site.hook)));
  contest.result.instructions = compiled.instructions;
  contest.weir.attach(std::move(compiled.loaded.programs.front()), compiled.priority);
  return contest;
}

// An engine and its floor stand side by side, in one order and in the other, so that what drifts
// (clock, cache, neighbours) meets both.
void one_round(Contest& contest, bool forth) {
  double chain = 0;
  double nft = 0;
  double weir = 0;
  double program = 0;
  std::vector<std::pair<double*, const Place*>> steps;
  if (contest.nft) steps = {{&chain, &*contest.chain}, {&nft, &*contest.nft}};
  steps.emplace_back(&weir, &contest.weir);
  steps.emplace_back(&program, &contest.program);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& [value, place] = steps[forth ? i : steps.size() - 1 - i];
    *value = place->send(packets) / packets;
  }
  HookCase& result = contest.result;
  result.weir.total.push_back(weir);
  result.weir.net.push_back(weir - program);
  result.program.push_back(program);
  if (!contest.nft) return;
  result.nft.total.push_back(nft);
  result.nft.net.push_back(nft - chain);
  result.chain.push_back(chain);
}

std::string measure(const Options& options) {
  std::deque<Contest> contests;
  const auto& counts = options.rules.empty() ? usual_counts : options.rules;
  for (const Site& site : sites()) {
    const auto wanted = std::ranges::find(options.hooks, site.hook);
    if (!options.hooks.empty() && wanted == options.hooks.end()) continue;
    for (const auto rules : counts) contests.push_back(make_contest(site, rules));
  }
  for (int round = 0; round < options.rounds; ++round) {
    for (Contest& contest : contests) one_round(contest, round % 2 == 0);
  }
  std::vector<HookCase> results;
  for (Contest& contest : contests) results.push_back(std::move(contest.result));
  return options.json ? json_lines(results) : table(results);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::run_bench("hooks_bench",
                                "ns per packet of linear rules at every hook, weir against an "
                                "empty program and against nft",
                                argc, argv, weir::bench::measure);
}
