// SPDX-License-Identifier: BSD-2-Clause
#include "bench/duel.h"

#include <utility>

#include "backend/profile.h"

namespace weir::bench {
namespace {

using test::expect;

Place place_of_nft(const Site& site, const std::string& script) {
  Place place(site);
  place.load_ruleset(script);
  return place;
}

Place place_of_floor(const Site& site) {
  Place place(site);
  const backend::Profile profile = backend::profile_for(expect(parse_hook(site.hook)));
  place.attach(returning_program(profile.program_type, profile.direction, profile.drop), -300);
  return place;
}

}  // namespace

Duel::Duel(const Site& site, const std::string& script, const std::string& empty, std::string label,
           std::uint32_t count)
    : weir_(site),
      program_(place_of_floor(site)),
      result_{.hook = std::move(label), .rules = count} {
  if (site.has_nft) {
    chain_.emplace(place_of_nft(site, empty));
    nft_.emplace(place_of_nft(site, script));
  }
  Compiled compiled = compile(script, expect(parse_hook(site.hook)));
  result_.instructions = compiled.instructions;
  weir_.attach(std::move(compiled.loaded.programs.front()), compiled.priority);
}

void Duel::one_round(bool forth) {
  double chain = 0;
  double nft = 0;
  double weir = 0;
  double program = 0;
  std::vector<std::pair<double*, const Place*>> steps;
  if (nft_) steps = {{&chain, &*chain_}, {&nft, &*nft_}};
  steps.emplace_back(&weir, &weir_);
  steps.emplace_back(&program, &program_);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& [value, place] = steps[forth ? i : steps.size() - 1 - i];
    *value = place->send(duel_packets) / duel_packets;
  }
  result_.weir.total.push_back(weir);
  result_.weir.net.push_back(weir - program);
  result_.program.push_back(program);
  if (!nft_) return;
  result_.nft.total.push_back(nft);
  result_.nft.net.push_back(nft - chain);
  result_.chain.push_back(chain);
}

std::string run_duels(std::vector<Duel> duels, int rounds, bool json) {
  for (int round = 0; round < rounds; ++round) {
    for (Duel& duel : duels) duel.one_round(round % 2 == 0);
  }
  std::vector<HookCase> results;
  for (Duel& duel : duels) results.push_back(std::move(duel.result()));
  return json ? json_lines(results) : table(results);
}

}  // namespace weir::bench
